"""Tell a card's outline from other straight edges that happen to meet."""

from __future__ import annotations

import cv2
import numpy as np

_SHORTEST_FOCAL = 0.65  # Of the photo's longer side: a phone's wide lens.
_STEEPEST = 0.5  # Sine of the largest tilt that is measured.
_ENDS_OFF = 1.5  # px: possible error of a side's length.
_CORE = np.linspace(0.1, 0.9, 41)
_BEYOND = np.concatenate([np.linspace(-0.2, -0.05, 9), np.linspace(1.05, 1.2, 9)])
_FAINTEST = 6.0  # Grey levels, the root of the sum of squares over the channels.
_CONTINUES = 0.5  # Of a side's own step in brightness and colour.
_MOST_CONTINUING = 2  # Of the eight ends of sides: other edges may be in line with a card's.


def is_outline(view: np.ndarray, corners: np.ndarray, longer: int) -> bool:
    """Whether a quadrangle of straight edges may be the outline of a card.

    Opposite sides converge no more than perspective explains, the card differs from its
    surroundings along each side, and most sides end at the corners: those of a window or door
    continue.

    Args:
        view: (H, W, 3) uint8 RGB, the photo or a part of it.
        corners: (4, 2) x, y px in it, a long side first, clockwise.
        longer: px, the longer side of the whole photo.
    """
    if not _converges_little(corners, longer):
        return False
    step = np.median(_steps(view, corners, _CORE), axis=1)
    if np.linalg.norm(step, axis=1).min() < _FAINTEST:
        return False
    beyond = _steps(view, corners, _BEYOND)
    like = (beyond * step[:, None]).sum(-1) / (step**2).sum(-1)[:, None]
    ends = np.median(like.reshape(4, 2, -1), axis=2)
    return bool((ends > _CONTINUES).sum() <= _MOST_CONTINUING)


def _converges_little(corners: np.ndarray, longer: int) -> bool:
    """Whether depth and edge error can explain the length difference of opposite sides."""
    lengths = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)
    across = np.array([lengths[1] + lengths[3], lengths[0] + lengths[2]]) / 2
    differ = np.abs(np.log(lengths[:2] / lengths[2:]))
    most = _STEEPEST * across / (_SHORTEST_FOCAL * longer) + _ENDS_OFF / lengths[:2]
    return bool((differ <= most).all())


def _steps(view: np.ndarray, corners: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return colours outside minus inside each side at `places`, 0..1 along it, (4, P, 3).

    0 beyond the photo's edge.
    """
    along = np.roll(corners, -1, 0) - corners
    lengths = np.linalg.norm(along, axis=1, keepdims=True)
    outward = np.stack([along[:, 1], -along[:, 0]], 1) / lengths
    away = np.linspace(1.5, 1.5 + max(1.5, 0.03 * float(lengths.min())), 4)
    middles = corners[:, None] + places[:, None] * along[:, None]
    sides = []
    for one in (away, -away):
        spots = middles[:, :, None] + one[:, None] * outward[:, None, None]
        seen = ((spots >= 0) & (spots <= np.array(view.shape[1::-1]) - 1)).all((-2, -1))
        flat = spots.reshape(4, -1, 2).astype(np.float32)
        colours = cv2.remap(
            view, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        means = colours.reshape(*spots.shape[:3], 3).mean(2, dtype=float)
        sides.append(np.where(seen[..., None], means, np.nan))
    return np.nan_to_num(sides[0] - sides[1])
