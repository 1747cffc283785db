"""What a visitor of the page has brought, found and corrected. Knows nothing of Streamlit."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from handseg.app import brush
from handseg.app.brush import Stroke
from handseg.app.entries import HandEntry
from handseg.io.images import read_image
from handseg.landmarks import HandLandmarks
from handseg.landmarks.second_look import same_hand
from handseg.pipeline.embedded import EmbeddedPhoto
from handseg.pipeline.interface import PreparedPhoto, Segmenter
from handseg.prompts import HandPrompts
from handseg.results import Hand, HandSegmentation
from handseg.segmenter import HandSegmenter

SUSPECTED = 0.3
"""The finder's score from which on a hand that was not taken is offered. By its card, five in six
boxes of this score and more are hands."""


@dataclass(frozen=True, eq=False)
class Model:
    """A segmenter that all visitors use, one at a time: it shows what it takes for hands."""

    segmenter: Segmenter
    lock: threading.RLock = field(default_factory=threading.RLock)

    def is_done(self, photo: Photo, max_hands: int) -> bool:
        """Whether nothing of `photo` is left to cut out."""
        return self in photo.labelled

    def hands(self, photo: Photo, prepared: PreparedPhoto, max_hands: int) -> tuple[Hand, ...]:
        """Those to show; what is not cut out yet is."""
        if self not in photo.labelled:
            photo.labelled[self] = prepared.segment().hands
        return photo.labelled[self]

    def count(self, photo: Photo, max_hands: int) -> int:
        """How many hands it shows."""
        return len(photo.labelled.get(self, ()))


@dataclass(frozen=True, eq=False)
class PromptedModel(Model):
    """One whose hands the visitor corrects by prompts."""

    segmenter: HandSegmenter

    def is_done(self, photo: Photo, max_hands: int) -> bool:
        return photo.entries is not None and all(
            (self, entry.with_strokes(0)) in photo.hands for entry in photo.active(max_hands)
        )

    def hands(self, photo: Photo, prepared: PreparedPhoto, max_hands: int) -> tuple[Hand, ...]:
        if photo.entries is None:
            found = prepared.segment(max_hands=self.segmenter.landmarker.max_hands).hands
            photo.entries = tuple(_entry(rank, hand) for rank, hand in enumerate(found))
            pairs = zip(photo.entries, found, strict=True)
            photo.hands |= {(self, entry): hand for entry, hand in pairs}
        entries = photo.active(max_hands)
        for cut in (entry.with_strokes(0) for entry in entries):
            if (self, cut) not in photo.hands:
                photo.hands[self, cut] = _cut(prepared, cut)
        photo.painted = {(self, entry): self._painted(photo, entry) for entry in entries}
        return tuple(photo.painted[self, entry] for entry in entries)

    def _painted(self, photo: Photo, entry: HandEntry) -> Hand:
        """The hand with its strokes, of which mostly all but the last are painted already."""
        known = photo.hands | photo.painted
        counts = range(len(entry.strokes), -1, -1)
        done = next(n for n in counts if (self, entry.with_strokes(n)) in known)
        return brush.apply(known[self, entry.with_strokes(done)], entry.strokes[done:])

    def count(self, photo: Photo, max_hands: int) -> int:
        return len(photo.active(max_hands))


@dataclass(eq=False)
class Photo:
    """A photo of the visitor's and what is to be cut out of it.

    Attributes:
        name: of the file.
        data: the file itself.
        size: width and height, px; None until it was read.
        entries: the hands, those found first; None until they were looked for.
        hands: of each entry without its strokes, by the models that take prompts.
        painted: of the entries that were last shown, with their strokes; older ones are not worth
            their memory.
        labelled: by the models that take none, what they call hand.
        error: why the photo cannot be used, "" if it can.
        dpi: px an inch across and down; None if the file gave none.
        warnings: what reading the file said, each to be read after its name.
    """

    name: str
    data: bytes
    size: tuple[int, int] | None = None
    entries: tuple[HandEntry, ...] | None = None
    error: str = ""
    dpi: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    history: list[tuple[HandEntry, ...]] = field(default_factory=list)
    hands: dict[tuple[Model, HandEntry], Hand] = field(default_factory=dict)
    painted: dict[tuple[Model, HandEntry], Hand] = field(default_factory=dict)
    labelled: dict[Model, tuple[Hand, ...]] = field(default_factory=dict)

    def active(self, max_hands: int) -> list[HandEntry]:
        """The hands to show: of those found, the `max_hands` surest; the visitor's own, all."""
        return [
            entry for entry in self.entries or () if entry.rank is None or entry.rank < max_hands
        ]

    def click(self, entry: HandEntry | None, x: float, y: float, label: int) -> None:
        """Add a point to a hand, or start a new one with it.

        Raises:
            ValueError: if a new hand is to start with a point off it.
        """
        if entry is None and label == 0:
            raise ValueError("a new hand starts with a point on it, or with a box")
        old = entry or HandEntry()
        new = replace(old, points=(*old.points, (x, y)), labels=(*old.labels, label))
        self._put(entry, new)

    def draw_box(self, entry: HandEntry | None, box: tuple[float, float, float, float]) -> None:
        """Box a hand in, or start a new one."""
        self._put(entry, replace(entry or HandEntry(), box=box))

    def paint(self, entry: HandEntry, stroke: Stroke) -> None:
        """Paint over a hand's mask, whatever the model makes of it."""
        self._put(entry, replace(entry, strokes=(*entry.strokes, stroke)))

    def move_point(self, entry: HandEntry, number: int, x: float, y: float) -> None:
        """Put one of a hand's points elsewhere."""
        points = list(entry.points)
        points[number] = (x, y)
        self._put(entry, replace(entry, points=tuple(points)))

    def remove_point(self, entry: HandEntry, number: int) -> None:
        """Take one point away, and the hand with it if nothing else says where it is."""
        points = entry.points[:number] + entry.points[number + 1 :]
        labels = entry.labels[:number] + entry.labels[number + 1 :]
        placed = entry.landmarks is not None or entry.box is not None or 1 in labels
        self._put(entry, replace(entry, points=points, labels=labels) if placed else None)

    def remove(self, entry: HandEntry) -> None:
        self._put(entry, None)

    def undo(self) -> None:
        """Take the last change back, if there is one."""
        if self.history:
            self.entries = self.history.pop()

    def start_over(self) -> None:
        """Take all changes back."""
        if self.history:
            self.entries = self.history[0]
            self.history.clear()

    def _put(self, old: HandEntry | None, new: HandEntry | None) -> None:
        entries = list(self.entries or ())
        self.history.append(tuple(entries))
        place = len(entries) if old is None else entries.index(old)
        entries[place : place + 1] = [] if new is None else [new]
        self.entries = tuple(entries)


