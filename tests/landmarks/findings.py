"""Hands from the landmark stage."""

from __future__ import annotations

import numpy as np

from handseg.landmarks.anatomy import hand_size


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean distance of the landmarks, in hand sizes."""
    return float(np.linalg.norm(one - other, axis=1).mean() / hand_size(other))
