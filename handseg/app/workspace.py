"""A visitor's photos, their hands and corrections. Does not use Streamlit."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from handseg.app import brush
from handseg.app.brush import Stroke
from handseg.app.entries import HandEntry
from handseg.io.images import read_image
from handseg.landmarks.second_look import same_hand
from handseg.pipeline.embedded import EmbeddedPhoto
from handseg.pipeline.interface import PreparedPhoto, Segmenter
from handseg.prompts import HandPrompts
from handseg.results import Hand, HandSegmentation
from handseg.segmenter import HandSegmenter

SUSPECTED = 0.3
"""Least finder score of a rejected hand that is offered to the visitor. According to its model
card, five in six boxes with at least this score are hands."""


@dataclass(frozen=True, eq=False)
class Model:
    """A segmenter that all visitors share, one at a time; it decides what is a hand."""

    segmenter: Segmenter
    lock: threading.RLock = field(default_factory=threading.RLock)

    def is_done(self, photo: Photo, max_hands: int) -> bool:
        """Whether nothing of `photo` is left to cut out."""
        return self in photo.labelled

    def hands(self, photo: Photo, prepared: PreparedPhoto, max_hands: int) -> tuple[Hand, ...]:
        """Return the hands to show; segment those not yet cut out."""
        if self not in photo.labelled:
            photo.labelled[self] = prepared.segment().hands
        return photo.labelled[self]

    def count(self, photo: Photo, max_hands: int) -> int:
        """Return the number of hands it shows."""
        return len(photo.labelled.get(self, ()))


@dataclass(frozen=True, eq=False)
class PromptedModel(Model):
    """A model whose hands the visitor corrects with prompts."""

    segmenter: HandSegmenter

    def is_done(self, photo: Photo, max_hands: int) -> bool:
        cut = photo.hands.get(self, {})
        return photo.entries is not None and all(
            entry.with_strokes(0) in cut for entry in photo.active(max_hands)
        )

    def hands(self, photo: Photo, prepared: PreparedPhoto, max_hands: int) -> tuple[Hand, ...]:
        cut = photo.hands.setdefault(self, {})
        if photo.entries is None:
            found = prepared.segment(max_hands=self.segmenter.landmarker.max_hands).hands
            photo.entries = tuple(_entry(rank, hand) for rank, hand in enumerate(found))
            cut.update(zip(photo.entries, found, strict=True))
        entries = photo.active(max_hands)
        for bare in (entry.with_strokes(0) for entry in entries):
            if bare not in cut:
                cut[bare] = _cut(prepared, bare)
        known = cut | photo.painted.get(self, {})
        painted = {entry: _painted(known, entry) for entry in entries}
        photo.painted.clear()
        photo.painted[self] = painted
        return tuple(painted[entry] for entry in entries)

    def count(self, photo: Photo, max_hands: int) -> int:
        return len(photo.active(max_hands))


_ByModel: TypeAlias = "WeakKeyDictionary[Model, dict[HandEntry, Hand]]"


@dataclass(eq=False)
class Photo:
    """A photo of the visitor and its hands. What a model cut out is dropped with the model.

    Attributes:
        name: file name.
        data: contents of the file.
        size: width and height, px; None until it is read.
        entries: the hands, found ones first; None until the search.
        hands: the hand of each entry without its strokes, by models that take prompts.
        painted: the hands last shown, with their strokes; older ones are not worth their memory.
        labelled: the hands by each model that takes no prompts.
        error: why the photo cannot be used, "" if it can.
        dpi: px per inch across and down; None if the file has none.
        warnings: warnings from reading the file, each to be read after its name.
    """

    name: str
    data: bytes
    size: tuple[int, int] | None = None
    entries: tuple[HandEntry, ...] | None = None
    error: str = ""
    dpi: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    history: list[tuple[HandEntry, ...]] = field(default_factory=list)
    hands: _ByModel = field(default_factory=WeakKeyDictionary)
    painted: _ByModel = field(default_factory=WeakKeyDictionary)
    labelled: WeakKeyDictionary[Model, tuple[Hand, ...]] = field(default_factory=WeakKeyDictionary)

    def active(self, max_hands: int) -> list[HandEntry]:
        """Return the hands to show: the `max_hands` surest found ones, and all of the visitor's."""
        return [
            entry for entry in self.entries or () if entry.rank is None or entry.rank < max_hands
        ]

    def click(self, entry: HandEntry | None, x: float, y: float, label: int) -> None:
        """Add a point to a hand, or start a new one with it.

        Raises:
            ValueError: if a new hand would start with a point off it.
        """
        if entry is None and label == 0:
            raise ValueError("a new hand starts with a point on it, or with a box")
        old = entry or HandEntry()
        new = replace(old, points=(*old.points, (x, y)), labels=(*old.labels, label))
        self._put(entry, new)

    def draw_box(self, entry: HandEntry | None, box: tuple[float, float, float, float]) -> None:
        """Draw a box around a hand, or start a new one with it."""
        self._put(entry, replace(entry or HandEntry(), box=box))

    def paint(self, entry: HandEntry, stroke: Stroke) -> None:
        """Paint over a hand's mask, overriding the model."""
        self._put(entry, replace(entry, strokes=(*entry.strokes, stroke)))

    def move_point(self, entry: HandEntry, number: int, x: float, y: float) -> None:
        """Move one of a hand's points."""
        points = list(entry.points)
        points[number] = (x, y)
        self._put(entry, replace(entry, points=tuple(points)))

    def remove_point(self, entry: HandEntry, number: int) -> None:
        """Remove a point, and the hand if nothing else says where it is."""
        points = entry.points[:number] + entry.points[number + 1 :]
        labels = entry.labels[:number] + entry.labels[number + 1 :]
        placed = entry.landmarks is not None or entry.box is not None or 1 in labels
        self._put(entry, replace(entry, points=points, labels=labels) if placed else None)

    def remove(self, entry: HandEntry) -> None:
        """Remove a hand; after a double click, it is gone already."""
        if entry in (self.entries or ()):
            self._put(entry, None)

    def undo(self) -> None:
        """Undo the last change, if there is one."""
        if self.history:
            self.entries = self.history.pop()

    def start_over(self) -> None:
        """Undo all changes."""
        if self.history:
            self.entries = self.history[0]
            self.history.clear()

    def _put(self, old: HandEntry | None, new: HandEntry | None) -> None:
        entries = list(self.entries or ())
        place = len(entries) if old is None else entries.index(old)
        self.history.append(tuple(entries))
        entries[place : place + 1] = [] if new is None else [new]
        self.entries = tuple(entries)


