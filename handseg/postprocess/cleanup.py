"""Clean a model's low-resolution logits, and cut masks at the wrist."""

from __future__ import annotations

import cv2
import numpy as np

from handseg.landmarks.anatomy import WRIST, WRIST_END, draw_body, hand_size, palm_axis
from handseg.runtime.connected import Components

LOGIT_LIMIT = 12.0
"""Logits are clipped to this: larger values only differ by rounding, and cubic upsampling rings."""


def clean_logits(
    logits: np.ndarray,
    seeds: np.ndarray,
    gaps: np.ndarray | None = None,
    hole_share: float = 0.004,
) -> np.ndarray:
    """Remove islands without a prompt and fill small holes.

    Args:
        logits: (h, w) float32, above 0 on the hand.
        seeds: (P, 2) x, y in pixels of `logits`, the positive prompts. The largest island is kept
            even without a seed.
        gaps: (P, 2) x, y in pixels of `logits`, clicks off the hand; holes with one are kept.
        hole_share: holes smaller than this share of the hand are filled; a real gap, as in an OK
            sign, is larger.

    Returns:
        (h, w) float32, `logits` with the sign flipped at changed pixels.
    """
    result = np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float32)
    islands = Components.of(result > 0, 4)
    kept = islands.at(seeds)
    kept[islands.areas.argmax()] = True
    dropped = (result > 0) & ~kept[islands.labels]
    result[dropped] = -result[dropped]
    holes = Components.of(result <= 0, 8)
    small = holes.areas < hole_share * np.count_nonzero(result > 0)
    small &= ~holes.on_border() & ~holes.at([] if gaps is None else gaps)
    filled = (result <= 0) & small[holes.labels]
    result[filled] = np.abs(result[filled])
    return result


def drop_detached(logits: np.ndarray, hand: np.ndarray, reach: int = 2) -> np.ndarray:
    """Remove islands that are not close to the hand, which cannot hold them.

    Args:
        logits: (h, w) float32, above 0 on objects.
        hand: (h, w) bool, the part of the hand that can hold something.
        reach: maximum distance in px at which an island counts as touching the hand.

    Returns:
        (h, w) float32, `logits` with the sign flipped on dropped islands.
    """
    result = np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float32)
    islands = Components.of(result > 0, 8)
    near = cv2.dilate(hand.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    touching = islands.sums(near) > 0
    dropped = (result > 0) & ~touching[islands.labels]
    result[dropped] = -result[dropped]
    return result


def fill_holes_on_hand(
    logits: np.ndarray,
    landmarks: np.ndarray,
    gaps: np.ndarray | None = None,
    reach: float = 0.1,
) -> np.ndarray:
    """Fill objects on the hand: a coin, a watch, a ring across a finger.

    Holes are filled if most of their area lies on the palm or the bones, and so are notches there
    up to `2 * reach` hand sizes wide. No bone runs between two fingers or inside the ring of an OK
    sign, so such gaps stay open.

    Args:
        logits: (h, w) float32, above 0 on the hand.
        landmarks: (21, 2) x, y in pixels of `logits`.
        gaps: (P, 2) x, y in pixels of `logits`, clicks off the hand; what contains one is not
            filled.
        reach: radius of the closing (a dilation and an erosion) along the bones, in hand sizes; at
            most a quarter of the side of `logits`.

    Returns:
        (h, w) float32, `logits` with the sign flipped at changed pixels.
    """
    mask = (logits > 0).astype(np.uint8)
    body = draw_body(landmarks, mask.shape)
    # If only a fingertip is in the photo, the hand is many times larger than the logits.
    radius = max(1, min(round(reach * hand_size(landmarks)), len(mask) // 4))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    # Without padding, the dilation is cut at the array's border and the erosion eats into the hand.
    wide = np.pad(mask, radius)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disc)[radius:-radius, radius:-radius]
    filled = ((closed & body) | mask).astype(np.uint8)
    holes = Components.of(mask == 0, 4)
    on_hand = (holes.sums(body > 0) > 0.5 * holes.areas) & ~holes.on_border()
    filled[on_hand[holes.labels]] = 1
    parts = Components.of((filled > 0) & (mask == 0), 4)
    turned = parts.labels > 0
    if gaps is not None:
        turned &= ~parts.at(gaps)[parts.labels]
    return np.where(turned, np.abs(logits) + 1e-3, logits).astype(np.float32)


def smooth_logits(logits: np.ndarray) -> np.ndarray:
    """Smooth stair-steps in (h, w) float32 logits before upsampling.

    The slope of logits varies from pixel to pixel along a contour, and interpolation turns that
    into steps. Clipped to a common height and blurred by half a pixel, they cross 0 smoothly.
    Both values were chosen for handseg-lite 1.1 on ten composites with exact masks (from 4 to 12
    and 0 to 0.7). With 4 and 0.7 px, the best for 1.0, boundary F at 2 px is lower by 0.005 on
    photos of 4032 x 2160 px and by 0.013 on phone-like photos.
    """
    return cv2.GaussianBlur(np.clip(logits, -8, 8), (0, 0), 0.5)


def cut_at_wrist(alpha: np.ndarray, landmarks: np.ndarray) -> None:
    """Clear `alpha` (h, w) uint8, in place, beyond the wrist's end; see `WRIST_END`.

    Where a hand ends on a bare forearm is a convention that a picture does not show, so the model
    leaves a ragged end there. `landmarks` is (21, 2) x, y in pixels of `alpha`.
    """
    axis = palm_axis(landmarks)
    # OpenCV draws the anti-aliased rim of a polygon outside it.
    end = landmarks[WRIST] + axis * (WRIST_END * hand_size(landmarks) + 0.5)
    # As far as the furthest corner of `alpha`; the wrist may be outside it.
    width, height = alpha.shape[::-1]
    reach = np.maximum(np.abs(end), np.abs(end - [width, height]))
    far = max(2.0 * max(width, height), float(np.linalg.norm(reach)))
    across = np.array([-axis[1], axis[0]]) * far
    corners = np.array([end - across, end + across])
    outline = np.concatenate([corners, corners[::-1] + axis * far])
    cv2.fillConvexPoly(alpha, np.round(outline * 16).astype(np.int32), 0, cv2.LINE_AA, shift=4)
