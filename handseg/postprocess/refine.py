"""Turn low-resolution logits into a contour that follows the edges of the photo.

In a large photo a logit covers 20 px or more, so the contour between logits is smooth but off by
some pixels. Guided filters (He, Sun, Tang: Guided Image Filtering, ECCV 2010) move it to the edge:
around each pixel, the mask is modelled as a linear function of the colours. A filter moves the
contour by about its radius and leaves the mask soft, so filters from coarse to fine alternate with
a sigmoid that sharpens the mask again. Only the box around the contour is filtered. The last
filter's linear functions are upsampled and applied to the photo's own pixels (He, Sun: Fast Guided
Filter, 2015), because the mask before it has no finer detail. `benchmarks/compare_contours.py`
scores this and other methods.
"""

from __future__ import annotations

import cv2
import numpy as np

from handseg.models.region import Region
from handseg.postprocess.tiles import TILE, box_with, tiles_with

LEAST_SCALE, MOST_SCALE = 4, 6
"""Limits of the filters' resolution, px per logit; between them it is the photo's own. The coarse
filters use half of it."""

COARSE_RADIUS = 1.5
"""Radius of the three filters at half the scale, in logits."""

RADIUS = 0.7
"""Radius of the two filters that follow and of the last one, in logits."""

SMOOTHNESS = 1.5e-4 * 255**2
"""Epsilon of a filter: colours that vary by less than its root, 3.1 of 255, count as one."""

COARSE_SMOOTHNESS = SMOOTHNESS / 4
"""Epsilon at half the resolution: the mean of four pixels has a quarter of the noise variance."""

STEEPNESS = 20.0
"""Steepness of the sigmoid around one half that follows a coarse filter."""

SOFTNESS = 2.0
"""px across the contour over which alpha falls from 1 to 0."""

_SPECK = 2.0  # Islands and holes smaller than this area, in logits, are filter artefacts.
_BLURRED = (1 + 1 / 12) ** 0.5 / 1.702
"""px of distance per logit after the blur of a pixel's own area and a Gaussian of 1 px; at a scale
of 1.702 the logistic curve is closest to the Gaussian's integral (Camilli, 1994)."""


def follow_edges(
    logits: np.ndarray, image: np.ndarray, region: Region, outline: float = 0.0
) -> tuple[np.ndarray, tuple[int, int]]:
    """Compute a hand's alpha at the photo's resolution, with its contour on the photo's edges.

    Args:
        logits: (h, h) float32 of the region, above 0 on the hand, smooth (see `smooth_logits`).
        image: (H, W, 3) uint8 RGB.
        region: the part of the photo that `logits` cover.
        outline: px to move the contour outwards from the edge; inwards if negative.

    Returns:
        (h, w) uint8, 0..255, and the x, y of its first pixel in the photo: the part of the photo
        around the hand. Alpha is at least 128 on the hand and falls from 255 to 0 over `SOFTNESS`
        px across the contour.
    """
    size, side = logits.shape[0], region.side
    work = min(max(side, LEAST_SCALE * size), MOST_SCALE * size)
    radius, coarse_radius = round(RADIUS * work / size), round(COARSE_RADIUS * work / 2 / size)
    guide = region.crop(image, work)
    half = (work // 2, work // 2)
    coarse = cv2.resize(guide, half, interpolation=cv2.INTER_AREA)
    mask = _sigmoid(2 * cv2.resize(logits, half, interpolation=cv2.INTER_CUBIC))
    for _ in range(3):
        mask = _sharpen(coarse, mask, coarse_radius, COARSE_SMOOTHNESS)
    mask = cv2.resize(mask, (work, work), interpolation=cv2.INTER_LINEAR)
    for _ in range(2):
        mask = _sharpen(guide, mask, radius, SMOOTHNESS)
    x, y, width, height = _window(mask, image, region, radius * side / work + abs(outline))
    if work < side:
        # A pixel's centre in the region's `work` px, from its place in the window.
        scale = work / side
        to_work = np.array([[scale, 0, (x - region.x + 0.5) * scale - 0.5],
                            [0, scale, (y - region.y + 0.5) * scale - 0.5]])  # fmt: skip
        photo = image[y : y + height, x : x + width]
        fine = _refined(photo, guide, mask, to_work, radius)
    else:
        whole = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)
        left, top = x - region.x, y - region.y
        fine = np.ascontiguousarray(whole[top : top + height, left : left + width])
    _drop_specks(fine, _SPECK * (side / size) ** 2)
    return (_moved(fine, outline) if outline else _soft(fine)), (x, y)


