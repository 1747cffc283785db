"""From low-resolution logits to a contour that follows the edges of the photo.

A logit covers 20 px and more of a large photo, so the contour between logits is smooth but off by
some pixels. Guided filters (He, Sun, Tang: Guided Image Filtering, ECCV 2010) carry it to the edge:
around each pixel the mask is explained as a linear function of the colours. One filter moves the
contour by about its radius and leaves the mask soft, so coarse to fine filters take turns with
a sigmoid that makes it decided again. Only tiles with contour in them are filtered.
`tests/benchmarks/compare_contours.py` has what this and other ways score.
"""

from __future__ import annotations

import cv2
import numpy as np

from handseg.regions import Region
from handseg.tiles import tiles_with

WORKING_SCALE = 6
"""px to a logit for the coarse filters."""

RADII = (2.0, 1.5, 1.0, 0.7, 0.5)
"""Of the coarse filters, in logits."""

FINE_RADIUS = 0.5
"""Of the last filter, at the photo's own resolution, in logits."""

SMOOTHNESS = 3e-4 * 255**2
"""A filter's epsilon: colours that vary less than by its root, 4.4 of 255, are one colour."""

STEEPNESS = 20.0
"""Of the sigmoid about one half that follows a coarse filter."""

SOFTNESS = 2.0
"""px across the contour over which alpha falls from 1 to 0."""

_SPECK = 2.0  # Islands and holes below this many logits' area are the filters' own.
_TILE = 128
_BLURRED = (1 + 1 / 12) ** 0.5 / 1.702
"""px of distance to a logit, behind a pixel's own area and a Gaussian of 1 px; at a scale of 1.702
the logistic curve and the Gaussian's integral are nearest (Camilli, 1994)."""


def follow_edges(
    logits: np.ndarray, image: np.ndarray, region: Region, outline: float = 0.0
) -> tuple[np.ndarray, tuple[int, int]]:
    """The alpha of a hand at the photo's own resolution, its contour on the photo's edges.

    Args:
        logits: (h, h) float32 of the region, above 0 on the hand, smooth (see `smooth_logits`).
        image: (H, W, 3) uint8 RGB.
        region: the part of the photo that `logits` are of.
        outline: px to move the contour outwards, or inwards where negative, from the edge.

    Returns:
        (h, w) uint8, 0..255, and the x, y of its first pixel in the photo: the part of the photo
        around the hand. Alpha is at least 128 on the hand and falls from 255 to 0 over `SOFTNESS`
        px across the contour.
    """
    size, side = logits.shape[0], region.side
    work = WORKING_SCALE * size
    guide = region.crop(image, work)
    decided = _sigmoid(2 * cv2.resize(logits, (work, work), interpolation=cv2.INTER_CUBIC))
    for radius in RADII:
        decided = _guided(guide, decided, round(radius * WORKING_SCALE))
        decided = _sigmoid(STEEPNESS * (decided - 0.5))
    fine_radius = max(2, int(FINE_RADIUS * side / size))
    x, y, width, height = _window(decided, image, region, fine_radius + abs(outline))
    if work < side:
        # A pixel's centre in the region's `work` px, from its place in the window.
        scale = work / side
        to_work = np.array([[scale, 0, (x - region.x + 0.5) * scale - 0.5],
                            [0, scale, (y - region.y + 0.5) * scale - 0.5]])  # fmt: skip
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        fine = cv2.warpAffine(decided, to_work, (width, height), None, how, cv2.BORDER_REPLICATE)
        fine = _guided(image[y : y + height, x : x + width], fine, fine_radius)
    else:
        whole = cv2.resize(decided, (side, side), interpolation=cv2.INTER_AREA)
        left, top = x - region.x, y - region.y
        fine = np.ascontiguousarray(whole[top : top + height, left : left + width])
    _drop_specks(fine, _SPECK * (side / size) ** 2)
    return (_moved(fine, outline) if outline else _soft(fine)), (x, y)


def _window(
    decided: np.ndarray, image: np.ndarray, region: Region, margin: float
) -> tuple[int, int, int, int]:
    """x, y, width and height of the part of the photo that holds the hand, `margin` px around it.

    `decided` is the mask of the region. Without a hand it is a pixel or so at the region's corner.
    """
    scale = region.side / decided.shape[0]
    left, top, width, height = cv2.boundingRect((decided > 0.02).astype(np.uint8))
    margin = margin + 2 * scale + SOFTNESS + 4
    span = []
    for start, length, first, limit in (
        (left, width, region.x, image.shape[1]),
        (top, height, region.y, image.shape[0]),
    ):
        begin = np.floor(start * scale - margin)
        end = np.ceil((start + length) * scale + margin)
        low, high = max(first, 0), min(first + region.side, limit)  # in the photo and the region
        begin = int(np.clip(first + begin, low, max(low, high - 1)))
        span.append((begin, max(1, int(np.clip(first + end, low, high)) - begin)))
    (x, wide), (y, tall) = span
    return x, y, wide, tall


