"""A hand that was found in a photo."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class HandLandmarks:
    """One hand found in a photo.

    Attributes:
        points: (21, 2) float32, x, y in pixels of the photo, in MediaPipe's order (0 the wrist,
            then four joints a finger from thumb to little finger). May lie outside of the photo.
        handedness: "left" or "right", the anatomical hand in a photo that is not mirrored.
        score: MediaPipe's confidence in the handedness, 0..1.
        votes: how many of the views taken found this hand.
    """

    points: np.ndarray
    handedness: str
    score: float
    votes: int = 1

    @property
    def box(self) -> np.ndarray:
        """(4,) float32 xyxy px, the tight box of the points."""
        return np.concatenate([self.points.min(0), self.points.max(0)])

    def resized(self, factor: float | np.ndarray) -> HandLandmarks:
        """This hand in the photo resized by `factor`, a number or (2,) for x and y."""
        points = ((self.points + 0.5) * factor - 0.5).astype(np.float32)
        return replace(self, points=points)
