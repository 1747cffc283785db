"""The square part of a photo that a model sees, and the way there and back.

Every SAM family gets the same geometry: a square with whole-pixel corners is cut from the photo
(the outside filled with a constant) and resized to the model's input. Pixel coordinates name pixel
centres, as in OpenCV and SAM: the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

FILL = (124, 116, 104)
"""RGB of what lies outside of the photo: ImageNet's mean colour, close to zero once normalised."""


@dataclass(frozen=True)
class Region:
    """A square of `side` px whose top left pixel is (`x`, `y`); it may reach out of the photo."""

    x: int
    y: int
    side: int

    @classmethod
    def around(cls, box: np.ndarray, margin: float) -> Region:
        """The square around the centre of `box` (xyxy, px), wider by `margin` on each side.

        `margin` is a fraction of the longer side of the box: 0.25 gives a square of 1.5 times it.
        """
        x0, y0, x1, y1 = (float(value) for value in box)
        side = max(8, round(max(x1 - x0, y1 - y0) * (1 + 2 * margin)))
        return cls(round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2), side)

    def crop(self, image: np.ndarray, size: int) -> np.ndarray:
        """Cut the region out of `image` (H, W, 3) uint8 and resize it to (size, size, 3)."""
        height, width = image.shape[:2]
        left, top = max(0, -self.x), max(0, -self.y)
        x0, y0 = max(0, self.x), max(0, self.y)
        x1, y1 = min(width, self.x + self.side), min(height, self.y + self.side)
        patch = image[y0 : max(y0, y1), x0 : max(x0, x1)]
        if patch.shape[:2] != (self.side, self.side):
            canvas = np.empty((self.side, self.side, 3), np.uint8)
            canvas[:] = FILL
            canvas[top : top + patch.shape[0], left : left + patch.shape[1]] = patch
            patch = canvas
        if size == self.side:
            return patch if patch.base is None else patch.copy()
        # INTER_AREA averages when it shrinks and would show blocks when it grows.
        interpolation = cv2.INTER_AREA if size < self.side else cv2.INTER_CUBIC
        return cv2.resize(patch, (size, size), interpolation=interpolation)

    def to_crop(self, points: np.ndarray, size: int) -> np.ndarray:
        """Photo pixels (..., 2) x, y -> pixels of the region resized to `size`, float32."""
        offset = np.array([self.x, self.y], np.float32)
        scaled = (np.asarray(points, np.float32) - offset + 0.5) * (size / self.side)
        return (scaled - 0.5).astype(np.float32)

    def from_crop(self, points: np.ndarray, size: int) -> np.ndarray:
        """The inverse of `to_crop`."""
        offset = np.array([self.x, self.y], np.float32)
        scaled = (np.asarray(points, np.float32) + 0.5) * (self.side / size)
        return (scaled - 0.5 + offset).astype(np.float32)

    def clip(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of a (height, width) photo that the region covers."""
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
