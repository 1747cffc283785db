"""Converts px to mm at the fingers: scale, tilt and their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from handseg.errors import MeasurementError
from handseg.measure.card import Card, find_card
from handseg.measure.coin import find_coins
from handseg.measure.rim import Coin
from handseg.measure.scales import CARD, Scale, parse_scale
from handseg.results.hand import Hand

STEEPEST = 30.0
"""Degrees between the camera's axis and the plane's normal up to which a photo is measured."""

ON_HAND = 14.0, 10.0
"""mm that a coin on the palm lies nearer to the camera than the fingers' outline, and its standard
deviation over how hands are held. On rendered palms it is 14 and 11."""

BESIDE = -6.0, 5.0
"""The same for a coin on the table beside a flat hand: fingers are seen at half their thickness."""

_FOCAL = 1.0, 0.35
"""Focal length, in the photo's longer sides, and its standard deviation as a share: 26 mm lenses of
phones have 0.72, twofold zoom or a photo cut to its half twice that."""

_RIM = 0.4, 0.004  # px, and share: a rim's edge is where light and blur put it.
_SIDE = 0.3, 0.001  # Those of a card, which is larger and flat.
_AGREE = 0.02  # Share by which two coins' scales may differ besides what their fits are unsure of.
_SURE = 0.92  # Support from which on a second coin counts that nobody named.
_ROUND = 0.1  # Uncertainty of a finger's thickness, as a share of its width.


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane of a scale, as the camera sees it.

    Attributes:
        matrix: (3, 3) float64, from px of the photo to mm in the plane.
        tilt: degrees between the plane and the photo's.
        coins: what it came from; likewise `card`.
        card: see above.
        height: mm that the scale lies nearer to the camera than the fingers, and the standard
            deviation of that.
        share: standard deviation of the scale itself, as a share.
        slope: (2,) unit vector in the photo along which the plane falls away, either way.
        distance: of the camera, mm, as a usual lens makes it.
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
        """`points` (N, 2) px in mm, as if seen from straight above."""
        return cv2.perspectiveTransform(points[None].astype(float), self.matrix)[0]

    def mm_per_px(self, place: np.ndarray) -> float:
        """The scale at `place` (2,) px along the direction that the tilt does not shorten."""
        steps = self.flat(place + np.array([[0, 0], [0.5, 0], [0, 0.5]]))
        return float(np.linalg.svd(2 * (steps[1:] - steps[0]), compute_uv=False)[1])

    def raised(self) -> float:
        """What the scale is multiplied with for fingers, which are farther off or nearer."""
        return 1 + self.height[0] / self.distance

    def deviation(self, place: np.ndarray) -> float:
        """Standard deviation of the scale of a finger at `place` (2,) px, as a share.

        The sum of squares of four: the fit of coin or card; the height that fingers have above or
        below it, and the camera's distance, of which only a usual lens is known; the depth that a
        tilted plane has at the finger, as a coin does not tell which side is nearer; and a finger
        that is not quite round, seen from one side.
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
    """The plane of fingers of which the scale is known, at right angles to the camera."""
    return Plane(np.diag([mm_per_px, mm_per_px, 1.0]))


def find_plane(image: np.ndarray, hand: Hand, scale: Scale) -> Plane:
    """The plane of the coin, the two coins or the card in a photo.

    Args:
        image: (H, W, 3) uint8 RGB.
        hand: of that photo, with landmarks.
        scale: what lies there.

    Raises:
        ValueError: if the scale is not one that is known.
        MeasurementError: if it is not found, seen too much aslant, or two coins disagree.
    """
    wanted = parse_scale(scale)
    if wanted == CARD:
        return _of_card(find_card(image, hand), hand)
    if len(wanted) == 1:
        best, *others = find_coins(image, hand, wanted[0])
        for other in others:
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
    if 1 - ratio < 1.2 * share:  # As round as it can be told.
        scale, ratio = scale / ((1 + ratio) / 2), 1.0
    matrix = np.eye(3)
    matrix[:2, :2] = scale * (np.outer(long, long) + np.outer(short, short) / ratio)
    return Plane(
        matrix, float(np.degrees(np.arccos(ratio))), (coin,), None, height, share, short,
        _FOCAL[0] * max(shape[:2]) * scale,
    )  # fmt: skip


def _of_two(image: np.ndarray, hand: Hand, larger: float, smaller: float) -> Plane:
    """The mean of two coins, the `larger` and the `smaller` one, mm, that must agree."""
    pairs = []
    bigger = find_coins(image, hand, larger)
    for one in bigger:
        for other in find_coins(image, hand, smaller):
            if np.linalg.norm(one.centre - other.centre) > one.diameter / 2:
                pairs.append((one, other))
    if not pairs:
        raise MeasurementError("two coins were named, but only one is found")
    first, second = max(pairs, key=lambda pair: min(coin.support for coin in pair))
    planes = _of_coin(first, larger, image.shape), _of_coin(second, smaller, image.shape)
    # As large as they are where the fingers are, whichever lies on the hand.
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
