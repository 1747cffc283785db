"""Overlap of bounding boxes, xyxy in pixels, in arrays of any numeric dtype."""

from __future__ import annotations

import numpy as np


def shared_area(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N, M) float64: the intersection areas of boxes (N, 4) and (M, 4)."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    return np.clip(high.astype(float) - low, 0, None).prod(-1)


def areas(boxes: np.ndarray) -> np.ndarray:
    """(N,) float64: the areas of boxes (N, 4)."""
    return (boxes[:, 2:].astype(float) - boxes[:, :2]).prod(-1)


def box_iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N, M) float64: the IoU of boxes (N, 4) and (M, 4); 0 for two without area."""
    common = shared_area(one, other)
    either = areas(one)[:, None] + areas(other)[None] - common
    return common / np.maximum(either, 1e-6)
