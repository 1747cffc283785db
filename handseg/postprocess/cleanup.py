"""What is done to a model's low-resolution logits, and where a mask ends at the wrist."""

from __future__ import annotations

import cv2
import numpy as np

from handseg.landmarks.anatomy import WRIST, WRIST_END, draw_body, hand_size, palm_axis
from handseg.runtime.arrays import border_labels, values_at

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
        kept |= set(values_at(labels, seeds)) - {0}
        dropped = (mask > 0) & ~np.isin(labels, list(kept))
        result[dropped] = -np.abs(result[dropped])
        mask[dropped] = 0
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=8)
    limit = hole_share * mask.sum()
    stay = set(border_labels(labels)) | set(() if gaps is None else values_at(labels, gaps))
    for index in range(1, count):
        if stats[index, cv2.CC_STAT_AREA] < limit and index not in stay:
            hole = labels == index
            result[hole] = np.abs(result[hole])
    return result


def drop_detached(logits: np.ndarray, hand: np.ndarray, reach: int = 2) -> np.ndarray:
    """Drop islands that do not come near the hand: it does not hold them.

    Args:
        logits: (h, w) float32, above 0 on objects.
        hand: (h, w) bool, the part of the hand that can hold something.
        reach: px from it up to which an island touches it.

    Returns:
        (h, w) float32, `logits` with the sign changed on what is dropped.
    """
    result = np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float32)
    _, labels = cv2.connectedComponents((result > 0).astype(np.uint8), connectivity=8)
    near = cv2.dilate(hand.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    dropped = (result > 0) & ~np.isin(labels, np.unique(labels[near]))
    result[dropped] = -result[dropped]
    return result


def fill_holes_on_hand(logits: np.ndarray, landmarks: np.ndarray, reach: float = 0.1) -> np.ndarray:
    """Fill what lies on the hand: a coin or a watch, a ring's band across a finger.

    Filled are holes that lie on the palm or on the bones for the greater part, and notches there up
    to `2 * reach` hand sizes wide. Between two fingers, and inside of the ring of an OK sign, no
    bone runs: such gaps stay.

    Args:
        logits: (h, w) float32, above 0 on the hand.
        landmarks: (21, 2) x, y in pixels of `logits`.
        reach: of the closing (a dilation and an erosion) along the bones, in hand sizes.

    Returns:
        (h, w) float32, `logits` with the sign changed where a pixel changes sides.
    """
    mask = (logits > 0).astype(np.uint8)
    body = draw_body(landmarks, mask.shape)
    radius = max(1, round(reach * hand_size(landmarks)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    # Without a rim the dilation is cut at the array's border, and the erosion eats into the hand.
    wide = np.pad(mask, radius)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disc)[radius:-radius, radius:-radius]
    filled = ((closed & body) | mask).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    for index in set(range(1, count)) - set(border_labels(labels)):
        hole = labels == index
        if np.count_nonzero(body[hole]) > 0.5 * stats[index, cv2.CC_STAT_AREA]:
            filled[hole] = 1
    return np.where((filled > 0) & (mask == 0), np.abs(logits) + 1e-3, logits).astype(np.float32)


def smooth_logits(logits: np.ndarray) -> np.ndarray:
    """Take the stair-steps out of (h, w) float32 logits before they are upsampled.

    How steep logits are changes from pixel to pixel along a contour, and interpolation turns that
    into steps. Clipped to a common height and blurred by less than a pixel, they cross 0 smoothly:
    on 60 pasted hands with exact masks, at 8 times the logits' resolution, the median distance to
    the true contour falls from 2.6 to 1.7 px and the boundary F at 4 px rises from 0.895 to 0.923
    (`benchmarks/compare_upsampling.py`).
    """
    return cv2.GaussianBlur(np.clip(logits, -4, 4), (0, 0), 0.7)


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
