"""Convert px to mm at the fingers: scale, tilt and their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from handseg.errors import MeasurementError
from handseg.measure.card import Card, find_card
from handseg.measure.coin import best_coin, fault, find_coins
from handseg.measure.rim import Coin
from handseg.measure.scales import CARD, Scale, parse_scale
from handseg.results.hand import Hand

STEEPEST = 30.0
"""Largest angle in degrees between the camera's axis and the plane's normal that is measured."""

ON_HAND = 14.0, 10.0
"""mm by which a coin on the palm is closer to the camera than the fingers' outline, and its
standard deviation over hand poses. On rendered palms these are 14 and 11."""

BESIDE = -6.0, 5.0
"""The same for a coin on the table beside a flat hand: a finger's outline is at half its
thickness."""

_FOCAL = 1.0, 0.35
"""Focal length, as a multiple of the photo's longer side, and its relative standard deviation:
26 mm phone lenses have 0.72; 2x zoom or a photo cropped to half doubles that."""

_RIM = 0.4, 0.004  # px, and relative: light and blur shift a rim's edge.
_SIDE = 0.3, 0.001  # The same for a card, which is larger and flat.
_ALIKE = 0.15  # Relative difference of two coins' ratio of sizes from that of the named ones.
_AGREE = 0.02  # Relative difference of two coins' scales allowed beyond the fits' uncertainty.
_SURE = 0.92  # Support from which a second, unnamed coin counts.
_ROUND = 0.1  # Uncertainty of a finger's thickness, relative to its width.


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane of a scale, as the camera sees it.

    Attributes:
        matrix: (3, 3) float64 homography from px of the photo to mm in the plane.
        tilt: angle in degrees between the plane and the photo's.
        coins: the coins that define it, if any.
        card: the card that defines it, if any.
        height: mm by which the scale is closer to the camera than the fingers, and its standard
            deviation.
        share: relative standard deviation of the scale itself.
        slope: (2,) unit vector in the photo along which the plane is tilted, either way.
        distance: of the camera, mm, assuming a typical lens.
    """

    matrix: np.ndarray
    tilt: float = 0.0
    coins: tuple[Coin, ...] = ()
    card: Card | None = None
    height: tuple[float, float] = (0.0, 0.0)
    share: float = 0.0
    slope: np.ndarray | None = None
    distance: float = np.inf

    def flat(self, points: np.ndarray) -> np.ndarray:
        """Convert `points` (N, 2) px to mm, as if seen from straight above."""
        return cv2.perspectiveTransform(points[None].astype(float), self.matrix)[0]

    def mm_per_px(self, place: np.ndarray) -> float:
        """Return the scale at `place` (2,) px along the direction that tilt does not shorten."""
        steps = self.flat(place + np.array([[0, 0], [0.5, 0], [0, 0.5]]))
        return float(np.linalg.svd(2 * (steps[1:] - steps[0]), compute_uv=False)[1])

    def raised(self) -> float:
        """Return the factor on the scale for fingers, which are farther away or closer."""
        return 1 + self.height[0] / self.distance

    def deviation(self, place: np.ndarray) -> float:
        """Return the relative standard deviation of the scale of a finger at `place` (2,) px.

        Combines in quadrature the fit of the coin or card; the height of the fingers above or below
        it, and the camera's distance, which assumes a typical lens; the depth of a tilted plane at
        the finger, because a coin does not show which side is closer; and a finger that is not
        quite round, seen from one side.
        """
        mean, spread = self.height
        parts = [self.share, spread / self.distance, _FOCAL[1] * mean / self.distance]
        sine = np.sin(np.radians(self.tilt))
        if self.slope is not None and self.coins:
            along = abs(float((place - self.coins[0].centre) @ self.slope))
            parts.append(along * self.mm_per_px(place) * sine / self.distance)
        parts.append(_ROUND * sine**2)
        return float(np.linalg.norm(parts))


def known_plane(mm_per_px: float) -> Plane:
    """Return the plane for a known scale at the fingers, perpendicular to the camera's axis."""
    return Plane(np.diag([mm_per_px, mm_per_px, 1.0]))


def find_plane(image: np.ndarray, hand: Hand, scale: Scale) -> Plane:
    """Find the plane of the coin, the two coins or the card in a photo.

    Args:
        image: (H, W, 3) uint8 RGB.
        hand: a hand in this photo, with landmarks.
        scale: the coin, coins or card in the photo.

    Raises:
        ValueError: if the scale is unknown.
        MeasurementError: if it is not found or cannot be measured, or two coins disagree.
    """
    wanted = parse_scale(scale)
    if wanted == CARD:
        return _of_card(find_card(image, hand), hand)
    if len(wanted) == 1:
        coins = find_coins(image, hand, wanted[0])
        best = best_coin(coins, image.shape)
        for other in coins:
            both = best.on_hand and other.on_hand and min(best.support, other.support) > _SURE
            if both and abs(np.log(best.diameter / other.diameter)) > 2 * _AGREE:
                raise MeasurementError("two coins of different size are found: name both as scales")
        return _of_coin(best, wanted[0], image.shape)
    return _of_two(image, hand, max(wanted), min(wanted))


