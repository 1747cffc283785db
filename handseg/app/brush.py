"""Brush strokes, and their effect on a hand's alpha."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from handseg.results import Hand
from handseg.results.hand import paint, window


@dataclass(frozen=True, eq=False)
class Stroke:
    """A stroke: a disc dragged along a line.

    Attributes:
        points: (N, 2) float32 x, y px of the photo, with N >= 1; they may lie outside the photo.
        radius: radius of the disc, px of the photo.
        erase: remove the covered area instead of adding it.

    Raises:
        ValueError: if there is no point, or a point or the radius is not finite.
    """

    points: np.ndarray
    radius: float
    erase: bool = False

    def __post_init__(self) -> None:
        points = self.points
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise ValueError(f"points must be (N, 2) with N >= 1, got {points.shape}")
        if not np.isfinite(points).all():
            raise ValueError("points must be finite")
        if not (np.isfinite(self.radius) and self.radius > 0):
            raise ValueError(f"radius must be above 0, got {self.radius}")


def cover(stroke: Stroke, shape: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Compute how far a stroke covers the pixels around it.

    Args:
        stroke: the stroke.
        shape: height, width of the photo.

    Returns:
        (h, w) uint8, at least 128 where a pixel's centre is within the radius, falling from 255 to
        0 over one px; and the x, y of the first pixel in the photo. Pixels along the border are 0
        unless the photo ends there. Of size 0 if the stroke misses the photo.
    """
    line = stroke.points.astype(np.float32)
    left, top, right, bottom = _around(line, stroke.radius, shape)
    squares = np.full((max(0, bottom - top), max(0, right - left)), np.inf, np.float32)
    if not squares.size:
        return squares.astype(np.uint8), (0, 0)
    line = line - np.array([left, top], np.float32)
    for start, end in zip(line, line[1:] if len(line) > 1 else line, strict=False):
        x0, y0, x1, y1 = _around(np.stack([start, end]), stroke.radius, squares.shape)
        part = squares[y0:y1, x0:x1]
        np.minimum(part, _squares(x0, y0, part.shape, start, end), out=part)
    alpha = np.clip(stroke.radius + 0.5 - np.sqrt(squares), 0, 1)
    return np.rint(alpha * 255).astype(np.uint8), (left, top)


def apply(hand: Hand, strokes: Sequence[Stroke]) -> Hand:
    """Paint `strokes` over a hand's alpha, one after the other."""
    if not strokes:
        return hand
    alpha = paint(hand.patch, hand.offset, hand.image_shape)
    for stroke in strokes:
        covered, offset = cover(stroke, hand.image_shape)
        part = alpha[window(covered, offset)]
        if stroke.erase:
            np.minimum(part, 255 - covered, out=part)
            _drop_lost_edges(part, covered)
        else:
            np.maximum(part, covered, out=part)
    made = Hand.from_alpha(
        alpha, (0, 0), hand.image_shape, prompt_box=hand.box, predicted_iou=hand.predicted_iou
    )
    return replace(hand, patch=made.patch, offset=made.offset, box=made.box)


def _drop_lost_edges(part: np.ndarray, covered: np.ndarray) -> None:
    """Clear soft edges under an eraser that no longer have a mask next to them."""
    if part.size:
        beside = cv2.dilate((part >= 128).view(np.uint8), np.ones((3, 3), np.uint8))
        part[(covered > 0) & (beside == 0)] = 0


def _around(line: np.ndarray, radius: float, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of a brush's reach along `line`, the last two exclusive."""
    room = np.array(shape[1::-1])
    low = np.clip(np.floor(line.min(0) - radius - 1), 0, room).astype(int)
    high = np.clip(np.ceil(line.max(0) + radius + 1) + 1, 0, room).astype(int)
    return (*low.tolist(), *high.tolist())


def _squares(
    x: int, y: int, shape: tuple[int, ...], start: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """Return squared distances, px, of pixels to a line; the first pixel is at `x`, `y`."""
    along = end - start
    across = np.arange(shape[1], dtype=np.float32) + (x - start[0])
    down = np.arange(shape[0], dtype=np.float32)[:, None] + (y - start[1])
    length = float(along @ along)
    if not length:
        return across**2 + down**2
    share = across * (along[0] / length) + down * (along[1] / length)
    np.clip(share, 0, 1, out=share)
    return (across - share * along[0]) ** 2 + (down - share * along[1]) ** 2
