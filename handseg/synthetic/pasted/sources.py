"""Photos of hands with masks on disk, and the landmarks that MediaPipe finds on them, kept once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handseg.data.image_mask import ImageMaskPair
from handseg.landmarks import HandLandmarker
from handseg.landmarks.anatomy import share_inside
from handseg.runtime.files import write_atomic


@dataclass(frozen=True, eq=False)
class Example(ImageMaskPair):
    """A pair and the landmarks of the hand that its mask shows.

    Attributes:
        landmarks: (21, 2) float32 x, y in pixels; None where MediaPipe finds no hand on the mask.
    """

    landmarks: np.ndarray | None = None

    @property
    def set_name(self) -> str:
        """The folder that the pair is from."""
        return self.id.split("/")[0]


def add_landmarks(
    pairs: Sequence[ImageMaskPair],
    cache_file: str | Path,
    landmarker: HandLandmarker | None = None,
) -> list[Example]:
    """Find each pair's hand, reading and extending `cache_file` (JSON: id -> 21 points or null).

    Of several hands in a photo the one with most landmarks on the mask is taken; under 70 % of
    them on it, it is another hand, and the pair has none.
    """
    cache_path = Path(cache_file)
    cache = json.loads(cache_path.read_text()) if cache_path.is_file() else {}
    missing = [pair for pair in pairs if pair.id not in cache]
    if missing:
        from rich.progress import track

        own = landmarker or HandLandmarker()
        try:
            for count, pair in enumerate(track(missing, "landmarks"), 1):
                cache[pair.id] = _landmarks_on_mask(own, pair)
                if count % 500 == 0:
                    _write_json(cache_path, cache)
        finally:
            _write_json(cache_path, cache)
            if landmarker is None:
                own.close()
    return [
        Example(
            pair.id,
            pair.image_path,
            pair.mask_path,
            None if cache[pair.id] is None else np.array(cache[pair.id], np.float32),
        )
        for pair in pairs
    ]


def _landmarks_on_mask(landmarker: HandLandmarker, pair: ImageMaskPair) -> list | None:
    image, mask = pair.load()
    # Landmarks lie on bones, but their jitter puts a few beside a thin finger.
    near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    best, best_share = None, 0.7
    for hand in landmarker.detect(image):
        share = share_inside(hand.points, near)
        if share >= best_share:
            best, best_share = hand.points, share
    return None if best is None else np.round(best, 2).tolist()


def _write_json(path: Path, values: object) -> None:
    with write_atomic(path) as temporary:
        Path(temporary).write_text(json.dumps(values))


def count_by_set(examples: Iterable[Example]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for example in examples:
        counts[example.set_name] = counts.get(example.set_name, 0) + 1
    return counts
