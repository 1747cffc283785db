"""The square part of a photo that a model sees, and the mapping to it and back.

Every SAM family gets the same geometry: a square with whole-pixel corners is cut from the photo
(padded with a constant outside it) and resized to the model's input. Pixel coordinates refer to
pixel centres, as in OpenCV and SAM: the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

FILL = (124, 116, 104)
"""RGB of the area outside the photo: ImageNet's mean colour, close to zero once normalised."""

_LARGE = 1024  # px: minimum side for which halving before the final resize saves time.


@dataclass(frozen=True)
class Region:
    """A square of `side` px whose top left pixel is (`x`, `y`); it may extend beyond the photo."""

    x: int
    y: int
    side: int

    @classmethod
    def around(cls, box: np.ndarray, margin: float) -> Region:
        """The square around the centre of `box` (xyxy, px), wider by `margin` on each side.

        `margin` is a fraction of the longer side of the box: with 0.25 the square is 1.5 times as
        wide.
        """
        x0, y0, x1, y1 = (float(value) for value in box)
        side = max(8, round(max(x1 - x0, y1 - y0) * (1 + 2 * margin)))
        return cls(round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2), side)

    def crop(self, image: np.ndarray, size: int) -> np.ndarray:
        """Cut the region out of `image` (H, W, 3) uint8 and resize it to (size, size, 3).

        A large region is halved while it stays larger than `size` before the final resize, which
        takes a third of the time.
        """
        block = 1
        while self.side >= max(_LARGE, 3 * size) * block:
            block *= 2
        rows, top = _whole_blocks(self.y, self.side, image.shape[0], block)
        columns, left = _whole_blocks(self.x, self.side, image.shape[1], block)
        patch = image[rows, columns]
        if not patch.size:
            return np.full((size, size, 3), FILL, np.uint8)
        for _ in range(block.bit_length() - 1):
            patch = cv2.resize(patch, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        side = -(-self.side // block)
        if patch.shape[:2] != (side, side):
            canvas = np.empty((side, side, 3), np.uint8)
            canvas[:] = FILL
            canvas[top : top + patch.shape[0], left : left + patch.shape[1]] = patch
            patch = canvas
        if size == side:
            return patch if patch.base is None else patch.copy()
        # INTER_AREA averages when it shrinks, but would show blocks when it enlarges. Resized by
        # factor, not to a size: the last block may lie only partly in the region.
        interpolation = cv2.INTER_AREA if size < side else cv2.INTER_CUBIC
        factor = size * block / self.side
        resized = cv2.resize(patch, None, fx=factor, fy=factor, interpolation=interpolation)
        return resized[:size, :size]

    def to_crop(self, points: np.ndarray, size: int) -> np.ndarray:
        """Map photo pixels (..., 2) x, y to pixels of the region resized to `size`, float32."""
        offset = np.array([self.x, self.y], np.float32)
        scaled = (np.asarray(points, np.float32) - offset + 0.5) * (size / self.side)
        return (scaled - 0.5).astype(np.float32)

    def clip(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of a (height, width) photo covered by the region."""
        rows = slice(min(max(self.y, 0), height), max(min(self.y + self.side, height), 0))
        columns = slice(min(max(self.x, 0), width), max(min(self.x + self.side, width), 0))
        return rows, columns

    def inside(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of the region itself that lie in a (height, width) photo."""
        rows, columns = self.clip(height, width)
        return (
            slice(rows.start - self.y, rows.stop - self.y),
            slice(columns.start - self.x, columns.stop - self.x),
        )


def _whole_blocks(start: int, side: int, limit: int, block: int) -> tuple[slice, int]:
    """The pixels along one axis of a photo of `limit` px that fill whole blocks of a region.

    Blocks of `block` px are counted from the region's `start`; the last one may extend beyond it.
    The second value is the index of the first such block.
    """
    first = -(-max(0, -start) // block)
    last = max(first, (min(limit, start + -(-side // block) * block) - start) // block)
    begin = start + first * block
    return slice(begin, start + last * block), first
