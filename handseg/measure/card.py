"""Find a bank or identity card in or beside the hand by its four straight sides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import cv2
import numpy as np

from handseg.errors import MeasurementError
from handseg.landmarks.anatomy import hand_size
from handseg.measure.card_outline import is_outline
from handseg.measure.scales import CARD_MM
from handseg.results.hand import Hand

_HAND_MM = (60.0, 125.0)  # Range of hand sizes, which limits how large a card may look.
_ROOMS = 0.4, 1.5
"""Room around the landmarks that is searched, in hand sizes: for a card on the palm, where patterns
around the hand are not in the way, and for one beside it."""
_WORKING = 700  # px: the longer side of the hand's surroundings is scaled to this for the search.
_LINES = 48
_ASPECT = (1.25, 2.0)  # Aspect ratio at up to 30 degrees of tilt; 1.586 from straight above.
_BEST = 14  # Quadrangles of the search that are examined closely.
_ALONG = np.linspace(0.1, 0.9, 60)  # Where edges are sampled along a side; corners are round.
_SUPPORT = 0.75  # Share of each side that must be visible: fingers may cover the rest.
_FLATTEST = 0.84  # Ratio of the two scales at the card's centre: 33 degrees.
_NARROWEST = 8  # px: the shorter side of what is searched, scaled, from which a card may fit.
_NONE = "no card with all four sides is found in or beside the hand"
_CONVERGES = 0.2  # Log ratio of opposite sides' lengths: perspective at 30 degrees causes no more.


@dataclass(frozen=True, eq=False)
class Card:
    """A card in a photo.

    Attributes:
        corners: (4, 2) float64 x, y px, clockwise in the photo, starting with a long side.
        support: visible share of the sides, 0..1.
        deviation: root mean square distance of edge points from the straight sides, px.
    """

    corners: np.ndarray
    support: float
    deviation: float

    def homography(self) -> np.ndarray:
        """Return the (3, 3) float64 homography from the photo's px to mm on the card."""
        width, height = CARD_MM
        target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        return cv2.getPerspectiveTransform(self.corners.astype(np.float32), target)


def find_card(image: np.ndarray, hand: Hand) -> Card:
    """Find the card in or beside the hand.

    Straight edges are combined into quadrangles with the shape and plausible size of a card. The
    one with the clearest sides is fitted to the edges in the photo with subpixel accuracy.
    Quadrangles whose sides continue beyond the corners, like a window's, or converge too much are
    left out.

    Args:
        image: (H, W, 3) uint8 RGB.
        hand: a hand in this photo, with landmarks, which limit the size of the card.

    Raises:
        MeasurementError: if no card with all four sides is found.
    """
    if hand.landmarks is None:
        raise MeasurementError("the hand has no landmarks, which are needed to find a card")
    points = hand.landmarks.astype(float)
    size = hand_size(points)
    found: list[Card] = []
    for room in _ROOMS:
        low = np.maximum(np.floor(points.min(0) - room * size), 0).astype(int)
        high = np.minimum(np.ceil(points.max(0) + room * size), image.shape[1::-1]).astype(int)
        found += _cards(image[low[1] : high[1], low[0] : high[0]], low, size, max(image.shape[:2]))
    if not found:
        raise MeasurementError(_NONE)
    return max(
        (one for one in found if one.support > 0.9 * max(other.support for other in found)),
        key=lambda one: cv2.contourArea(one.corners.astype(np.float32)),
    )


def _cards(view: np.ndarray, corner: np.ndarray, size: float, longer: int) -> list[Card]:
    """Find cards in `view`, the part of a photo at `corner` (2,) px.

    `size` is that of the hand, `longer` the photo's longer side, px.
    """
    scale = min(2.0, _WORKING / max(1, *view.shape[:2]))
    if scale * min(view.shape[:2]) < _NARROWEST:
        return []
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(view, None, fx=scale, fy=scale, interpolation=kind)
    shortest = scale * size * CARD_MM[1] / _HAND_MM[1] * 0.85
    longest = scale * size * CARD_MM[0] / _HAND_MM[0] * 1.15
    found = []
    for quadrangle in _quadrangles(small, shortest, longest):
        card = _refine(view, (quadrangle + 0.5) / scale - 0.5)
        if card is not None and is_outline(view, card.corners, longer):
            found.append(replace(card, corners=card.corners + corner))
    return found