class Workspace:
    """The photos of a visitor, and the open one: decoded, and encoded for prompts.

    For the others, only files and masks are kept, so that fifty photos fit into memory. Threads
    take turns: a download may cut out hands while the page does.
    """

    def __init__(self, max_pixels: int) -> None:
        self.max_pixels = max_pixels
        self.photos: dict[str, Photo] = {}
        self._open: tuple[Photo, Model, PreparedPhoto] | None = None
        self._lock = threading.RLock()  # Taken before a model's.

    def update(self, files: Mapping[str, Any]) -> None:
        """Add new files (by an id, with `name` and `getvalue()`) and drop those that are gone."""
        with self._lock:
            self.photos = {
                key: self.photos.get(key) or Photo(file.name, file.getvalue())
                for key, file in files.items()
            }
            if self._open is not None and self._open[0] not in self.photos.values():
                self._open = None

    def segment(self, photo: Photo, model: Model, max_hands: int) -> HandSegmentation:
        """Segment the photo's hands that are not cut out yet.

        Raises:
            ImageError: if the photo cannot be read.
        """
        with self._lock, model.lock:
            prepared = self._embed(photo, model)
            hands = model.hands(photo, prepared, max_hands)
            return HandSegmentation(prepared.image, hands, photo.dpi)

    def prompts(self, photo: Photo, model: PromptedModel, entry: HandEntry) -> HandPrompts:
        """Return the prompts of a hand, in px of the photo."""
        with self._lock, model.lock:
            (prompts,) = self._prompted(photo, model).prompts(**entry.prompts())
            return prompts

    def suspected(self, photo: Photo, model: PromptedModel, hands: Sequence[Hand]) -> np.ndarray:
        """Return boxes, (K, 4) xyxy px, where the finder suspects hands not among `hands`."""
        with self._lock, model.lock:
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
            self._open = None  # Free the last photo first: two are never needed at once.
            loaded = read_image(photo.data, max_pixels=self.max_pixels)
            height, width = loaded.pixels.shape[:2]
            photo.size, photo.dpi, photo.warnings = (width, height), loaded.dpi, loaded.warnings
            self._open = photo, model, model.segmenter.embed(loaded.pixels)
        return self._open[2]


def _entry(rank: int, hand: Hand) -> HandEntry:
    if hand.landmarks is not None:
        return HandEntry(hand, rank)
    left, top, right, bottom = map(float, hand.box)
    return HandEntry(hand, rank, (left, top, right, bottom))


def _painted(known: Mapping[HandEntry, Hand], entry: HandEntry) -> Hand:
    """Return the hand with its strokes; usually all but the last are already painted."""
    counts = range(len(entry.strokes), -1, -1)
    done = next(n for n in counts if entry.with_strokes(n) in known)
    return brush.apply(known[entry.with_strokes(done)], entry.strokes[done:])


def _cut(prepared: PreparedPhoto, entry: HandEntry) -> Hand:
    (hand,) = prepared.segment(**entry.prompts())
    if (found := entry.found) is None:
        return hand
    return replace(
        hand,
        landmarks=found.landmarks,
        handedness=found.handedness,
        handedness_score=found.handedness_score,
        detection_score=found.detection_score,
    )
