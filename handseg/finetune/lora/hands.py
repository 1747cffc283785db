"""The hands to train on: found once in every photo, each with its own part of the photo's mask."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from handseg.landmarks import HandLandmarker, start_quietly
from handseg.landmarks.anatomy import share_inside
from handseg.models.semantic.config import HAND, OBJECT
from handseg.prompts.from_mask import prompts_from_mask
from handseg.runtime.arrays import values_at
from handseg.runtime.files import write_atomic

logger = logging.getLogger(__name__)

ON_MASK = 0.7
"""Share of a found hand's landmarks that must lie on the mask: others are hands beside it."""
SHARED = 5
"""Landmarks of a second hand on an island of the mask from which on the island is of both."""


class TrainingPhoto(Protocol):
    """What is asked of a photo: `handseg.data.LabelledPhotos` holds such."""

    @property
    def id(self) -> str: ...

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """The photo, (H, W, 3) uint8 RGB, and the mask of all its hands, (H, W) bool."""
        ...

    def load_object_mask(self) -> np.ndarray | None:
        """What its hands hold, (H, W) bool; None where that is not labelled."""
        ...

    def digest(self) -> str:
        """A hash of the files' contents."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingHand:
    """One hand of a photo.

    Attributes:
        photo: that it is in.
        landmarks: (21, 2) float32 x, y px; None where MediaPipe finds no hand on the mask and the
            prompts have to be drawn from the mask.
        others: landmarks of the other hands on the mask.
        target: which mask is learned, "hand" or "object".
    """

    photo: TrainingPhoto
    landmarks: np.ndarray | None
    others: tuple[np.ndarray, ...] = ()
    target: str = HAND

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """The photo, (H, W, 3) uint8 RGB, and the mask of this hand or what it holds, (H, W) bool.

        Raises:
            ValueError: if one of them cannot be read, or what is held is to be learned and not
                labelled.
        """
        image, mask = self.photo.load()
        if self.target == OBJECT:
            mask = _object_mask(self.photo, mask.shape)
        if self.landmarks is None or not self.others:
            return image, mask
        islands, owners = _owners(mask, [self.landmarks, *self.others])
        return image, np.isin(islands, np.flatnonzero(owners == 0) + 1)

    def digest(self) -> str:
        """A hash of the photo and the masks that `load` reads."""
        if self.target == HAND:
            return self.photo.digest()
        held = hashlib.sha256(np.packbits(self.load()[1]).tobytes()).hexdigest()
        return f"{self.photo.digest()} {held}"


@dataclass(frozen=True, eq=False)
class FoundHands:
    """What the photos of a data set hold.

    Attributes:
        hands: to train on.
        missed: ids of photos in which MediaPipe finds no hand of the mask; they are in `hands`
            without landmarks.
        unfound: the same, where what they hold is to be learned; these are left out.
        entangled: ids of photos with hands that share an island of the mask, which cannot be told
            apart; these are left out.
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
        """One line for a person."""
        parts = [f"{len(self.hands)} hands"]
        for ids, what in (
            (self.missed, "prompted from their mask, as MediaPipe finds no hand"),
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
    cache_file: str | Path,
    landmarker: HandLandmarker | None = None,
    target: str = HAND,
) -> FoundHands:
    """Find the hands that the photos' masks show.

    What MediaPipe finds is kept in `cache_file` (JSON) by the hash of photo and mask, so a changed
    photo is looked at anew. A photo that cannot be read is left out and the rest goes on. So is,
    where `target` is the object, one without its mask, and a hand without landmarks: nothing else
    says where it holds something.
    """
    cache = _LandmarkCache(Path(cache_file))
    hands: list[TrainingHand] = []
    ids: dict[str, list[str]] = {kind: [] for kind in ("missed", "unfound", "entangled", "empty")}
    unreadable: dict[str, str] = {}
    own = landmarker
    try:
        for photo in photos:
            try:
                digest = photo.digest()
                if digest not in cache.found:
                    own = own or start_quietly(HandLandmarker)
                    cache.add(digest, _hands_on_mask(own, *photo.load()))
                if target == OBJECT:
                    _object_mask(photo, photo.load()[1].shape)
            except (ValueError, OSError) as error:
                logger.warning("%s", error)
                unreadable[photo.id] = str(error)
                continue
            kind, found = cache.get(digest)
            if kind == "missed" and target == OBJECT:
                kind = "unfound"
            if kind != "hands":
                ids[kind].append(photo.id)
            if kind == "missed":
                hands.append(TrainingHand(photo, None))
            for index, landmarks in enumerate(found):
                others = tuple(found[:index] + found[index + 1 :])
                hands.append(TrainingHand(photo, landmarks, others, target))
    finally:
        cache.save()
        if own is not None and landmarker is None:
            own.close()
    return FoundHands(
        tuple(hands), **{name: tuple(value) for name, value in ids.items()}, unreadable=unreadable
    )


