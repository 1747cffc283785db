"""A hand detected in a photo: its landmarks, or only its box."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np


@dataclass(frozen=True, eq=False)
class HandLandmarks:
    """One hand found in a photo.

    Attributes:
        points: (21, 2) float32, x, y in pixels of the photo, in MediaPipe's order (0 the wrist,
            then four joints per finger from thumb to little finger). May lie outside the photo.
        handedness: "left" or "right", the anatomical hand in a photo that is not mirrored.
        score: MediaPipe's confidence in the handedness, 0..1.
        votes: number of views that show this hand.
        detection_score: the hand finder's confidence that there is a hand, 0..1; None if it was not
            used.
    """

    points: np.ndarray
    handedness: str
    score: float
    votes: int = 1
    detection_score: float | None = None

    @property
    def box(self) -> np.ndarray:
        """(4,) float32 xyxy px, the tight box around the points."""
        return np.concatenate([self.points.min(0), self.points.max(0)])

    def resized(self, factor: float | np.ndarray) -> HandLandmarks:
        """This hand in the photo resized by `factor`, a number or (2,) for x and y."""
        points = ((self.points + 0.5) * factor - 0.5).astype(np.float32)
        return replace(self, points=points)


@dataclass(frozen=True, eq=False)
class HandBox:
    """A hand detected by the hand finder.

    Attributes:
        box: (4,) float32 xyxy px, around the hand up to the wrist; may extend beyond the photo.
        detection_score: confidence that there is a hand, 0..1.
        right: confidence that it is a right hand, 0..1, in a photo that is not mirrored.
        wrist: (2,) float32 unit vector, x, y, from the centre of the box to the wrist.
    """

    box: np.ndarray
    detection_score: float
    right: float
    wrist: np.ndarray

    @property
    def handedness(self) -> str:
        """The more likely one of "left" and "right"."""
        return "right" if self.right >= 0.5 else "left"

    @property
    def score(self) -> float:
        """The finder's confidence in `handedness`, 0..1."""
        return max(self.right, 1 - self.right)

    def resized(self, factor: float | np.ndarray) -> HandBox:
        """This hand in the photo resized by `factor`, a number or (2,) for x and y."""
        corners = (self.box.reshape(2, 2) + 0.5) * factor - 0.5
        return replace(self, box=corners.reshape(4).astype(np.float32))


FoundHand: TypeAlias = "HandLandmarks | HandBox"