def _quadrangles(view: np.ndarray, shortest: float, longest: float) -> list[np.ndarray]:
    """Find possible cards, each (4, 2) px, clockwise from a long side, best first."""
    lines = _lines(view, 0.3 * shortest)
    if len(lines) < 4:
        return []
    middle = lines.mean(1)
    along = lines[:, 1] - lines[:, 0]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    strength = _strength(view)
    pairs = []  # Two lines that may be opposite sides, their distance and mean direction.
    for one, other in combinations(range(len(lines)), 2):
        if abs(along[one] @ along[other]) < np.cos(np.radians(18)):
            continue
        mean = along[one] + along[other] * np.sign(along[one] @ along[other])
        mean /= np.linalg.norm(mean)
        between = middle[other] - middle[one]
        apart = abs(between[0] * mean[1] - between[1] * mean[0])
        if 0.85 * shortest < apart < longest and abs(between @ mean) < longest:
            pairs.append((one, other, apart, mean))
    found: list[tuple[float, np.ndarray]] = []
    for first, second in combinations(pairs, 2):
        if abs(first[3] @ second[3]) > np.sin(np.radians(25)):
            continue
        # The longer sides are as far apart as the shorter ones are long.
        long, short = (first, second) if first[2] < second[2] else (second, first)
        if not _ASPECT[0] < short[2] / long[2] < _ASPECT[1]:
            continue
        sides = [lines[index] for index in (long[0], short[0], long[1], short[1])]
        quadrangle = _corners(sides)
        if quadrangle is not None and _may_be_card(quadrangle):
            # Pictures and stripes on a card form quadrangles, too, but smaller ones.
            area = cv2.contourArea(quadrangle.astype(np.float32)) / (shortest * longest)
            found.append((_seen(strength, quadrangle) + 0.1 * np.log(area), quadrangle))
    found.sort(key=lambda one: -one[0])
    kept: list[np.ndarray] = []
    for _, quadrangle in found:
        if all(np.abs(quadrangle - one).max() > 3 for one in kept):
            kept.append(quadrangle)
        if len(kept) == _BEST:
            break
    return kept


def _may_be_card(quadrangle: np.ndarray) -> bool:
    """Whether a card could look like this from a camera with little tilt."""
    lengths = np.linalg.norm(np.roll(quadrangle, -1, 0) - quadrangle, axis=1)
    if np.abs(np.log(lengths[:2] / lengths[2:])).max() > _CONVERGES:
        return False
    width, height = CARD_MM
    across = (quadrangle[1] - quadrangle[0] + quadrangle[2] - quadrangle[3]) / (2 * width)
    down = (quadrangle[3] - quadrangle[0] + quadrangle[2] - quadrangle[1]) / (2 * height)
    scales = np.linalg.svd(np.stack([across, down]), compute_uv=False)
    return bool(scales[1] / scales[0] > _FLATTEST)


def _lines(view: np.ndarray, least: float) -> np.ndarray:
    """Find the longest straight edges in brightness and colour, (N, 2, 2) px."""
    lab = cv2.cvtColor(view, cv2.COLOR_RGB2LAB)
    detector = cv2.createLineSegmentDetector()
    found = []
    for channel in cv2.split(lab):
        stretched = cv2.normalize(cv2.GaussianBlur(channel, (0, 0), 1.0), None, 0, 255, 32)
        lines = detector.detect(stretched)[0]
        if lines is not None:
            found.append(lines.reshape(-1, 2, 2))
    if not found:
        return np.zeros((0, 2, 2))
    lines = np.concatenate(found).astype(float)
    length = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1)
    order = np.argsort(-length)
    kept: list[np.ndarray] = []
    for line in lines[order[length[order] > least]]:
        if all(_differ(line, one) for one in kept):
            kept.append(line)
        if len(kept) == _LINES:
            break
    return np.array(kept).reshape(-1, 2, 2)


def _differ(line: np.ndarray, other: np.ndarray) -> bool:
    """Whether `line` is a different edge, not a part of the longer `other`."""
    along = other[1] - other[0]
    length = np.linalg.norm(along)
    away = (line - other[0]) @ np.array([-along[1], along[0]]) / length
    place = (line - other[0]) @ along / length**2
    return bool(np.abs(away).max() > 2.5 or place.max() < -0.5 or place.min() > 1.5)


def _corners(sides: list[np.ndarray]) -> np.ndarray | None:
    """Intersect neighbouring `sides`, two points each: (4, 2), or None unless it is convex."""
    equations = [np.cross([*one[0], 1.0], [*one[1], 1.0]) for one in sides]
    corners = []
    for index in range(4):
        meeting = np.cross(equations[index - 1], equations[index])
        if abs(meeting[2]) < 1e-9:
            return None
        corners.append(meeting[:2] / meeting[2])
    quadrangle = np.array(corners)  # Corner i is where side i begins.
    if not cv2.isContourConvex(quadrangle.astype(np.float32)):
        return None
    area = cv2.contourArea(quadrangle.astype(np.float32), oriented=True)
    # Clockwise as seen, with y down, is a positive area; the first side stays a long one.
    return quadrangle if area > 0 else quadrangle[[1, 0, 3, 2]]