def _of_coin(coin: Coin, diameter: float, shape: tuple[int, ...]) -> Plane:
    seen = min(180.0, coin.diameter) * coin.support
    fit = 2 * np.sqrt(2 / seen) * 2 * coin.deviation / coin.diameter
    share = float(np.linalg.norm([fit, _RIM[0] / coin.diameter, _RIM[1]]))
    height = ON_HAND if coin.on_hand else BESIDE
    angle = np.radians(coin.turn)
    long, short = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    scale, ratio = diameter / coin.diameter, coin.ratio
    if 1 - ratio < 1.2 * share:  # Round within the uncertainty.
        scale, ratio = scale / ((1 + ratio) / 2), 1.0
    matrix = np.eye(3)
    matrix[:2, :2] = scale * (np.outer(long, long) + np.outer(short, short) / ratio)
    return Plane(
        matrix, float(np.degrees(np.arccos(ratio))), (coin,), None, height, share, short,
        _FOCAL[0] * max(shape[:2]) * scale,
    )  # fmt: skip


def _of_two(image: np.ndarray, hand: Hand, larger: float, smaller: float) -> Plane:
    """Average the planes of two coins, `larger` and `smaller` in mm, which must agree."""
    bigger, lesser = (find_coins(image, hand, diameter) for diameter in (larger, smaller))
    pairs = [
        (one, other)
        for one in bigger
        for other in lesser
        if np.linalg.norm(one.centre - other.centre) > one.diameter / 2
    ]
    if not pairs:
        raise MeasurementError("two coins were named, but only one is found")
    first, second = max(
        pairs,
        key=lambda pair: (
            # Both searches find both coins: which is which, their sizes tell.
            abs(np.log(pair[0].diameter / pair[1].diameter * smaller / larger)) < _ALIKE,
            not any(fault(coin, image.shape) for coin in pair),
            min(coin.support for coin in pair),
        ),
    )
    for coin in (first, second):
        if why := fault(coin, image.shape):
            raise MeasurementError(why)
    planes = _of_coin(first, larger, image.shape), _of_coin(second, smaller, image.shape)
    # Compare the scales at the fingers, whichever coin lies on the hand.
    scales = [
        plane.mm_per_px(coin.centre) * plane.raised()
        for plane, coin in zip(planes, (first, second), strict=True)
    ]
    unsure = float(np.linalg.norm([plane.share for plane in planes]))
    if planes[0].height != planes[1].height:
        unsure = float(np.hypot(unsure, ON_HAND[1] / planes[0].distance))
    if abs(np.log(scales[0] / scales[1])) > _AGREE + 2 * unsure:
        raise MeasurementError(
            f"the two coins disagree: {scales[0]:.4f} and {scales[1]:.4f} mm per pixel; are these "
            "the coins that were named?"
        )
    factor = float(np.sqrt(scales[1] / scales[0]))
    matrix = np.diag([factor, factor, 1.0]) @ planes[0].matrix
    return replace(planes[0], matrix=matrix, coins=(first, second), share=unsure / 2)


def _of_card(card: Card, hand: Hand) -> Plane:
    matrix = card.homography()
    height, width = hand.image_shape
    plane = Plane(matrix, card=card)
    centre = card.corners.mean(0)
    steps = plane.flat(centre + np.array([[0, 0], [0.5, 0], [0, 0.5]]))
    scales = np.linalg.svd(2 * (steps[1:] - steps[0]), compute_uv=False)
    tilt = float(np.degrees(np.arccos(min(1.0, scales[1] / scales[0]))))
    if tilt > STEEPEST + 2:
        raise MeasurementError(
            f"the card is tilted by {tilt:.0f} degrees, at most {STEEPEST:.0f} are allowed; "
            "hold the camera straight above the hand"
        )
    side = float(np.linalg.norm(card.corners[0] - card.corners[3]))
    share = float(np.linalg.norm([_SIDE[0] / side, card.deviation / side, _SIDE[1]]))
    hull = cv2.convexHull(np.asarray(hand.landmarks, np.float32))
    inside = cv2.pointPolygonTest(hull, centre.tolist(), False)
    return replace(
        plane, tilt=tilt, height=ON_HAND if inside > 0 else BESIDE, share=share,
        distance=_FOCAL[0] * max(height, width) * float(scales[1]),
    )  # fmt: skip
