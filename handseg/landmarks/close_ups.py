"""Square close-ups of places where the hand finder suspects a hand."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 192
"""px: width and height of a close-up."""
REACH = 2.4
"""Its width in the photo, in multiples of the longer side of the box."""
PAD = 128
"""Grey value outside the photo; the network normalises it to 0."""


@dataclass(frozen=True, eq=False)
class CloseUp:
    """A square part of a photo, scaled to `SIDE`.

    Attributes:
        low: (2,) x, y px of the photo, its upper left corner; pixel centres are at +0.5.
        scale: px of the close-up per px of the photo.
    """

    low: np.ndarray
    scale: float

    @classmethod
    def of(cls, box: np.ndarray) -> CloseUp:
        """The close-up of `box`, (4,) xyxy px of the photo."""
        width = max(1.0, float((box[2:] - box[:2]).max())) * REACH
        return cls((box[:2] + box[2:]) / 2 + 0.5 - width / 2, SIDE / width)

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """The close-up of `image`, (H, W, 3) uint8 RGB: (SIDE, SIDE, 3) uint8."""
        low, scale = self.low, self.scale
        if scale < 0.7:  # Warping alone samples single pixels.
            sides = np.maximum(1, np.round(np.array(image.shape[1::-1]) * scale)).astype(int)
            factors = sides / image.shape[1::-1]
            image = cv2.resize(image, sides.tolist(), interpolation=cv2.INTER_AREA)
            low, scales = low * factors, scale / factors
        else:
            scales = np.array([scale, scale])
        matrix = np.column_stack([np.diag(scales), (0.5 - low) * scales - 0.5])
        return cv2.warpAffine(
            image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderValue=(PAD, PAD, PAD)
        )

    def inward(self, box: np.ndarray) -> np.ndarray:
        """Move `box`, (4,) xyxy px of the photo, into the close-up."""
        moved: np.ndarray = (box.reshape(2, 2) + 0.5 - self.low) * self.scale - 0.5
        return moved.reshape(4).astype(np.float32)
