"""A coin on the hand, found as the scale of a photo."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from handseg.errors import MeasurementError
from handseg.results.hand import Hand
from handseg.runtime.arrays import values_at

EURO_COINS = {
    "1 cent": 16.25,
    "2 cent": 18.75,
    "5 cent": 21.25,
    "10 cent": 19.75,
    "20 cent": 22.25,
    "50 cent": 24.25,
    "1 euro": 23.25,
    "2 euro": 25.75,
}
"""Diameters in mm (European Central Bank, common specifications)."""

FLATTEST = 0.93
"""The least ratio of a coin's axes; below it the camera looks at more than 21 degrees aslant."""

_WORKING = 512  # px: what the hand's longer side is shrunk to for the search.
_RADII = (0.04, 0.2)  # Of a coin, as a share of the hand's longer side.
_RAYS = 180
_REACH = 0.15  # How far from the first circle the rim is looked for, as a share of its radius.
_OFF_RIM = 0.03  # Of the radius: rays that find something else than the rim are left out.


@dataclass(frozen=True, eq=False)
class Coin:
    """A coin in a photo.

    Attributes:
        centre: (2,) float64 x, y px.
        diameter: of the rim along the longer axis of its ellipse, px; a slant leaves that as it is.
        ratio: of the shorter axis to the longer one.
        support: share of the rim that is seen, 0..1.
    """

    centre: np.ndarray
    diameter: float
    ratio: float
    support: float


def coin_diameter(coin: str | float) -> float:
    """Millimetres of a euro coin by name ("2 euro", "50 cent"), or of any coin by its diameter.

    Raises:
        ValueError: if it is no such name or not a positive number.
    """
    if isinstance(coin, str):
        if coin not in EURO_COINS:
            raise ValueError(f"coin must be one of {', '.join(EURO_COINS)}, or mm, got {coin!r}")
        return EURO_COINS[coin]
    if not (np.isfinite(coin) and coin > 0):
        raise ValueError(f"a coin's diameter must be a positive number of mm, got {coin}")
    return float(coin)


def find_coin(image: np.ndarray, hand: Hand) -> Coin:
    """The coin that lies on the hand, its rim to a fraction of a pixel.

    Circles are looked for with the Hough transform; of those on the hand the largest whose rim is
    seen is taken (two-coloured coins show two), and an ellipse is fitted to where the brightness
    changes most along rays from its centre.

    Args:
        image: (H, W, 3) uint8 RGB.
        hand: of that photo.

    Raises:
        MeasurementError: if no coin is found, or it is seen too much aslant.
    """
    x, y = hand.offset
    height, width = hand.patch.shape
    view = np.ascontiguousarray(image[y : y + height, x : x + width])
    coins = [_fit(view, *circle) for circle in _circles(view, hand.patch >= 128)]
    seen = [coin for coin in coins if coin is not None and coin.support > 0.6]
    if not seen:
        raise MeasurementError("no coin is seen on the hand")
    best = max(seen, key=lambda coin: coin.support)
    about = [one for one in seen if np.linalg.norm(one.centre - best.centre) < best.diameter / 8]
    coin = max(about, key=lambda one: one.diameter)
    if coin.ratio < FLATTEST:
        raise MeasurementError(
            f"the coin is seen aslant: its axes have a ratio of {coin.ratio:.2f}, at least "
            f"{FLATTEST} is needed; hold the camera straight above the hand"
        )
    return Coin(coin.centre + np.array([x, y]), coin.diameter, coin.ratio, coin.support)


def _circles(view: np.ndarray, mask: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Centres and radii, px, of what may be a coin on the hand."""
    side = max(mask.shape)
    scale = min(1.0, _WORKING / side)
    size = max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale))
    grey = cv2.cvtColor(cv2.resize(view, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    low, high = (share * side * scale for share in _RADII)
    circles: list[tuple[np.ndarray, float]] = []
    for radius in np.geomspace(low, high, 5)[:-1]:
        # One range of radii at a time: of circles about one centre OpenCV gives just one.
        found = cv2.HoughCircles(
            cv2.medianBlur(grey, 5), cv2.HOUGH_GRADIENT_ALT, 1.5, 2 * low, param1=120, param2=0.6,
            minRadius=int(radius), maxRadius=int(np.ceil(radius * (high / low) ** 0.25)),
        )  # fmt: skip
        for x, y, r in [] if found is None else found[0][:, :3]:
            centre = (np.array([x, y], np.float64) + 0.5) / scale - 0.5
            if _share_on(mask, centre, 1.1 * float(r) / scale) > 0.8:
                circles.append((centre, float(r) / scale))
    return circles


def _share_on(mask: np.ndarray, centre: np.ndarray, radius: float) -> float:
    """How much of a circle lies on `mask` (H, W) bool: a fingertip's is half off it."""
    angles = np.linspace(0, 2 * np.pi, _RAYS, endpoint=False)
    rim = centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return float(values_at(mask, rim).sum() / _RAYS)


def _fit(view: np.ndarray, centre: np.ndarray, radius: float) -> Coin | None:
    """The ellipse of the rim near a circle; None where there is none."""
    angles = np.linspace(0, 2 * np.pi, _RAYS, endpoint=False)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    steps = np.arange((1 - _REACH) * radius, (1 + _REACH) * radius, 0.5)
    places = (centre + steps[:, None, None] * rays).astype(np.float32)
    smooth = cv2.GaussianBlur(view, (0, 0), max(0.8, 0.01 * radius)).astype(np.float32)
    profile = cv2.remap(
        smooth, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    change = np.abs(np.gradient(profile, axis=0)).sum(-1)  # (steps, rays)
    middle = change[1:-1]
    # A rim has an inner edge, too, which may be the stronger one: the coin ends at the outermost.
    edges = (middle >= change[:-2]) & (middle >= change[2:]) & (middle > 0.5 * middle.max(0))
    peak = len(middle) - edges[::-1].argmax(0)
    columns = np.arange(_RAYS)
    before, at, after = (change[peak + shift, columns] for shift in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = np.where(bend < 0, (before - after) / (2 * np.minimum(bend, -1e-6)), 0)
    rim = centre + (steps[peak] + 0.5 * np.clip(shift, -0.5, 0.5))[:, None] * rays
    strong = at > 3 * np.median(change)
    for _ in range(5):
        if strong.sum() < _RAYS // 3:
            return None
        (x, y), axes, turn = cv2.fitEllipseAMS(rim[strong].astype(np.float32))
        if not np.isfinite([x, y, *axes]).all() or min(axes) <= 0:
            return None
        off = np.abs(_radial_error(rim, np.array([x, y]), np.array(axes) / 2, turn))
        strong = (off < max(1.0, _OFF_RIM * radius)) & (at > 3 * np.median(change))
    return Coin(
        np.array([x, y]), float(max(axes)), float(min(axes) / max(axes)), float(strong.mean())
    )


def _radial_error(
    points: np.ndarray, centre: np.ndarray, half_axes: np.ndarray, turn: float
) -> np.ndarray:
    """How far `points` (N, 2) lie outside of an ellipse, px, along rays from its centre."""
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    local = (points - centre) @ np.array([[cosine, -sine], [sine, cosine]])
    distance = np.linalg.norm(local, axis=1)
    return distance * (1 - 1 / np.maximum(np.linalg.norm(local / half_axes, axis=1), 1e-9))
