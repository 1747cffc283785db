"""Drawn photos in which everything red is a hand, and a segmenter that cuts out exactly that.

Blue areas are objects, which a hand holds if they touch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from handseg.landmarks import HandBox, HandFinder, HandLandmarks
from handseg.pipeline.held_objects import ObjectStage
from handseg.prompts import PromptBatch, PromptRecipe
from handseg.segmenter import HandSegmenter

RED, GREEN, BLUE = (220, 30, 30), (30, 160, 60), (30, 40, 220)
LEFT, RIGHT = (45, 60, 25, 35), (120, 60, 25, 35)


def draw_photo(
    *ellipses: tuple[int, int, int, int], size: tuple[int, int] = (160, 120)
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a photo of `size` (width, height) and its mask; ellipses are x, y and two radii, px."""
    image = np.full((size[1], size[0], 3), GREEN, np.uint8)
    mask = np.zeros((size[1], size[0]), np.uint8)
    for x, y, across, down in ellipses:
        cv2.ellipse(image, (x, y), (across, down), 0, 0, 360, RED, -1)
        cv2.ellipse(mask, (x, y), (across, down), 0, 0, 360, 1, -1)
    return image, mask.astype(bool)


def save_photo(path: Path, *ellipses: tuple[int, int, int, int]) -> np.ndarray:
    """Write such a photo, lossless if `path` ends in .png; return its mask."""
    image, mask = draw_photo(*ellipses)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=95)
    return mask


def save_pair(folder: Path, stem: str, hands: Sequence, truth: Sequence) -> None:
    """Save a photo of the ellipses `hands` with a mask of the ellipses `truth`."""
    save_photo(folder / "images" / f"{stem}.png", *hands)
    (folder / "masks").mkdir(exist_ok=True)
    Image.fromarray(draw_photo(*truth)[1]).save(folder / "masks" / f"{stem}.png")


def is_red(image: np.ndarray) -> np.ndarray:
    """Return where `image` (..., 3) is clearly red; the padding around a photo is not."""
    return image[..., 0] > image[..., 1].astype(int) + 40


def is_blue(image: np.ndarray) -> np.ndarray:
    """Return where `image` (..., 3) is clearly blue."""
    return image[..., 2] > image[..., :2].max(-1).astype(int) + 40


def red_segmenter() -> HandSegmenter:
    """Make a real `HandSegmenter` with stages that see only red, and blue for objects."""
    return HandSegmenter(ColorModel(is_red), landmarker=RedLandmarker(), load_objects=blue_objects)


def blue_objects() -> ObjectStage:
    """Make an object stage that takes everything blue for held."""
    return ObjectStage(ColorModel(is_blue), PromptRecipe(box_reach=0.5, region_margin=0.4))


class RedLandmarker:
    """Finds one hand per red patch, the largest first."""

    max_hands = 10

    def __init__(self, finder: HandFinder | None = None) -> None:
        pass

    def detect(self, image: np.ndarray) -> list[HandLandmarks]:
        return self.find(image)

    def suspect(self, image: np.ndarray) -> list[HandBox]:
        return []

    def find(self, image: np.ndarray, finder: bool = True) -> list[HandLandmarks]:
        count, _, stats, _ = cv2.connectedComponentsWithStats(is_red(image).astype(np.uint8))
        found = sorted(stats[1:count].tolist(), key=lambda patch: -patch[cv2.CC_STAT_AREA])
        grid = np.stack(np.meshgrid(np.linspace(0, 1, 3), np.linspace(0, 1, 7)), -1).reshape(21, 2)
        return [
            HandLandmarks((grid * (w - 1, h - 1) + (x, y)).astype(np.float32), "left", 0.9)
            for x, y, w, h, _ in found
        ]

    def close(self) -> None:
        pass


class _Crops:
    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows):
        return _Crops(self.pixels[rows])


class ColorModel:
    """Segments where `sees` is true; counts the crops that it encoded."""

    input_size = mask_size = 256

    def __init__(self, sees: Callable[[np.ndarray], np.ndarray]) -> None:
        self.sees, self.encoded = sees, 0

    def encode(self, crops: np.ndarray) -> _Crops:
        self.encoded += len(crops)
        return _Crops(crops)

    def decode(self, embeddings: _Crops, prompts: PromptBatch) -> tuple[np.ndarray, np.ndarray]:
        seen = self.sees(embeddings.pixels).astype(np.uint8)
        # Distances to the contour rise evenly, like a trained model's logits.
        logits = [_distance(one) - _distance(1 - one) for one in seen]
        return np.stack(logits), np.full(len(prompts), 0.75, np.float32)


def _distance(mask: np.ndarray) -> np.ndarray:
    return np.maximum(cv2.distanceTransform(mask, cv2.DIST_L2, 5) - 0.5, 0)
