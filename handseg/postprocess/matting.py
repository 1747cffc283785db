"""Transparency and colours along a hand's edge, for placing it on another background.

Both work on a narrow band along the contour, in tiles.
"""

from __future__ import annotations

import cv2
import numpy as np

from handseg.postprocess.tiles import TILE, tiles_with

_REACHES = (3, 16)  # px
_REACH_SHARE = 1 / 75
_MATTE_SMOOTHNESS = 1e-4 * 255**2
_MIXED = 2  # px inside the contour where the lens mixes in the background.
_SPREAD = 2.5  # px: standard deviation of the Gaussian that spreads colours outwards.


def matte_reach(shape: tuple[int, ...]) -> int:
    """Distance in px from the contour within which `matte` changes alpha, for a hand of (h, w)."""
    return int(np.clip(round(max(shape) * _REACH_SHARE), *_REACHES))


def matte(photo: np.ndarray, alpha: np.ndarray, reach: int) -> np.ndarray:
    """Estimate alpha near the contour from the photo's colours: as soft as the edge there.

    A guided filter models the mask around each pixel as a linear function of the colours, like
    closed-form matting (He, Sun, Tang: Guided Image Filtering, ECCV 2010).

    Args:
        photo: (h, w, 3) uint8 RGB.
        alpha: (h, w) uint8, its contour at one half.
        reach: px, see `matte_reach`.

    Returns:
        (h, w) uint8. Pixels further than `reach` px from the contour are 0 or 255.
    """
    mask = (alpha >= 128).astype(np.float32)
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    result = mask.astype(np.uint8) * np.uint8(255)
    band = cv2.morphologyEx(result, cv2.MORPH_GRADIENT, square).view(bool)
    start = alpha.astype(np.float32) / 255
    for tile in tiles_with(band, TILE, 2 * reach + 2):
        filtered = cv2.ximgproc.guidedFilter(
            photo[tile.outer], start[tile.outer], reach, _MATTE_SMOOTHNESS
        )
        near = band[tile.inner]
        # The remaining texture on either side is below a tenth.
        stretched = (filtered[tile.within] - 0.1) / 0.8
        result[tile.inner][near] = cv2.convertScaleAbs(np.clip(stretched, 0, 1), alpha=255)[near]
    return result


def hand_colors(photo: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Replace background colour along the hand's edge with the hand's own colours.

    In the band, colours are those of the hand just inside it, averaged with Gaussian weights (the
    first half of Forte's blur fusion: Approximate Fast Foreground Colour Estimation, ICIP 2021).
    Where there is no inside nearby, as in a thin structure, the photo stays unchanged.

    Args:
        photo: (h, w, 3) uint8 RGB.
        alpha: (h, w) uint8.

    Returns:
        (h, w, 3) uint8, unchanged where `alpha` is 0 and outside the band.
    """
    solid = (alpha >= 250).astype(np.uint8)
    side = 2 * _MIXED + 1
    inside = cv2.erode(solid, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    band = (alpha > 0) & (inside == 0)
    result = photo.copy()
    for tile in tiles_with(band, TILE, round(4 * _SPREAD)):
        weight = inside[tile.outer].astype(np.float32)
        spread = cv2.GaussianBlur(weight, (0, 0), _SPREAD)
        colors = cv2.GaussianBlur(photo[tile.outer] * weight[..., None], (0, 0), _SPREAD)
        known = (spread > 1e-3)[tile.within] & band[tile.inner]
        mean = colors[tile.within][known] / spread[tile.within][known, None]
        result[tile.inner][known] = np.rint(mean)
    return result