def _strength(view: np.ndarray) -> np.ndarray:
    """Measure the strength of edges relative to their surroundings, (H, W) float32, 0..1."""
    smooth = cv2.GaussianBlur(view, (0, 0), 1.0).astype(np.float32)
    slope = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    strength = slope.max(-1)
    return np.clip(strength / (2 * cv2.blur(strength, (61, 61)) + 4), 0, 1)


def _seen(strength: np.ndarray, quadrangle: np.ndarray) -> float:
    """Rate how much of the sides lies on edges: the mean plus the worst side."""
    ends = np.roll(quadrangle, -1, 0)
    places = quadrangle[:, None] + _ALONG[:, None] * (ends - quadrangle)[:, None]
    values = cv2.remap(
        strength, places[..., 0].astype(np.float32), places[..., 1].astype(np.float32),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
    ).mean(1)  # fmt: skip
    return float(values.mean() + values.min())


def _refine(view: np.ndarray, quadrangle: np.ndarray) -> Card | None:
    """Fit the sides of `quadrangle` to the photo's edges; None if the result is not a card."""
    height, width = view.shape[:2]
    support = 1.0
    deviations: list[float] = []
    for reach in (0.05, 0.02):
        sides, support, deviations = [], 1.0, []
        room = max(3.0, reach * float(np.linalg.norm(quadrangle[1] - quadrangle[0])))
        for index in range(4):
            side = _side(view, quadrangle[index], quadrangle[(index + 1) % 4], room)
            if side is None:
                return None
            line, seen, deviation = side
            sides.append(line)
            support = min(support, seen)
            deviations.append(deviation)
        fitted = _corners(sides)
        if fitted is None:
            return None
        quadrangle = fitted
    if (quadrangle < 0).any() or (quadrangle > [width - 1, height - 1]).any():
        return None
    if not _may_be_card(quadrangle):
        return None
    return Card(quadrangle, support, float(np.sqrt(np.mean(np.square(deviations)))))


def _side(
    view: np.ndarray, start: np.ndarray, end: np.ndarray, room: float
) -> tuple[np.ndarray, float, float] | None:
    """Fit a straight edge within `room` px of a side: two points, visible share, deviation px."""
    along = (end - start) / np.linalg.norm(end - start)
    outward = np.array([along[1], -along[0]])  # For clockwise corners, y down.
    steps = np.arange(-room, room + 0.25, 0.25)
    middles = start + _ALONG[:, None] * (end - start)
    places = (middles + steps[:, None, None] * outward).astype(np.float32)
    smooth = cv2.GaussianBlur(view, (0, 0), 0.8)
    profile = cv2.remap(
        smooth, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float32)
    change = np.linalg.norm(np.gradient(cv2.blur(profile, (1, 3)), axis=0), axis=-1)
    middle = change[1:-1]
    peaks = np.where((middle >= change[:-2]) & (middle > change[2:]), middle, 0)
    order = np.argsort(-peaks, axis=0)[:3]
    strong = np.take_along_axis(peaks, order, 0)
    usable = strong > max(0.25 * float(np.median(strong[0])), 0.3)
    away = steps[order + 1]
    place = np.broadcast_to(_ALONG, away.shape)
    best: tuple[float, np.ndarray] | None = None
    generator = np.random.default_rng(0)
    for _ in range(150):
        one, other = generator.choice(len(_ALONG), 2, replace=False)
        ranks = (generator.random(2) ** 2 * len(order)).astype(int)
        if abs(one - other) < 15 or not (usable[ranks[0], one] and usable[ranks[1], other]):
            continue
        slope = (away[ranks[1], other] - away[ranks[0], one]) / (_ALONG[other] - _ALONG[one])
        shift = away[ranks[0], one] - slope * _ALONG[one]
        agrees = (usable & (np.abs(away - shift - slope * place) < 0.8)).any(0).mean()
        score = float(agrees) + 0.02 * (shift + slope / 2) / room  # Prefer the outermost edge.
        if best is None or score > best[0]:
            best = score, np.array([shift, slope])
    if best is None:
        return None
    shift, slope = best[1]
    for _ in range(3):
        off = np.where(usable, np.abs(away - shift - slope * place), np.inf)
        nearest = off.argmin(0)
        columns = np.arange(len(_ALONG))
        near = off[nearest, columns] < 0.8
        if near.mean() < _SUPPORT:
            return None
        values = away[nearest, columns][near]
        slope, shift = np.polyfit(_ALONG[near], values, 1)
    deviation = float(np.sqrt(np.mean((values - shift - slope * _ALONG[near]) ** 2)))
    ends = start + shift * outward, end + (shift + slope) * outward
    return np.array(ends), float(near.mean()), deviation
