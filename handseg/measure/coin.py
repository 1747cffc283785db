"""Find a coin on or beside the hand, the scale of a photo."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from handseg.errors import MeasurementError
from handseg.landmarks.anatomy import hand_size
from handseg.measure.rim import OUTER, Coin, circle_centres, fit_rim
from handseg.measure.scales import two_metal_diameters
from handseg.results.hand import Hand
from handseg.runtime.arrays import values_at

FLATTEST = 0.85
"""The smallest ratio of a coin's axes: 0.866 at 30 degrees, less a margin for the fit's error."""

SMALLEST = 14.0
"""px: the smallest diameter of a coin; smaller rims cannot be measured to a few percent."""

_HAND_MM = (50.0, 170.0)  # Hand sizes of children and of large men, near and far from the coin.
_COIN_MM = (16.0, 32.0)  # Diameters of unknown coins.
_WORKING = 26.0  # px: the smallest possible diameter is scaled to this for the search.
_NARROWEST = 8  # px: the shorter side of what is searched, scaled, from which a coin may fit.
_SUPPORT = 0.76  # Share of the rim that must be visible on a hand.
_SUPPORT_BESIDE = 0.9  # The same on any other background, which may have rings of its own.
_CORE = 1.38  # Ratio of a two-metal coin's diameter to its core's.
_ABOUT_CORE = 0.8  # Support of a rim around a core, whatever it looks like: skin folds have 0.75.
_AS_CERTAIN = 0.9  # Of the support of the most certain coin.
_MAYBE = 0.4  # Support in the first, coarse search.


def find_coin(image: np.ndarray, hand: Hand, diameter_mm: float | None = None) -> Coin:
    """Find the coin on or beside the hand, with subpixel accuracy.

    Args:
        image: (H, W, 3) uint8 RGB.
        hand: a hand in this photo, with landmarks, which limit the size of the coin.
        diameter_mm: diameter of the coin; None for any coin in use.

    Raises:
        MeasurementError: if no coin is found, or all are cut off, too small or tilted too much.
    """
    return best_coin(find_coins(image, hand, diameter_mm), image.shape)


def find_coins(image: np.ndarray, hand: Hand, diameter_mm: float | None = None) -> list[Coin]:
    """Find all possible coins, most certain first, those on the hand before those beside it.

    Some may have a `fault`.

    Raises:
        MeasurementError: if no coin is found.
    """
    sizes = _COIN_MM if diameter_mm is None else (diameter_mm, diameter_mm)
    size = hand_size(_landmarks(hand))
    low, high = sizes[0] * size / _HAND_MM[1], sizes[1] * size / _HAND_MM[0]
    found: list[Coin] = []
    coins = _candidates(image, hand, low, high, diameter_mm in two_metal_diameters())
    while coins:
        # Of circles with the same centre, as on a two-metal coin, take the largest clear one.
        first = coins[0]
        about = [
            one
            for one in coins
            if np.linalg.norm(one.centre - first.centre) < first.diameter / 8
            and one.support > OUTER * first.support
        ]
        found.append(max(about, key=lambda one: one.diameter))
        coins = [
            one
            for one in coins
            if np.linalg.norm(one.centre - found[-1].centre) > found[-1].diameter / 2
        ]
    if not found:
        raise MeasurementError("no complete coin is found on or beside the hand")
    return found


def best_coin(coins: list[Coin], shape: tuple[int, ...]) -> Coin:
    """Return the first of `coins`, in a photo of `shape` (H, W, ...), that can be measured.

    Coins much less certain than the first are not considered: a ring may look like one.

    Raises:
        MeasurementError: if there is none; it says why the first cannot be measured.
    """
    for coin in coins:
        if coin.support > _AS_CERTAIN * coins[0].support and not fault(coin, shape):
            return coin
    raise MeasurementError(fault(coins[0], shape))


def fault(coin: Coin, shape: tuple[int, ...]) -> str:
    """Return why a coin in a photo of `shape` (H, W, ...) cannot be measured, "" if it can."""
    edge = np.array(shape[1::-1]) - 1
    if (coin.outline() < 0.5).any() or (coin.outline() > edge - 0.5).any():
        return "the coin is cut off by the photo's edge"
    if coin.diameter < SMALLEST:
        return (
            f"the coin is {coin.diameter:.0f} px wide, at least {SMALLEST:.0f} are needed; "
            "take a larger photo, or move closer"
        )
    if coin.ratio < FLATTEST:
        return (
            f"the coin is tilted too much: its axes have a ratio of {coin.ratio:.2f}, at least "
            f"{FLATTEST} (30 degrees) is needed; hold the camera straight above the hand"
        )
    return ""


def _landmarks(hand: Hand) -> np.ndarray:
    if hand.landmarks is None:
        raise MeasurementError("the hand has no landmarks, which are needed to find a coin")
    return hand.landmarks.astype(float)


def _candidates(
    image: np.ndarray, hand: Hand, low: float, high: float, two_metals: bool
) -> list[Coin]:
    """Find coins of `low` to `high` px, most certain first; `two_metals`: known to have a core."""
    points = _landmarks(hand)
    around = hand_size(points)
    corner = np.maximum(np.floor(points.min(0) - around), 0).astype(int)
    end = np.minimum(np.ceil(points.max(0) + around), image.shape[1::-1]).astype(int)
    view = image[corner[1] : end[1], corner[0] : end[0]]
    scale = min(2.0, _WORKING / low)
    if scale * min(view.shape[:2]) < _NARROWEST:
        return []
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(view, None, fx=scale, fy=scale, interpolation=kind)
    coins = []
    for centre, radius in circle_centres(small, scale * low / 2, scale * high / 2):
        coin = fit_rim(small, centre, radius)
        if coin is None or coin.support < _MAYBE:
            continue
        if not 0.9 * low < coin.diameter / scale < 1.1 * high:
            continue
        place = (coin.centre + 0.5) / scale - 0.5
        finer = _finer(view, place, coin.diameter * (1 + coin.ratio) / 4 / scale)
        if finer is None:
            continue
        found = [finer]
        # A core of another metal is often clearer than the coin around it.
        outer = fit_rim(view, finer.centre, _CORE * finer.diameter * (1 + finer.ratio) / 4, 0.15)
        if outer is not None and low < outer.diameter < high:
            enough = _ABOUT_CORE if two_metals else _enough(outer.clearness)
            if outer.support >= enough:
                found.append(outer)
        for one in found:
            placed = replace(one, centre=one.centre + corner)
            placed = replace(placed, on_hand=_lies_on(hand, points, placed))
            if placed.on_hand or placed.support >= _SUPPORT_BESIDE:
                coins.append(placed)
    return sorted(coins, key=lambda one: (not one.on_hand, -one.support))


def _finer(view: np.ndarray, centre: np.ndarray, radius: float) -> Coin | None:
    coin = fit_rim(view, centre, radius, 0.15)
    return coin if coin is not None and coin.support >= _enough(coin.clearness) else None


def _enough(clearness: float) -> float:
    """Return the support that a rim needs: 1 if both sides of it look the same."""
    return 1 - (1 - _SUPPORT) * min(clearness, 1.0) ** 3


def _lies_on(hand: Hand, points: np.ndarray, coin: Coin) -> bool:
    """Whether the coin's centre is among the palm's landmarks, or most of its rim on the mask."""
    rim = coin.centre + 1.1 * (coin.outline() - coin.centre)
    palm = cv2.convexHull(points[[0, 1, 2, 5, 9, 13, 17]].astype(np.float32))
    if cv2.pointPolygonTest(palm, coin.centre.tolist(), False) > 0:
        return True
    return float(values_at(hand.patch >= 128, rim - hand.offset).sum()) / len(rim) > 0.8
