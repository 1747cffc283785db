"""Prompts from a ground truth mask: for hands that MediaPipe misses, and for comparison."""

from __future__ import annotations

import cv2
import numpy as np

from handseg.runtime.connected import Components


def prompts_from_mask(
    mask: np.ndarray, points: int = 5, smallest: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Make a box and `points` positive points for each island of `mask`, as `segment` takes them.

    The points lie deep inside: the first where the island is widest, each further one where it is
    widest away from the previous ones. The result is deterministic.

    Args:
        mask: (H, W) bool.
        points: number of points per island.
        smallest: islands smaller than this share of the largest one get no prompts, nor do those
            one pixel wide, which have no box.

    Returns:
        Boxes (K, 4) float32 xyxy px, largest island first, and points (K, points, 2) float32
        x, y px. K is 0 for an empty mask.
    """
    if not mask.any():  # OpenCV rejects masks without pixels.
        return np.zeros((0, 4), np.float32), np.zeros((0, points, 2), np.float32)
    islands = Components.of(mask, 8)
    boxes, clicks = [], []
    for index in np.argsort(-islands.areas[1:], kind="stable") + 1:
        if islands.areas[index] < smallest * islands.areas.max():
            break
        x, y, width, height = islands.boxes[index].tolist()
        if min(width, height) < 2:
            continue
        island = islands.labels[y : y + height, x : x + width] == index
        boxes.append([x, y, x + width - 1, y + height - 1])
        clicks.append(_deepest(island, points) + np.array([x, y]))
    return (
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(clicks, np.float32).reshape(-1, points, 2),
    )


def _deepest(island: np.ndarray, count: int) -> np.ndarray:
    """`count` points (count, 2) x, y on `island` (h, w) bool, far from its rim and each other."""
    room = np.pad(island.astype(np.uint8), 1)  # The frame bounds an island, too.
    depth = cv2.distanceTransform(room, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    height, width = island.shape
    rows, columns = np.ogrid[:height, :width]
    score = np.where(island, depth, -1)
    chosen = []
    for _ in range(count):
        y, x = np.unravel_index(score.argmax(), island.shape)
        chosen.append((x, y))
        distance = np.sqrt((rows - y) ** 2 + (columns - x) ** 2, dtype=np.float32)
        # Half the distance, so that a new point prefers another finger over the palm's rim.
        score = np.minimum(score, np.where(island, distance / 2, -1))
    return np.array(chosen)