def _window(
    mask: np.ndarray, image: np.ndarray, region: Region, margin: float
) -> tuple[int, int, int, int]:
    """x, y, width and height of the part of the photo with the hand and `margin` px around it.

    `mask` is the mask of the region. Without a hand, the result is about a pixel at the region's
    corner.
    """
    scale = region.side / mask.shape[0]
    left, top, width, height = cv2.boundingRect((mask > 0.02).astype(np.uint8))
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


def _sharpen(guide: np.ndarray, mask: np.ndarray, radius: int, smoothness: float) -> np.ndarray:
    """`mask` (h, w) float32 filtered by `guide` (h, w, 3) uint8 and sharpened again.

    Outside the box around undecided pixels the filter changes nothing.
    """
    result = mask.copy()
    box = box_with(_transition_band(mask, radius // 2), 2 * radius + 2)
    if box is not None:
        near = guide[box.outer], mask[box.outer]
        result[box.inner] = cv2.ximgproc.guidedFilter(*near, radius, smoothness)[box.within]
    return _sigmoid(STEEPNESS * (result - 0.5))


def _transition_band(mask: np.ndarray, reach: int) -> np.ndarray:
    """Where `mask` (h, w) float32 is undecided, and up to `reach` px from there: (h, w) bool."""
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return cv2.dilate(cv2.inRange(mask, 0.05, 0.95), square).view(bool)


def _refined(
    photo: np.ndarray, guide: np.ndarray, mask: np.ndarray, to_mask: np.ndarray, radius: int
) -> np.ndarray:
    """`mask` enlarged and filtered by the photo where it is undecided.

    Args:
        photo: (H, W, 3) uint8.
        guide: (h, w, 3) uint8, the photo with its surroundings at the resolution of `mask`.
        mask: (h, w) float32.
        to_mask: (2, 3), maps x, y in `photo` to `mask`.
        radius: filter radius in px of `mask`.

    Returns:
        (H, W) float32.
    """
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    result = cv2.warpAffine(mask, to_mask, photo.shape[1::-1], None, how, cv2.BORDER_REPLICATE)
    around = _transition_band(mask, radius // 2)
    box = box_with(around, 2 * radius + 2)
    if box is None:
        return result
    lines = np.zeros((*mask.shape, 4), np.float32)
    smoothness = SMOOTHNESS + _lost_variance(photo, guide, around, to_mask)
    near = _lines(guide[box.outer], mask[box.outer], radius, smoothness)
    lines[box.inner] = near[box.within]
    band = _transition_band(result, 2)
    for tile in tiles_with(band, TILE, 0):
        rows, columns = tile.inner
        corner = to_mask.copy()
        corner[:, 2] = to_mask @ [columns.start, rows.start, 1]
        size = (columns.stop - columns.start, rows.stop - rows.start)
        line = cv2.warpAffine(lines, corner, size, None, how, cv2.BORDER_REPLICATE)
        asked = band[tile.inner]
        line = line[asked]
        by_color = np.einsum("ij,ij->i", photo[tile.inner][asked], line[:, :3])
        result[tile.inner][asked] = by_color + line[:, 3]
    return result


def _lost_variance(
    photo: np.ndarray, guide: np.ndarray, where: np.ndarray, to_guide: np.ndarray
) -> float:
    """Estimate the colour variance lost in `guide`, the noise that averaging removes.

    It uses the median over the pixels `where` (h, w) bool and all colours, which ignores edges.
    """
    rows, columns = np.nonzero(where)
    x = np.rint((columns - to_guide[0, 2]) / to_guide[0, 0]).astype(int)
    y = np.rint((rows - to_guide[1, 2]) / to_guide[1, 1]).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < photo.shape[1]) & (y < photo.shape[0])
    if not inside.any():
        return 0.0
    here = photo[y[inside], x[inside]].astype(int) - guide[rows[inside], columns[inside]]
    return float((np.median(np.abs(here)) / 0.6745) ** 2)  # For a normal distribution.


def _lines(guide: np.ndarray, mask: np.ndarray, radius: int, smoothness: float) -> np.ndarray:
    """The guided filter's linear functions: (h, w, 4), colour coefficients and a constant."""
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, cv2.CV_32F, size, borderType=cv2.BORDER_REFLECT)

    colors = cv2.split(guide)
    means = [mean(color) for color in colors]

    def covariance(one: int, other: int) -> np.ndarray:
        product = cv2.multiply(colors[one], colors[other], dtype=cv2.CV_16U)
        return mean(product) - means[one] * means[other]

    # The colours' covariance matrix is L D L^T, L with ones on its diagonal; L z = y, D L^T x = z.
    first = covariance(0, 0) + smoothness
    low_1, low_2 = covariance(0, 1) / first, covariance(0, 2) / first
    second = covariance(1, 1) + smoothness - low_1 * low_1 * first
    low_3 = (covariance(1, 2) - low_1 * low_2 * first) / second
    third = covariance(2, 2) + smoothness - low_2 * low_2 * first - low_3 * low_3 * second
    of_mask = mean(mask)
    x, y, z = (
        mean(cv2.multiply(color, mask, dtype=cv2.CV_32F)) - by_color * of_mask
        for color, by_color in zip(colors, means, strict=True)
    )
    y -= low_1 * x
    z -= low_2 * x + low_3 * y
    z /= third
    y = y / second - low_3 * z
    x = x / first - low_1 * y - low_2 * z
    constant = of_mask - (x * means[0] + y * means[1] + z * means[2])
    return mean(cv2.merge([x, y, z, constant]))


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + cv2.exp(-values))


