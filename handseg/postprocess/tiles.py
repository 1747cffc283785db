"""Restrict work to the part of a picture around a contour, as tiles or one box."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

Window = tuple[slice, slice]

TILE = 112
"""Side of a tile, px: filters ran fastest with it, from 0.3 to 12 megapixels."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of a picture, as rows and columns.

    Attributes:
        inner: the part to compute.
        outer: `inner` with its surroundings, clipped to the picture.
        within: `inner` in the coordinates of `outer`.
    """

    inner: Window
    outer: Window
    within: Window


def tiles_with(band: np.ndarray, size: int, pad: int) -> Iterator[Tile]:
    """Yield the tiles of a grid of `size` px that contain a pixel of `band` (h, w) bool.

    Args:
        band: the pixels to compute.
        size: side of a tile, px; those at the right and bottom edge may be smaller.
        pad: px of surroundings on each side.
    """
    height, width = band.shape
    if not band.size:
        return
    columns_at = np.arange(0, width, size)
    for top in range(0, height, size):
        row = cv2.reduce(band[top : top + size].view(np.uint8), 0, cv2.REDUCE_MAX)[0]
        for left in columns_at[np.maximum.reduceat(row, columns_at) > 0].tolist():
            yield _tile(top, min(height, top + size), left, min(width, left + size), pad, band)


def box_with(band: np.ndarray, pad: int) -> Tile | None:
    """Find the smallest tile with all pixels of `band` (h, w) bool; None if there are none.

    `pad` is the px of surroundings on each side.
    """
    left, top, width, height = cv2.boundingRect(band.view(np.uint8))
    return _tile(top, top + height, left, left + width, pad, band) if width else None


def _tile(top: int, bottom: int, left: int, right: int, pad: int, band: np.ndarray) -> Tile:
    spans = []
    for start, stop, end in ((top, bottom, band.shape[0]), (left, right, band.shape[1])):
        first, last = max(0, start - pad), min(end, stop + pad)
        spans.append((slice(start, stop), slice(first, last), slice(start - first, stop - first)))
    rows, columns = spans
    return Tile(*zip(rows, columns, strict=True))
