"""Work on the part of a large picture that a contour runs through, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

Window = tuple[slice, slice]

TILE = 112
"""px of a tile's side: filters ran fastest with it, from 0.3 to 12 megapixels."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of a picture, as rows and columns.

    Attributes:
        inner: what is to be computed.
        outer: the same with its surroundings, as far as the picture goes.
        within: `inner` in the coordinates of `outer`.
    """

    inner: Window
    outer: Window
    within: Window


def tiles_with(band: np.ndarray, size: int, pad: int) -> Iterator[Tile]:
    """The tiles of `size` px of a grid that hold a pixel of `band` (h, w) bool.

    Args:
        band: where something is to be computed.
        size: px of a tile's side; those at the right and bottom edge may be smaller.
        pad: px of surroundings on each side.
    """
    height, width = band.shape
    if not band.size:
        return
    columns_at = np.arange(0, width, size)
    for top in range(0, height, size):
        row = cv2.reduce(band[top : top + size].view(np.uint8), 0, cv2.REDUCE_MAX)[0]
        for left in columns_at[np.maximum.reduceat(row, columns_at) > 0].tolist():
            spans = []
            for start, end in ((top, height), (left, width)):
                stop = min(end, start + size)
                first, last = max(0, start - pad), min(end, stop + pad)
                spans.append((slice(start, stop), slice(first, last), start - first, stop - start))
            (rows, wide_rows, y, tall), (columns, wide_columns, x, wide) = spans
            yield Tile(
                (rows, columns),
                (wide_rows, wide_columns),
                (slice(y, y + tall), slice(x, x + wide)),
            )
