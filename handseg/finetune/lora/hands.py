"""Find the hands to train on, once per photo, each with its own part of the photo's mask."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from handseg.data.image_mask import PhotoWithObjects
from handseg.landmarks import HandLandmarker
from handseg.landmarks.anatomy import past_wrist, share_inside
from handseg.models.semantic.config import HAND, OBJECT
from handseg.prompts.from_mask import prompts_from_mask
from handseg.runtime.arrays import values_at
from handseg.runtime.connected import Components
from handseg.runtime.journal import Journal

logger = logging.getLogger(__name__)

ON_MASK = 0.7
"""Least share of a found hand's landmarks on the mask; below it, the hand is another one."""
SMALLEST = 100
"""Least pixels of a labelled instance for it to be used."""
SHARED = 5
"""Landmarks of a second hand on an island of the mask at which the island belongs to both."""
STRANGE = 0.1
"""Least area of an island without landmarks, relative to the rest of its hand, to be another hand
that was not found: fingertips beyond a held object are smaller."""


class TrainingPhoto(PhotoWithObjects, Protocol):
    """Interface of a photo, as held by `handseg.data.LabelledPhotos`."""

    def load_instances(self) -> np.ndarray | None:
        """Return the hand number of each pixel, (H, W) uint8 from 1; None if not labelled."""
        ...

    def digest(self) -> str:
        """Return a hash of the files' contents."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingHand:
    """One hand of a photo.

    Attributes:
        photo: its photo.
        landmarks: (21, 2) float32 x, y px; None if MediaPipe finds no hand on the mask, so that
            prompts come from the mask.
        others: landmarks of the other hands on the mask; none if the mask is that of an instance.
        instance: the hand's number in the photo's instances; 0 without instances.
        target: which mask is learned, "hand" or "object".
    """

    photo: TrainingPhoto
    landmarks: np.ndarray | None
    others: tuple[np.ndarray, ...] = ()
    target: str = HAND
    instance: int = 0

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """Load the photo, (H, W, 3) uint8 RGB, and the hand's or its object's mask, (H, W) bool.

        Raises:
            ValueError: if one of them cannot be read, or the target is the object and it is not
                labelled.
        """
        image, mask = self.photo.load()
        if self.target == OBJECT:
            mask = _object_mask(self.photo, mask.shape)
        elif self.instance:
            numbers = _instances(self.photo, mask.shape)
            assert numbers is not None
            mask = numbers == self.instance
        if self.landmarks is None or (self.target == HAND and self.instance):
            return image, mask
        islands = Components.of(mask, 8)
        owners = _owners(islands, [self.landmarks, *self.others], self.target == HAND)
        return image, (owners == 0)[islands.labels]

    def digest(self) -> str:
        """Return a hash of the photo and the masks that `load` reads."""
        if self.target == HAND:
            return (
                f"{self.photo.digest()} {self.instance}" if self.instance else self.photo.digest()
            )
        held = hashlib.sha256(np.packbits(self.load()[1]).tobytes()).hexdigest()
        return f"{self.photo.digest()} {held}"


@dataclass(frozen=True, eq=False)
class FoundHands:
    """The hands found in a data set's photos.

    Attributes:
        hands: hands to train on.
        missed: ids of photos in which MediaPipe finds no hand of the mask; they are in `hands`
            without landmarks.
        unfound: the same, if the target is the object; left out.
        entangled: ids of photos with hands that share an island of the mask and cannot be
            separated; left out.
        empty: ids of photos whose mask shows nothing to prompt for; left out.
        unreadable: by id, why a photo cannot be used; left out.
    """

    hands: tuple[TrainingHand, ...]
    missed: tuple[str, ...] = ()
    unfound: tuple[str, ...] = ()
    entangled: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """Return one line for the user."""
        parts = [f"{len(self.hands)} hands"]
        for ids, what in (
            (
                [hand for hand in self.hands if hand.landmarks is None],
                "prompted from their mask, as MediaPipe does not find them",
            ),
            (self.unfound, "left out, as MediaPipe finds no hand to hold anything"),
            (self.entangled, "left out, as their hands touch"),
            (self.empty, "left out, as their mask is empty"),
            (tuple(self.unreadable), "left out, as they cannot be read"),
        ):
            if ids:
                parts.append(f"{len(ids)} {what}")
        return "; ".join(parts)


def find_hands(
    photos: Iterable[TrainingPhoto],
    cache: str | Path,
    landmarker: HandLandmarker | None = None,
    target: str = HAND,
) -> FoundHands:
    """Find the hands in the photos' masks.

    MediaPipe's findings are kept in the folder `cache`, a `Journal`, by the hash of photo and mask,
    so changed photos are processed again. Photos that cannot be read are left out. If `target` is
    the object, so are photos without its mask and hands without landmarks, as nothing else says
    where they hold something.

    Raises:
        OSError: if `cache` cannot be written.
    """
    journal = Journal(cache)
    hands: list[TrainingHand] = []
    ids: dict[str, list[str]] = {kind: [] for kind in ("missed", "unfound", "entangled", "empty")}
    unreadable: dict[str, str] = {}
    own = landmarker
    try:
        for photo in photos:
            try:
                digest, new = photo.digest(), None
                if digest not in journal:
                    own = own or HandLandmarker()
                    new = _look(own, photo)
                if target == OBJECT:
                    _object_mask(photo, photo.load()[1].shape)
            except (ValueError, OSError) as error:
                logger.warning("%s", error)
                unreadable[photo.id] = str(error)
                continue
            if new is not None:
                journal.record(digest, [new[0], [hand.to_json() for hand in new[1]]])
            kind, stored = journal[digest]
            found = [_Found.from_json(*hand) for hand in stored]
            if target == OBJECT and kind in ("missed", "hands"):
                found = [hand for hand in found if hand.landmarks is not None]
                kind = kind if found else "unfound"
            if kind != "hands":
                ids[kind].append(photo.id)
            marks = [hand.landmarks for hand in found if hand.landmarks is not None]
            for hand in found:
                others = tuple(points for points in marks if points is not hand.landmarks)
                if target == HAND and hand.instance:
                    others = ()
                hands.append(TrainingHand(photo, hand.landmarks, others, target, hand.instance))
    finally:
        if own is not None and landmarker is None:
            own.close()
    return FoundHands(
        tuple(hands), **{name: tuple(value) for name, value in ids.items()}, unreadable=unreadable
    )


class _Found(NamedTuple):
    """A hand in a photo: `TrainingHand.landmarks` and `TrainingHand.instance`."""

    landmarks: np.ndarray | None
    instance: int = 0

    def to_json(self) -> list[Any]:
        points = self.landmarks
        return [None if points is None else points.astype(float).round(2).tolist(), self.instance]

    @classmethod
    def from_json(cls, points: list[list[float]] | None, instance: int) -> _Found:
        return cls(None if points is None else np.array(points, np.float32), instance)


def _look(landmarker: HandLandmarker, photo: TrainingPhoto) -> tuple[str, list[_Found]]:
    image, mask = photo.load()
    numbers = _instances(photo, mask.shape)
    if not len(prompts_from_mask(mask)[0]):
        return "empty", []
    found = [hand.points for hand in landmarker.detect(image)]
    if numbers is not None:
        return _by_instance(numbers, found)
    near = _grown(mask)
    found = [points for points in found if share_inside(points, near) >= ON_MASK]
    if not found:
        return "missed", [_Found(None)]
    if len(found) > 1:
        counts = _landmarks_on(Components.of(mask, 8), found)
        if ((counts >= SHARED).sum(0) > 1).any():
            return "entangled", []
    return "hands", [_Found(points) for points in found]


def _by_instance(numbers: np.ndarray, found: list[np.ndarray]) -> tuple[str, list[_Found]]:
    """Return each labelled instance with the landmarks that fit it best, if any."""
    hands, left = [], list(found)
    for number in np.flatnonzero(np.bincount(numbers.ravel())[1:] >= SMALLEST) + 1:
        own = numbers == number
        if not len(prompts_from_mask(own)[0]):
            continue
        near = _grown(own)
        shares = [share_inside(points, near) for points in left]
        place = int(np.argmax(shares)) if shares else -1
        there = bool(shares) and shares[place] >= ON_MASK
        hands.append(_Found(left.pop(place) if there else None, int(number)))
    if not hands:
        return "empty", []
    return "hands" if any(hand.landmarks is not None for hand in hands) else "missed", hands


def _instances(photo: TrainingPhoto, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the hand number of each pixel in a photo of `shape` (H, W); None if not labelled."""
    numbers = photo.load_instances()
    if numbers is not None and numbers.shape != shape:
        raise ValueError(
            f"the instances of {photo.id} are {numbers.shape}, its photo {shape} (H, W)"
        )
    return numbers


