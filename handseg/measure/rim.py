"""Find the rim of a coin: circles suggested by edges, and the ellipse that fits them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

OUTER = 0.8
"""Of the best ellipse's support: a larger concentric ellipse with this much or more is the coin."""

Ellipse: TypeAlias = tuple[np.ndarray, np.ndarray, float]
"""Centre (2,) px, half axes (2,) px, and degrees to the first half axis."""

_RADII = 1.12  # Ratio of successive radii in the search.
_CANDIDATES = 12
_RAYS = 180
_REACH = 0.3  # How far from the first circle the rim is searched, as a share of its radius.
_PEAKS = 4  # Edges kept per ray.
_GUESSES = 300
_HUE = 0.1  # Change in the log ratio of colours from which metal differs from skin.
_NARROWEST = 0.78  # Ratio of axes: flatter ellipses are not considered coins.


@dataclass(frozen=True, eq=False)
class Coin:
    """A coin in a photo.

    Attributes:
        centre: (2,) float64 x, y px.
        diameter: length of the longer axis of the rim's ellipse, px, which tilt does not change.
        ratio: ratio of the shorter axis to the longer one.
        support: visible share of the rim, 0..1.
        turn: degrees from the x axis to the longer axis, clockwise in the photo.
        deviation: root mean square distance of the rim from the ellipse, px.
        clearness: mean colour difference across the rim, divided by its variation along the rim.
        on_hand: whether the coin lies on the hand and not beside it.
    """

    centre: np.ndarray
    diameter: float
    ratio: float
    support: float
    turn: float = 0.0
    deviation: float = 0.0
    clearness: float = np.inf
    on_hand: bool = True

    def outline(self, count: int = _RAYS) -> np.ndarray:
        """Return `count` points on its rim, (count, 2) x, y px."""
        angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
        half = self.diameter / 2
        local = np.stack([half * np.cos(angles), self.ratio * half * np.sin(angles)], 1)
        return self.centre + local @ _rotation(self.turn).T


def circle_centres(view: np.ndarray, low: float, high: float) -> list[tuple[np.ndarray, float]]:
    """Find where edges point at a common centre: centres and radii, px."""
    x_slope, y_slope, strength = _slopes(view)
    height, width = strength.shape
    # Edges are relative to their surroundings: coins lie on plain skin and on patterns.
    about = cv2.blur(strength, (2 * int(high) + 1,) * 2) + 1.5
    weight = np.clip(strength / about - 0.8, 0, 2)
    y, x = np.nonzero(weight > 0)
    weights = weight[y, x]
    along_x, along_y = x_slope[y, x] / strength[y, x], y_slope[y, x] / strength[y, x]
    found: list[tuple[float, np.ndarray, float]] = []
    for radius in np.geomspace(low, high, max(2, round(np.log(high / low) / np.log(_RADII)) + 1)):
        votes = np.zeros(height * width)
        for sign in (-1, 1):
            column = np.rint(x + sign * radius * along_x).astype(int)
            row = np.rint(y + sign * radius * along_y).astype(int)
            inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
            votes += np.bincount(
                (row * width + column)[inside], weights[inside], minlength=height * width
            )
        blurred = cv2.GaussianBlur(votes.reshape(height, width), (0, 0), max(1.0, 0.12 * radius))
        for _ in range(_CANDIDATES):
            place = np.unravel_index(blurred.argmax(), blurred.shape)
            # The height of a blurred peak is its votes divided by the blur's area, which grows with
            # the radius.
            found.append((float(blurred[place]) * radius, np.array(place[::-1], float), radius))
            cv2.circle(blurred, (int(place[1]), int(place[0])), max(1, int(radius)), 0, -1)
    found.sort(key=lambda one: -one[0])
    kept: list[tuple[np.ndarray, float]] = []
    for _, centre, radius in found:
        if all(
            np.linalg.norm(centre - one) > 0.3 * radius or not 0.8 < radius / other < 1.25
            for one, other in kept
        ):
            kept.append((centre, radius))
        if len(kept) == 2 * _CANDIDATES:
            break
    return kept


