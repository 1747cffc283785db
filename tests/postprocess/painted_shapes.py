"""Discs and fingers painted with exact edges, and logits that are off these edges."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product

import cv2
import numpy as np

from handseg.models.region import Region
from handseg.postprocess import refine
from handseg.postprocess.outline import trace

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Function of x, y that returns the distance to the contour, positive inside; in region sides."""


Colors = tuple[tuple[int, int, int], tuple[int, int, int]]
"""RGB inside and outside."""


SKIN, GROUND = (205, 160, 140), (60, 90, 70)


SIZE = 96


def follow_edges(logits: np.ndarray, view: np.ndarray, outline: float = 0.0) -> np.ndarray:
    """Return the alpha of a photo that is itself the region."""
    side = len(view)
    patch, (x, y) = refine.follow_edges(logits, view, Region(0, 0, side), outline)
    alpha = np.zeros((side, side), np.uint8)
    alpha[y : y + patch.shape[0], x : x + patch.shape[1]] = patch
    return alpha


def disc(radius: float = 0.3, x: float = 0.503, y: float = 0.484) -> Shape:
    return lambda columns, rows: radius - np.hypot(columns - x, rows - y)


def finger(angle: float, width: float = 0.16, length: float = 0.46) -> Shape:
    """Make a bar with round ends, `angle` degrees from the x axis."""
    along = np.cos(np.radians(angle)), np.sin(np.radians(angle))

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = x - 0.503, y - 0.497
        place = np.clip(x * along[0] + y * along[1], -length / 2, length / 2)
        return width / 2 - np.hypot(x - place * along[0], y - place * along[1])

    return distance


def samples(shape: Shape, side: int, dx: float = 0, dy: float = 0) -> np.ndarray:
    """Return distances in px at the centres of side x side pixels, moved by dx, dy px."""
    centres = np.arange(side) + 0.5
    return side * shape((centres[None] + dx) / side, (centres[:, None] + dy) / side)


@cache
def paint(
    shape: Shape, side: int, noise: float = 6, blur: float = 0, colors: Colors = (SKIN, GROUND)
) -> np.ndarray:
    """Paint the shape on the background, with 4 x 4 samples per pixel, and noise."""
    offsets = (np.arange(4) - 1.5) / 4
    cover = np.zeros((side, side))
    for dx, dy in product(offsets, offsets):
        cover += samples(shape, side, dx, dy) > 0
    cover /= 16
    if blur:
        cover = cv2.GaussianBlur(cover, (0, 0), blur)
    view = cover[..., None] * np.array(colors[0]) + (1 - cover[..., None]) * colors[1]
    view += np.random.default_rng(0).normal(0, noise, view.shape)
    return np.clip(view, 0, 255).round().astype(np.uint8)


def logits_of(
    shape: Shape, size: int = SIZE, grown: float = 0, dx: float = 0, dy: float = 0
) -> np.ndarray:
    """Return smooth logits of `shape`, grown and moved by that many logits."""
    return np.clip(3 * (samples(shape, size, -dx, -dy) + grown), -4, 4).astype(np.float32)


def offsets(alpha: np.ndarray, shape: Shape) -> np.ndarray:
    """Return how far each contour vertex is outside the true contour, px."""
    places = (np.concatenate(trace(alpha)) + 0.5) / len(alpha)
    return -len(alpha) * shape(places[:, 0], places[:, 1])


def pieces(mask: np.ndarray) -> tuple[int, int]:
    """Count the connected components of hand and background."""
    on, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    off, _ = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=8)
    return on - 1, off - 1