class Workspace:
    """The photos of one visitor, and the one that is open: decoded, and encoded for prompts.

    Of the others only files and masks are kept, so that fifty photos fit into memory.
    """

    def __init__(self, max_pixels: int) -> None:
        self.max_pixels = max_pixels
        self.photos: dict[str, Photo] = {}
        self._open: tuple[Photo, Model, PreparedPhoto] | None = None

    def update(self, files: Mapping[str, Any]) -> None:
        """Take in new files (by an id, with `name` and `getvalue()`), drop those that are gone."""
        self.photos = {
            key: self.photos.get(key) or Photo(file.name, file.getvalue())
            for key, file in files.items()
        }
        if self._open is not None and self._open[0] not in self.photos.values():
            self._open = None

    def segment(self, photo: Photo, model: Model, max_hands: int) -> HandSegmentation:
        """Cut out what is not cut out yet.

        Raises:
            ImageError: if the photo cannot be read.
        """
        with model.lock:
            prepared = self._embed(photo, model)
            hands = model.hands(photo, prepared, max_hands)
            return HandSegmentation(prepared.image, hands, photo.dpi)

    def prompts(self, photo: Photo, model: PromptedModel, entry: HandEntry) -> HandPrompts:
        """What the model was told of a hand, in px of the photo."""
        with model.lock:
            (prompts,) = self._prompted(photo, model).prompts(**entry.prompts())
            return prompts

    def suspected(self, photo: Photo, model: PromptedModel, hands: Sequence[Hand]) -> np.ndarray:
        """Boxes, (K, 4) xyxy px, where the finder suspects hands that are none of `hands`."""
        with model.lock:
            places = self._prompted(photo, model).suspected
        boxes = np.array(
            [one.box for one in places if one.detection_score >= SUSPECTED], np.float32
        )
        boxes = boxes.reshape(-1, 4)
        taken = np.array([hand.box for hand in hands], np.float32).reshape(-1, 4)
        return boxes[[not len(same_hand(box, taken)) for box in boxes]]

    def _prompted(self, photo: Photo, model: PromptedModel) -> EmbeddedPhoto:
        prepared = self._embed(photo, model)
        assert isinstance(prepared, EmbeddedPhoto)
        return prepared

    def _embed(self, photo: Photo, model: Model) -> PreparedPhoto:
        if self._open is None or self._open[:2] != (photo, model):
            self._open = None  # Two photos at once are not needed.
            loaded = read_image(photo.data, max_pixels=self.max_pixels)
            height, width = loaded.pixels.shape[:2]
            photo.size, photo.dpi, photo.warnings = (width, height), loaded.dpi, loaded.warnings
            self._open = photo, model, model.segmenter.embed(loaded.pixels)
        return self._open[2]


def _entry(rank: int, hand: Hand) -> HandEntry:
    if hand.landmarks is None:
        left, top, right, bottom = map(float, hand.box)
        return HandEntry(rank=rank, box=(left, top, right, bottom))
    landmarks = HandLandmarks(hand.landmarks, hand.handedness or "", hand.handedness_score or 0.0)
    return HandEntry(landmarks, rank)


def _cut(prepared: PreparedPhoto, entry: HandEntry) -> Hand:
    (hand,) = prepared.segment(**entry.prompts())
    if entry.landmarks is None:
        return hand
    found = entry.landmarks
    return replace(
        hand,
        landmarks=found.points,
        handedness=found.handedness or None,
        handedness_score=found.score,
    )