def _slopes(view: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradient of each pixel's steepest channel: along x, along y, magnitude."""
    smooth = cv2.GaussianBlur(view, (0, 0), 1.0).astype(np.float32)
    x, y = (cv2.Scharr(smooth, cv2.CV_32F, *order) / 32 for order in ((1, 0), (0, 1)))
    size = np.hypot(x, y)
    most = size.argmax(-1)[..., None]
    one_x, one_y, one = (np.take_along_axis(each, most, -1)[..., 0] for each in (x, y, size))
    return one_x, one_y, one


def fit_rim(
    view: np.ndarray, centre: np.ndarray, radius: float, reach: float = _REACH
) -> Coin | None:
    """Fit an ellipse to the rim near a circle; None if there is none.

    Tries ellipses through edges on random rays. Of those that many edges support, the largest is
    the coin: its rim has an inner edge, and many coins have a core of another metal.
    """
    angles = np.linspace(0, 2 * np.pi, _RAYS, endpoint=False)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    step = max(0.25, radius / 120)
    steps = np.arange((1 - reach) * radius, (1 + reach) * radius, step)
    if len(steps) < 6:
        return None
    away, strength = _edges(view, centre, rays, steps, max(0.7, 0.008 * radius))
    tolerance = max(0.8, 0.025 * radius)
    places = centre + away[..., None] * rays  # (peaks, rays, 2)
    generator = np.random.default_rng(0)
    floor = 0.6 * np.median(strength[0])  # Of each ray's strongest edge.
    usable = strength > 0.3 * floor
    best: list[tuple[float, float, Ellipse]] = []
    for ellipse in _guesses(places, usable, centre, radius, reach, generator):
        off = np.where(usable, np.abs(_radial_error(places, *ellipse)), np.inf)
        nearest = off.argmin(0)
        columns = np.arange(_RAYS)
        # An ellipse halfway between a coin's edge and the rim's inner edge has no edge quite on it.
        agrees = np.maximum(1 - (off[nearest, columns] / tolerance) ** 2, 0)
        weight = np.minimum(strength[nearest, columns] / max(floor, 1e-6), 1.0)
        best.append((float((agrees * weight).mean()), float(np.sqrt(np.prod(ellipse[1]))), ellipse))
    if not best:
        return None
    top, size, (middle, *_) = max(best, key=lambda one: one[0])
    # A shadow's edge and the rim's opposite side form a larger ellipse, too, but off-centre.
    _, _, ellipse = max(
        (
            one
            for one in best
            if one[0] >= OUTER * top
            and np.linalg.norm(one[2][0] - middle) <= 0.4 * abs(one[1] - size) + 0.01 * radius
        ),
        key=lambda one: one[1],
    )
    for _ in range(4):
        off = np.where(usable, np.abs(_radial_error(places, *ellipse)), np.inf)
        nearest, columns = off.argmin(0), np.arange(_RAYS)
        rim, near = places[nearest, columns], off[nearest, columns] < tolerance
        if near.sum() < _RAYS // 3:
            return None
        (x, y), axes, turn = cv2.fitEllipseAMS(rim[near].astype(np.float32))
        if not np.isfinite([x, y, *axes]).all() or min(axes) <= 0:
            return None
        ellipse = (np.array([x, y]), np.array(axes) / 2, turn)
    off = _radial_error(rim[near], *ellipse)
    longest = int(np.argmax(axes))
    return Coin(
        np.array([x, y]), float(max(axes)), float(min(axes) / max(axes)), float(near.mean()),
        turn + 90.0 * longest, float(np.sqrt(np.mean(off**2))), _clearness(view, ellipse),
    )  # fmt: skip


def _clearness(view: np.ndarray, ellipse: Ellipse) -> float:
    """Compute the clearness, see `Coin`; noise, folds and patterns have almost none."""
    centre, half, turn = ellipse
    angles = np.linspace(0, 2 * np.pi, _RAYS, endpoint=False)
    rim = np.stack([half[0] * np.cos(angles), half[1] * np.sin(angles)], 1) @ _rotation(turn).T
    bands = []
    for low, high in ((0.72, 0.94), (1.06, 1.22)):
        shares = np.linspace(low, high, 6)[:, None, None]
        places = (centre + shares * rim).astype(np.float32)
        values = cv2.remap(
            view, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        bands.append(values.astype(float).mean(0))
    change = bands[0] - bands[1]
    return float(np.linalg.norm(change.mean(0)) / max(np.linalg.norm(change.std(0)), 1.0))


def _edges(
    view: np.ndarray, centre: np.ndarray, rays: np.ndarray, steps: np.ndarray, blur: float
) -> tuple[np.ndarray, np.ndarray]:
    """Find the strongest edges on each ray: distances px and strengths, both (peaks, rays)."""
    reach = int(np.ceil(steps[-1] + 4 * blur)) + 2
    left, top = (int(value) for value in np.maximum(np.floor(centre - reach), 0))
    part = view[top : int(centre[1]) + reach + 1, left : int(centre[0]) + reach + 1]
    if min(part.shape[:2]) < 4:
        return np.zeros((1, len(rays))), np.zeros((1, len(rays)))
    smooth = cv2.GaussianBlur(part, (0, 0), blur).astype(np.float32)
    places = (centre - [left, top] + steps[:, None, None] * rays).astype(np.float32)
    profile = cv2.remap(
        smooth, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    change = np.abs(np.gradient(profile, axis=0)).sum(-1)  # (steps, rays)
    # Average several steps, because bilinear values have a kink at each pixel.
    change = cv2.blur(change, (1, max(1, 2 * round(0.35 / (steps[1] - steps[0])) + 1)))
    middle = change[1:-1]
    peaks = np.where((middle >= change[:-2]) & (middle > change[2:]), middle, 0)
    order = np.argsort(-peaks, axis=0)[:_PEAKS]
    strength = np.take_along_axis(peaks, order, 0)
    columns = np.broadcast_to(np.arange(len(rays)), order.shape)
    before, at, after = (change[order + 1 + shift, columns] for shift in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = np.where(bend < 0, (before - after) / (2 * np.minimum(bend, -1e-6)), 0)
    strength = strength * _no_shadow(profile, order + 1, max(2, len(steps) // 10))
    return steps[order + 1] + (steps[1] - steps[0]) * np.clip(shift, -0.5, 0.5), strength


def _no_shadow(profile: np.ndarray, at: np.ndarray, apart: int) -> np.ndarray:
    """Weight edges by how little they look like shadows, which keep the hue: 0..1, (peaks, rays).

    `profile` (steps, rays, 3) is RGB along rays, `at` (peaks, rays) the edges' steps.
    """
    logs = np.log(profile + 16)
    hue = logs[..., [0, 2]] - logs[..., 1:2]
    columns = np.broadcast_to(np.arange(at.shape[1]), at.shape)
    before = hue[np.maximum(at - apart, 0), columns]
    after = hue[np.minimum(at + apart, len(hue) - 1), columns]
    change = np.linalg.norm(after - before, axis=-1)
    usual = float(np.median(change.max(0)))
    if usual < _HUE:  # The metal has the background's hue.
        return np.ones_like(change)
    return np.clip(change / (0.6 * usual), 0.25, 1)


def _guesses(
    places: np.ndarray,
    usable: np.ndarray,
    centre: np.ndarray,
    radius: float,
    reach: float,
    generator: np.random.Generator,
) -> list[Ellipse]:
    """Fit ellipses through six edges each, one from each sixth of the circle."""
    rays = np.arange(_RAYS // 6) + np.arange(6)[:, None] * (_RAYS // 6)
    column = np.stack([generator.choice(row, _GUESSES) for row in rays], 1)
    # Prefer strong edges; in every other guess, take edges at the same distance as the first.
    row = (generator.random(column.shape) ** 2 * len(places)).astype(int)
    away = np.linalg.norm(places - centre, axis=-1)
    like = np.abs(away[:, column] - away[row[:, 0], column[:, 0]][:, None])
    like[~usable[:, column]] = np.inf
    row[::2] = like.argmin(0)[::2]
    found = []
    for rows, columns in zip(row, column, strict=True):
        if not usable[rows, columns].all():
            continue
        points = places[rows, columns].astype(np.float32)
        (x, y), axes, turn = cv2.fitEllipseDirect(points)
        half = np.array(axes) / 2
        if not np.isfinite([x, y, *axes, turn]).all() or min(axes) < _NARROWEST * max(axes):
            continue
        middle = np.array([x, y])
        if np.linalg.norm(middle - centre) > reach * radius:
            continue
        if not 1 - reach < np.sqrt(half.prod()) / radius < 1 + reach:
            continue
        found.append((middle, half, turn))
    return found


def _rotation(turn: float) -> np.ndarray:
    """Return the (2, 2) matrix that rotates column vectors x, y by `turn` degrees."""
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    return np.array([[cosine, -sine], [sine, cosine]])


def _radial_error(
    points: np.ndarray, centre: np.ndarray, half_axes: np.ndarray, turn: float
) -> np.ndarray:
    """Return how far `points` (..., 2) lie outside an ellipse, px, along rays from its centre."""
    local = (points - centre) @ _rotation(turn)
    distance = np.linalg.norm(local, axis=-1)
    return distance * (1 - 1 / np.maximum(np.linalg.norm(local / half_axes, axis=-1), 1e-9))
