"""Reading arrays of pixels at points."""

from __future__ import annotations

import numpy as np


def values_at(array: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Read `array` (H, W, ...) at the pixels that `points` (N, 2) x, y lie in.

    Returns:
        (M, ...) values, M <= N: points outside the array are left out.
    """
    x, y = np.rint(points).astype(int).reshape(-1, 2).T
    inside = (x >= 0) & (y >= 0) & (x < array.shape[1]) & (y < array.shape[0])
    return array[y[inside], x[inside]]
