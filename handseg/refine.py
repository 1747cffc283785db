"""From a model's low-resolution logits to a hand's alpha at the photo's own resolution."""

from __future__ import annotations

import cv2
import numpy as np

from handseg.prompts.anatomy import WRIST, WRIST_END, hand_size, palm_axis

LOGIT_LIMIT = 12.0
"""Logits are clipped to this: beyond it only rounding is left, and cubic upsampling would ring."""


def clean_logits(
    logits: np.ndarray,
    seeds: np.ndarray,
    gaps: np.ndarray | None = None,
    hole_share: float = 0.004,
) -> np.ndarray:
    """Drop islands that no prompt points at and fill pinholes.

    Args:
        logits: (h, w) float32, above 0 on the hand.
        seeds: (P, 2) x, y in pixels of `logits`, the positive prompts. The largest island stays
            whether or not a seed lies on it.
        gaps: (P, 2) likewise, points that were clicked to be off the hand: holes with one stay.
        hole_share: holes smaller than this share of the hand are filled; a gap that a person sees
            as one, as in an OK sign, is larger.

    Returns:
        (h, w) float32, `logits` with the sign changed where a pixel changes sides.
    """
    result = np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float32)
    mask = (result > 0).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count > 2:
        kept = {1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())}
        kept |= _labels_at(labels, seeds) - {0}
        dropped = (mask > 0) & ~np.isin(labels, list(kept))
        result[dropped] = -np.abs(result[dropped])
        mask[dropped] = 0
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=8)
    limit = hole_share * mask.sum()
    meant = set() if gaps is None else _labels_at(labels, gaps)
    for index in range(1, count):
        x, y, width, height, area = stats[index]
        at_edge = x == 0 or y == 0 or x + width == mask.shape[1] or y + height == mask.shape[0]
        if area < limit and not at_edge and index not in meant:
            hole = labels == index
            result[hole] = np.abs(result[hole])
    return result


def _labels_at(labels: np.ndarray, points: np.ndarray) -> set[int]:
    """What `labels` (h, w) says at `points` (P, 2) x, y; nothing for those outside of it."""
    x, y = np.round(points).astype(int).reshape(-1, 2).T
    inside = (x >= 0) & (y >= 0) & (x < labels.shape[1]) & (y < labels.shape[0])
    return set(labels[y[inside], x[inside]].tolist())


def smooth_logits(logits: np.ndarray) -> np.ndarray:
    """Take the stair-steps out of (h, w) float32 logits before they are upsampled.

    How steep logits are changes from pixel to pixel along a contour, and interpolation turns that
    into steps. Clipped to a common height and blurred by less than a pixel, they cross 0 smoothly:
    on 60 pasted hands with exact masks, at 8 times the logits' resolution, the median distance to
    the true contour falls from 2.6 to 1.7 px and the boundary F at 4 px rises from 0.895 to 0.923
    (`tests/benchmarks/compare_upsampling.py`).
    """
    return cv2.GaussianBlur(np.clip(logits, -4, 4), (0, 0), 0.7)


def upsample_to_alpha(logits: np.ndarray, side: int, softness: float = 2.0) -> np.ndarray:
    """The logits of a square region as alpha at `side` px.

    Logits, not masks, are upsampled, so the contour runs between the coarse pixels. The alpha
    falls from 1 to 0 over about `softness` px across the contour whatever the scale: a logit's
    distance to the contour is its value over its slope there (first order of a Taylor series).

    Returns:
        (side, side) uint8, 0..255; at least 128 where the upsampled logit is above 0, but 0 or 255
        where neither a low-resolution pixel nor one of its neighbours is on the other side.
    """
    size = logits.shape[0]
    up = cv2.resize(logits, (side, side), interpolation=cv2.INTER_CUBIC)
    # A logit's unit is 1 / slope low-resolution pixels; without a contour any slope will do.
    slope = max(_slope_at_contour(logits) * size / side, 1e-3)
    cv2.multiply(up, 255 / (slope * softness), dst=up)
    alpha = cv2.add(up, 127.5, dtype=cv2.CV_8U)  # rounds and saturates
    if side < size:  # the nearest coarse pixel would be half a pixel off
        return alpha
    # Only pixels next to the coarse contour may be soft: cubic interpolation overshoots elsewhere.
    mask, square = (logits > 0).astype(np.uint8), np.ones((3, 3), np.uint8)
    trimap = cv2.merge([255 * cv2.erode(mask, square), 255 * cv2.dilate(mask, square)])
    low, high = cv2.split(cv2.resize(trimap, (side, side), interpolation=cv2.INTER_NEAREST))
    return cv2.min(cv2.max(alpha, low), high)


def cut_at_wrist(alpha: np.ndarray, landmarks: np.ndarray) -> None:
    """Clear `alpha` (h, w) uint8, in place, beyond the wrist's end; see `WRIST_END`.

    Where a bare forearm ends is a matter of definition that a picture does not show: the model
    leaves a ragged end there. `landmarks` is (21, 2) x, y in pixels of `alpha`.
    """
    axis = palm_axis(landmarks)
    # OpenCV draws the soft rim of a polygon outside of it.
    end = landmarks[WRIST] + axis * (WRIST_END * hand_size(landmarks) + 0.5)
    far = 2.0 * max(alpha.shape)
    across = np.array([-axis[1], axis[0]]) * far
    corners = np.array([end - across, end + across])
    outline = np.concatenate([corners, corners[::-1] + axis * far])
    cv2.fillConvexPoly(alpha, np.round(outline * 16).astype(np.int32), 0, cv2.LINE_AA, shift=4)


def _slope_at_contour(logits: np.ndarray) -> float:
    """The median step between neighbouring logits of opposite sign; 0 without a contour."""
    steps = []
    for one, other in ((logits[1:], logits[:-1]), (logits[:, 1:], logits[:, :-1])):
        crossing = (one > 0) != (other > 0)
        steps.append(np.abs(one - other)[crossing])
    every = np.concatenate(steps)
    return float(np.median(every)) if len(every) else 0.0