def _guided(guide: np.ndarray, mask: np.ndarray, radius: int) -> np.ndarray:
    """`mask` (h, w) float32 filtered where it is undecided, by `guide` (h, w, 3) uint8."""
    result = mask.copy()
    band = cv2.inRange(mask, 0.05, 0.95).view(bool)
    for tile in tiles_with(band, _TILE, 2 * radius + 2):
        filtered = cv2.ximgproc.guidedFilter(
            guide[tile.outer], mask[tile.outer], radius, SMOOTHNESS
        )
        result[tile.inner] = filtered[tile.within]
    return result


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + cv2.exp(-values))


def _drop_specks(mask: np.ndarray, area: float) -> None:
    """Turn islands and holes of `mask` (h, w) 0..1 below `area` px, in place."""
    inside = (mask >= 0.5).astype(np.uint8)
    outlines, hierarchy = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for index, outline in enumerate(outlines):
        if cv2.contourArea(outline) >= area:
            continue
        x, y, width, height = cv2.boundingRect(outline)
        box = (slice(y, y + height), slice(x, x + width))
        speck = np.zeros((height, width), np.uint8)
        cv2.drawContours(speck, [outline - [x, y]], -1, 1, cv2.FILLED)
        # A hole's outline runs on the pixels around it.
        is_hole = hierarchy[0, index, 3] >= 0
        turned = (speck > 0) & (inside[box] != is_hole)
        mask[box][turned] = 1 - mask[box][turned]


def _soft(mask: np.ndarray) -> np.ndarray:
    """Alpha, uint8, of `mask` (h, w) float32 with its contour at one half."""
    alpha = (mask >= 0.5).astype(np.uint8) * np.uint8(255)
    rim = cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)).view(bool)
    for tile in tiles_with(rim, _TILE, 5):
        near = rim[tile.inner]
        distance = _distance(mask[tile.outer])[tile.within][near]
        alpha[tile.inner][near] = _to_alpha(distance)
    return alpha


def _moved(mask: np.ndarray, outline: float) -> np.ndarray:
    """Alpha, uint8, of `mask` (h, w) float32 with its contour `outline` px further out."""
    inside = (mask >= 0.5).astype(np.uint8)
    if inside.all() or not inside.any():
        return inside * np.uint8(255)
    place = np.clip(_distance(mask), -1, 1)  # of a pixel beside the contour
    distance = np.zeros_like(mask)
    for sign, side in ((1, inside), (-1, 1 - inside)):
        # To the nearest pixel of the other side, and from there to the contour.
        far, nearest = cv2.distanceTransformWithLabels(
            side, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        other = side == 0
        beyond = np.zeros(nearest.max() + 1, np.float32)
        beyond[nearest[other]] = place[other]
        distance += side * (sign * far + beyond[nearest])
    return _to_alpha(cv2.GaussianBlur(distance, (0, 0), 1.0) + outline)


def _distance(mask: np.ndarray) -> np.ndarray:
    """px that pixels of `mask` (h, w) lie inside of the contour; beside it, large elsewhere.

    How much of each pixel is inside follows from its distance to the contour: its difference to one
    half over the slope there (first order of a Taylor series), which holds within a pixel. Blurred
    with a Gaussian, that is the Gaussian's integral of the distance, near to a logistic curve.
    """
    slope = cv2.magnitude(
        cv2.Scharr(mask, cv2.CV_32F, 1, 0, scale=1 / 32),
        cv2.Scharr(mask, cv2.CV_32F, 0, 1, scale=1 / 32),
    )
    inside = np.clip(0.5 + (mask - 0.5) / np.maximum(slope, 1e-4), 0, 1)
    share = np.clip(cv2.GaussianBlur(inside, (0, 0), 1.0), 1e-6, 1 - 1e-6)
    return _BLURRED * np.log(share / (1 - share))


def _to_alpha(distance: np.ndarray) -> np.ndarray:
    """uint8 of the px that pixels lie inside of the contour."""
    return np.rint(np.clip(distance / SOFTNESS + 0.5, 0, 1) * 255).astype(np.uint8)