def _drop_specks(mask: np.ndarray, area: float) -> None:
    """Invert islands and holes of `mask` (h, w) 0..1 below `area` px, in place."""
    inside = (mask >= 0.5).astype(np.uint8)
    outlines, hierarchy = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
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
    """Convert `mask` (h, w) float32, with its contour at one half, to alpha, uint8."""
    alpha = (mask >= 0.5).astype(np.uint8) * np.uint8(255)
    rim = cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)).view(bool)
    for tile in tiles_with(rim, TILE, 5):
        near = rim[tile.inner]
        share = _share(mask[tile.outer])[tile.within][near]
        alpha[tile.inner][near] = _to_alpha(_distance(share))
    return alpha


def _moved(mask: np.ndarray, outline: float) -> np.ndarray:
    """Like `_soft`, but with the contour `outline` px further out."""
    inside = (mask >= 0.5).astype(np.uint8)
    if inside.all() or not inside.any():
        return inside * np.uint8(255)
    place = np.clip(_distance(_share(mask)), -1, 1)  # For pixels beside the contour.
    distance = np.zeros_like(mask)
    for sign, side in ((1, inside), (-1, 1 - inside)):
        # To the nearest pixel of the other side, and from there to the contour. Ties are resolved
        # by scan order, so both orders are averaged.
        for order in (1, -1):
            turned = np.s_[::order, ::order]
            far, beyond = _nearest(side[turned], place[turned])
            distance += side * (sign * far + beyond)[turned] / 2
    return _to_alpha(cv2.GaussianBlur(distance, (0, 0), 1.0) + outline)


def _nearest(side: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """px to the nearest pixel where `side` (h, w) uint8 is 0, and its value in `values` (h, w)."""
    far, nearest = cv2.distanceTransformWithLabels(
        np.ascontiguousarray(side),
        cv2.DIST_L2,
        cv2.DIST_MASK_5,
        labelType=cv2.DIST_LABEL_PIXEL,
    )
    known = np.zeros(nearest.max() + 1, np.float32)
    known[nearest[side == 0]] = values[side == 0]
    return far, known[nearest]


def _share(mask: np.ndarray) -> np.ndarray:
    """Fraction of each pixel of `mask` (h, w) that is inside, blurred with a Gaussian of 1 px.

    It is computed from the pixel's distance to the contour: its difference from one half over the
    slope there (a first-order Taylor expansion), which is valid within a pixel.
    """
    slope = cv2.magnitude(
        cv2.Scharr(mask, cv2.CV_32F, 1, 0, scale=1 / 32),
        cv2.Scharr(mask, cv2.CV_32F, 0, 1, scale=1 / 32),
    )
    inside = cv2.divide(mask - np.float32(0.5), cv2.max(slope, 1e-4))
    return cv2.GaussianBlur(cv2.min(cv2.max(inside, -0.5), 0.5), (0, 0), 1.0) + 0.5


def _distance(share: np.ndarray) -> np.ndarray:
    """Convert `_share` to px inside the contour, correct beside it and large elsewhere.

    The blurred share is the Gaussian's integral of the distance, close to a logistic curve.
    """
    share = np.minimum(np.maximum(share, 1e-6), 1 - 1e-6)
    return _BLURRED * np.log(share / (1 - share))


def _to_alpha(distance: np.ndarray) -> np.ndarray:
    """Convert px inside the contour to alpha, uint8."""
    return np.rint(np.clip(distance / SOFTNESS + 0.5, 0, 1) * 255).astype(np.uint8)
