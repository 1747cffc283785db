"""Landmarks of hands in any pose."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from handseg.landmarks.anatomy import hand_size

# Any 21 points that are not all in one spot.
POSES = npst.arrays(np.float32, (21, 2), elements=st.floats(-100, 700, width=32)).filter(
    lambda points: hand_size(points) > 20
)


def placed(
    hand: np.ndarray, x: float, y: float, scale: float = 1.0, angle: float = 0.0
) -> np.ndarray:
    """Return `hand` with its wrist at (x, y), rotated by `angle` degrees."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turned = hand @ np.array([[cos, sin], [-sin, cos]])
    return (turned * scale + (x, y)).astype(np.float32)