def _object_mask(photo: TrainingPhoto, shape: tuple[int, ...]) -> np.ndarray:
    """Return the object mask of a photo of `shape` (H, W); ValueError if not labelled."""
    held = photo.load_object_mask()
    if held is None:
        raise ValueError(f"{photo.id} has no object mask")
    if held.shape != shape:
        raise ValueError(f"the object mask of {photo.id} is {held.shape}, its photo {shape} (H, W)")
    return held


def _grown(mask: np.ndarray) -> np.ndarray:
    """Dilate `mask` by 2 px: landmarks lie on bones, but a few jitter off a thin finger."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)


def _owners(islands: Components, hands: Sequence[np.ndarray], whole: bool) -> np.ndarray:
    """Return the index of each island's hand, (N + 1,), and -1 for none; see `Components`.

    An island belongs to the hand with most landmarks on it, else to the nearest hand. If the
    islands should be `whole` hands, a large one without landmarks is another hand that was not
    found, unless it lies past the wrist: a forearm beyond a watch.
    """
    counts = _landmarks_on(islands, hands)
    owners = counts.argmax(0)
    owners[0] = -1
    known = counts.any(0)
    own = [islands.areas[known & (owners == index)].sum() for index in range(len(hands))]
    for index in np.flatnonzero(~known)[1:]:
        rows, columns = np.nonzero(islands.labels == index)
        middle = np.array([columns.mean(), rows.mean()])
        near = int(np.argmin([np.linalg.norm(p - middle, axis=1).min() for p in hands]))
        strange = islands.areas[index] >= STRANGE * own[near]
        foreign = whole and strange and not past_wrist(middle[None], hands[near])[0]
        owners[index] = -1 if foreign else near
    return owners


def _landmarks_on(islands: Components, hands: Sequence[np.ndarray]) -> np.ndarray:
    """Count each hand's landmarks on each island, (hands, N + 1), 0 off the islands."""
    counts = [
        np.bincount(values_at(islands.labels, points), minlength=len(islands.areas))
        for points in hands
    ]
    return np.stack(counts) * (np.arange(len(islands.areas)) > 0)
