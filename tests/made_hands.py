"""Hands made of alpha patches, on small photos of noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from handseg.results import Hand, HandSegmentation

NO_BOX = np.zeros(4, np.float32)
SOFT = np.array([[0, 0.25, 0], [0.5, 1, 0.75], [0, 0.4, 0]], np.float32)
LANDMARKS = np.stack([np.linspace(-3, 9, 21), np.full(21, 2.125)], axis=1).astype(np.float32)


def make_hand(
    alpha: Any, offset: tuple[int, int] = (0, 0), shape: tuple[int, int] = (6, 8), **fields: Any
) -> Hand:
    fields = {"prompt_box": NO_BOX, "predicted_iou": 0.9, **fields}
    return Hand.from_alpha(np.asarray(alpha), offset, shape, **fields)


def make_photo(shape: tuple[int, int] = (6, 8)) -> np.ndarray:
    """Make noise without zeros, so that black pixels cannot come from it."""
    return np.random.default_rng(0).integers(1, 256, (*shape, 3), np.uint8)


def make_disc(side: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    """Return the share of each pixel that a disc covers, from 16 x 16 samples per pixel."""
    steps = (np.arange(side * 16) + 0.5) / 16 - 0.5
    inside = np.hypot(steps - centre[0], steps[:, None] - centre[1]) <= radius
    return inside.reshape(side, 16, side, 16).mean(axis=(1, 3)).astype(np.float32)


def rgba(segmentation: HandSegmentation, **options: Any) -> np.ndarray:
    picture = segmentation.cutout(**options)
    assert picture.mode == "RGBA"
    return np.asarray(picture)
