"""What a visitor of the page has brought, found and corrected. Knows nothing of Streamlit."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from handseg.io.images import load_image
from handseg.landmarks import HandLandmarks
from handseg.prompts import HandPrompts
from handseg.prompts.user import user_prompts
from handseg.results import Hand, HandSegmentation
from handseg.segmenter import EmbeddedPhoto, HandSegmenter


@dataclass(frozen=True, eq=False)
class Model:
    """A segmenter that all visitors use, one at a time."""

    segmenter: HandSegmenter
    lock: threading.RLock = field(default_factory=threading.RLock)


@dataclass(frozen=True, eq=False)
class HandEntry:
    """One hand of a photo, by what it is prompted with.

    Attributes:
        landmarks: what MediaPipe found; None for a hand that the visitor has pointed at.
        rank: its place among the findings, the surest is 0; None as above.
        box: (4,) xyxy px, drawn by the visitor; it takes the place of the landmarks.
        points: x, y px, clicked by the visitor.
        labels: 1 for a point on the hand, 0 for one off it.
    """

    landmarks: HandLandmarks | None = None
    rank: int | None = None
    box: tuple[float, float, float, float] | None = None
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()

    def prompts(self) -> dict[str, Any]:
        """As `EmbeddedPhoto.segment` takes them."""
        values: dict[str, Any] = {}
        if self.box is not None:
            values["boxes"] = [self.box]
        elif self.landmarks is not None:
            values["landmarks"] = [self.landmarks.points]
        if self.points:
            values |= {"points": [self.points], "labels": [self.labels]}
        return values


@dataclass(eq=False)
class Photo:
    """A photo of the visitor's and what is to be cut out of it.

    Attributes:
        name: of the file.
        data: the file itself.
        size: width and height, px; None until it was read.
        entries: the hands, those found first; None until they were looked for.
        labelled: by the models that take no prompts, what they call hand.
        error: why the photo cannot be used, "" if it can.
    """

    name: str
    data: bytes
    size: tuple[int, int] | None = None
    entries: tuple[HandEntry, ...] | None = None
    error: str = ""
    history: list[tuple[HandEntry, ...]] = field(default_factory=list)
    hands: dict[tuple[Model, HandEntry], Hand] = field(default_factory=dict)
    labelled: dict[Model, tuple[Hand, ...]] = field(default_factory=dict)

    def active(self, max_hands: int) -> list[HandEntry]:
        """The hands to show: of those found, the `max_hands` surest; the visitor's own, all."""
        return [
            entry for entry in self.entries or () if entry.rank is None or entry.rank < max_hands
        ]

    def count(self, model: Model, max_hands: int) -> int:
        """How many hands `model` shows."""
        if model.segmenter.takes_prompts:
            return len(self.active(max_hands))
        return len(self.labelled.get(model, ()))

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
        self._open: tuple[Photo, Model, EmbeddedPhoto] | None = None

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
            embedded = self._embed(photo, model)
            if not model.segmenter.takes_prompts:
                if model not in photo.labelled:
                    photo.labelled[model] = embedded.segment().hands
                return HandSegmentation(embedded.image, photo.labelled[model])
            if photo.entries is None:
                most = model.segmenter.landmarker.max_hands
                found = embedded.segment(max_hands=most).hands
                photo.entries = tuple(_entry(rank, hand) for rank, hand in enumerate(found))
                pairs = zip(photo.entries, found, strict=True)
                photo.hands |= {(model, entry): hand for entry, hand in pairs}
            entries = photo.active(max_hands)
            for entry in entries:
                if (model, entry) not in photo.hands:
                    photo.hands[model, entry] = _cut(embedded, entry)
        hands = tuple(photo.hands[model, entry] for entry in entries)
        return HandSegmentation(embedded.image, hands)

    def prompts(self, photo: Photo, model: Model, entry: HandEntry) -> HandPrompts:
        """What the model was told of a hand, in px of the photo."""
        assert photo.size is not None
        width, height = photo.size
        (prompts,) = user_prompts(height, width, model.segmenter.recipe, **entry.prompts())
        return prompts

    def _embed(self, photo: Photo, model: Model) -> EmbeddedPhoto:
        if self._open is None or self._open[:2] != (photo, model):
            self._open = None  # Two photos at once are not needed.
            image = load_image(photo.data, max_pixels=self.max_pixels)
            photo.size = image.shape[1], image.shape[0]
            self._open = photo, model, model.segmenter.embed(image)
        return self._open[2]


def _entry(rank: int, hand: Hand) -> HandEntry:
    assert hand.landmarks is not None
    landmarks = HandLandmarks(hand.landmarks, hand.handedness or "", hand.handedness_score or 0.0)
    return HandEntry(landmarks, rank)


def _cut(embedded: EmbeddedPhoto, entry: HandEntry) -> Hand:
    (hand,) = embedded.segment(**entry.prompts())
    if entry.landmarks is None:
        return hand
    found = entry.landmarks
    return replace(
        hand,
        landmarks=found.points,
        handedness=found.handedness or None,
        handedness_score=found.score,
    )
