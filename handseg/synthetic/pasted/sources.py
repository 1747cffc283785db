"""Photos of hands with masks on disk, and cached landmarks that MediaPipe finds on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handseg.data.image_mask import ImageMaskPair
from handseg.landmarks import HandLandmarker
from handseg.landmarks.anatomy import share_inside
from handseg.runtime.journal import Journal
from handseg.runtime.progress import tracked

LANDMARKS = "landmarks"
"""Folder of the landmarks that `add_landmarks` keeps; a folder of pairs may come with one."""


@dataclass(frozen=True, eq=False)
class Example(ImageMaskPair):
    """A pair and the landmarks of the hand that its mask shows.

    Attributes:
        landmarks: (21, 2) float32 x, y in pixels; None where MediaPipe finds no hand on the mask.
    """

    landmarks: np.ndarray | None = None

    @property
    def set_name(self) -> str:
        """The folder that the pair comes from."""
        return self.id.split("/")[0]


def add_landmarks(
    pairs: Sequence[ImageMaskPair],
    cache: str | Path,
    landmarker: HandLandmarker | None = None,
) -> list[Example]:
    """Find each pair's hand.

    Results are kept in the folder `cache`, a `Journal`, by the hash of photo and mask, so a changed
    photo is processed again.

    Of several hands in a photo, the one with the most landmarks on the mask is taken. If under 70 %
    of them lie on it, it is another hand, and the pair gets no landmarks.
    """
    journal = Journal(cache)
    digests = [pair.digest() for pair in pairs]
    by_digest = dict(zip(digests, pairs, strict=True))
    if missing := [digest for digest in by_digest if digest not in journal]:
        own = landmarker or HandLandmarker()
        try:
            for digest in tracked(missing, "landmarks"):
                journal.record(digest, _landmarks_on_mask(own, by_digest[digest]))
        finally:
            if landmarker is None:
                own.close()
    examples = []
    for pair, digest in zip(pairs, digests, strict=True):
        points = None if (found := journal[digest]) is None else np.array(found, np.float32)
        examples.append(Example(pair.id, pair.image_path, pair.mask_path, points))
    return examples


def _landmarks_on_mask(landmarker: HandLandmarker, pair: ImageMaskPair) -> list | None:
    image, mask = pair.load()
    # Landmarks lie on bones, but their jitter puts a few beside a thin finger.
    near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    best, best_share = None, 0.7
    for hand in landmarker.detect(image):
        share = share_inside(hand.points, near)
        if share >= best_share:
            best, best_share = hand.points, share
    return None if best is None else best.astype(float).round(2).tolist()


def count_by_set(examples: Iterable[Example]) -> dict[str, int]:
    return dict(Counter(example.set_name for example in examples))