class _LandmarkCache:
    """By a photo's hash: "hands", "missed", "entangled" or "empty", and the landmarks.

    They are kept as arrays: as lists of numbers, those of 100,000 photos take some 300 MB.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        stored = json.loads(path.read_text()) if path.is_file() else {}
        self.found: dict[str, tuple[str, list[np.ndarray]]] = {
            digest: (kind, [np.array(hand, np.float32) for hand in hands])
            for digest, (kind, hands) in stored.items()
        }
        self._unsaved = 0

    def get(self, digest: str) -> tuple[str, list[np.ndarray]]:
        return self.found[digest]

    def add(self, digest: str, entry: tuple[str, list[np.ndarray]]) -> None:
        kind, hands = entry
        self.found[digest] = kind, [np.round(hand, 2).astype(np.float32) for hand in hands]
        self._unsaved += 1
        # All is written each time: with a constant step, that grows with the square of the photos.
        if self._unsaved >= max(500, len(self.found) // 10):
            self.save()

    def save(self) -> None:
        if self._unsaved:
            stored = {
                digest: [kind, [np.round(hand, 2).tolist() for hand in hands]]
                for digest, (kind, hands) in self.found.items()
            }
            with write_atomic(self.path) as temporary:
                temporary.write_text(json.dumps(stored))
            self._unsaved = 0


def _hands_on_mask(
    landmarker: HandLandmarker, image: np.ndarray, mask: np.ndarray
) -> tuple[str, list[np.ndarray]]:
    if not len(prompts_from_mask(mask)[0]):
        return "empty", []
    near = _grown(mask)
    found = [
        hand.points
        for hand in landmarker.detect(image)
        if share_inside(hand.points, near) >= ON_MASK
    ]
    if not found:
        return "missed", []
    if len(found) > 1:
        islands, _ = _owners(mask, found)
        counts = np.stack([_landmarks_on_islands(islands, points) for points in found])
        if ((counts >= SHARED).sum(0) > 1).any():
            return "entangled", []
    return "hands", found


def _object_mask(photo: TrainingPhoto, shape: tuple[int, ...]) -> np.ndarray:
    """What the hands of a photo of `shape` (H, W) hold; ValueError where that is not told."""
    held = photo.load_object_mask()
    if held is None:
        raise ValueError(f"{photo.id} has no object mask")
    if held.shape != shape:
        raise ValueError(f"the object mask of {photo.id} is {held.shape}, its photo {shape} (H, W)")
    return held


def _grown(mask: np.ndarray) -> np.ndarray:
    """`mask` by 2 px larger: landmarks lie on bones, but a few jitter off a thin finger."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)


def _owners(mask: np.ndarray, hands: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The islands of `mask`, numbered from 1, and for each the index of the hand that it is of.

    An island is of the hand that has most landmarks on it, or else of the hand nearest to it.
    """
    count, islands = cv2.connectedComponents(mask.astype(np.uint8))
    on_island = np.stack([_landmarks_on_islands(islands, points) for points in hands])
    owners = on_island.argmax(0)
    for index in np.flatnonzero(on_island.max(0) == 0):
        rows, columns = np.nonzero(islands == index + 1)
        middle = np.array([columns.mean(), rows.mean()])
        owners[index] = np.argmin([np.linalg.norm(p - middle, axis=1).min() for p in hands])
    return islands, owners[: count - 1]


def _landmarks_on_islands(islands: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How many of `points` (N, 2) lie on each island."""
    return np.bincount(values_at(islands, points), minlength=int(islands.max()) + 1)[1:]
