"""Photos of hands with masks on disk, and the landmarks that MediaPipe finds on them, kept once."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handseg.images import IMAGE_SUFFIXES, load_image, write_atomic
from handseg.prompts import HandLandmarker

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Example:
    """A photo, its hand mask and the landmarks of the hand that the mask shows.

    Attributes:
        id: "<set>/<stem>".
        image_path: the photo.
        mask_path: 8-bit mask of the same size, 255 on the hand; None for a photo without one.
        landmarks: (21, 2) float32 x, y in pixels; None where MediaPipe finds no hand on the mask.
    """

    id: str
    image_path: Path
    mask_path: Path | None
    landmarks: np.ndarray | None = None

    @property
    def set_name(self) -> str:
        return self.id.split("/")[0]

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """The photo, (H, W, 3) uint8 RGB, and the mask, (H, W) bool."""
        image = load_image(self.image_path)
        if self.mask_path is None:
            raise ValueError(f"{self.id} has no mask")
        return image, load_mask(self.mask_path, image.shape[:2])


def load_mask(path: Path, shape: Sequence[int]) -> np.ndarray:
    """A mask file as (H, W) bool. Raises ValueError if it is not of `shape` (H, W)."""
    mask = load_image(path)[..., 0] > 127
    if mask.shape != tuple(shape):
        raise ValueError(f"{path} is {mask.shape}, but its photo is {tuple(shape)} (H, W)")
    return mask


def find_pairs(folder: str | Path) -> list[Example]:
    """Every photo in `<folder>/images` whose mask is in `<folder>/masks` under the same stem.

    Raises ValueError for a folder without `images` and `masks`, two files of one stem, or no pair.
    """
    folder = Path(folder)
    images, masks = (_by_stem(folder / name) for name in ("images", "masks"))
    for stem in sorted(images.keys() - masks.keys()):
        logger.warning("%s has no mask in %s", images[stem], folder / "masks")
    pairs = [
        Example(f"{folder.name}/{stem}", images[stem], masks[stem])
        for stem in sorted(images.keys() & masks.keys())
    ]
    if not pairs:
        raise ValueError(f"no photo in {folder}/images has a mask of its name in {folder}/masks")
    return pairs


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ValueError(f"expected the folder {folder}; a data folder holds images/ and masks/")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in files:
            raise ValueError(f"{files[path.stem]} and {path.name} have the same stem")
        files[path.stem] = path
    return files


def add_landmarks(
    examples: Sequence[Example],
    cache_file: str | Path,
    landmarker: HandLandmarker | None = None,
) -> list[Example]:
    """Find each example's hand, reading and extending `cache_file` (JSON: id -> 21 points or null).

    Of several hands in a photo the one with most landmarks on the mask is taken; under 70 % of
    them on it, it is another hand, and the example has none.
    """
    cache_path = Path(cache_file)
    cache = json.loads(cache_path.read_text()) if cache_path.is_file() else {}
    missing = [example for example in examples if example.id not in cache]
    if missing:
        from rich.progress import track

        own = landmarker or HandLandmarker()
        try:
            for count, example in enumerate(track(missing, "landmarks"), 1):
                cache[example.id] = _landmarks_on_mask(own, example)
                if count % 500 == 0:
                    _write_json(cache_path, cache)
        finally:
            _write_json(cache_path, cache)
            if landmarker is None:
                own.close()
    return [
        Example(
            example.id,
            example.image_path,
            example.mask_path,
            None if cache[example.id] is None else np.array(cache[example.id], np.float32),
        )
        for example in examples
    ]


def _landmarks_on_mask(landmarker: HandLandmarker, example: Example) -> list | None:
    image, mask = example.load()
    # Landmarks lie on bones, but their jitter puts a few beside a thin finger.
    near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    best, best_share = None, 0.7
    for hand in landmarker.detect(image):
        share = share_inside(hand.points, near)
        if share >= best_share:
            best, best_share = hand.points, share
    return None if best is None else np.round(best, 2).tolist()


def share_inside(points: np.ndarray, mask: np.ndarray) -> float:
    """The share of `points` (N, 2) x, y that lie on `mask` (H, W); none off the photo does."""
    height, width = mask.shape
    x, y = np.round(points).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return float(mask[y[inside], x[inside]].sum() / max(1, len(points)))


def _write_json(path: Path, values: object) -> None:
    with write_atomic(path) as temporary:
        Path(temporary).write_text(json.dumps(values))


def count_by_set(examples: Iterable[Example]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for example in examples:
        counts[example.set_name] = counts.get(example.set_name, 0) + 1
    return counts
