"""Cuts across a finger, and its tip, on the mask: where alpha crosses one half."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from handseg.results.hand import Hand

FINGERS = {
    "thumb": (2, 3, 4),
    "index": (5, 6, 7, 8),
    "middle": (9, 10, 11, 12),
    "ring": (13, 14, 15, 16),
    "little": (17, 18, 19, 20),
}
"""The landmarks of each finger's joints, from the knuckle to the tip."""

RING_PLACE = (0.5, 0.9)
"""Where a ring may sit, from the knuckle (0) to the middle joint (1): as close to the palm in this
range as the finger is separate from its neighbours."""

JOINT_PLACE = (0.88, 1.12)
"""Where the middle joint is searched, on the same scale."""

SMALLEST = 12.0
"""px: the smallest width of a finger; narrower ones are rejected."""

_PLACES = 25
_SECTIONS = 9
_STRAIGHT = 25.0  # Degrees that a finger may appear bent at a joint.
_FORESHORTENED = 0.6  # Of a straight finger's length beyond its first bone: bent if below.
_END_TO_FIRST = {"thumb": 0.75}  # That length over the first bone's; 1 for other fingers.
_WIDEST = {"thumb": 1.1}  # Width over the first bone's length; 0.75 for other fingers.
_BLURRED = 0.12  # Standard deviation of an edge's blur over the finger's width: out of focus.
_SIDE = (0.7, 0.0001)  # px, and share of the photo's longer side: error of a side of the mask.
_ENDS = 0.7, 1.0  # Along the first bone: the cuts that define its direction.
_ASKEW = 12.0  # Degrees that landmarks may deviate from the finger's direction.
_UNEVEN = 0.12  # How much sections may differ, relative to the width.
_JOINT = 0.78, 1.22  # Range of the width where a ring sits, relative to the joint's width.
_INNER, _LINES = (0.1, 0.9), 17  # Range across the finger searched for its tip, and line count.
_LIKE = 3.0  # Neighbouring sections whose errors correlate: together they count as one.


@dataclass(frozen=True, eq=False)
class Sections:
    """Neighbouring cuts across a finger.

    Attributes:
        ends: (N, 2, 2) float64 x, y px: both ends of each cut.
        deviation: standard deviation of the median width, px.
    """

    ends: np.ndarray
    deviation: float

    @property
    def width(self) -> float:
        """The median width, px."""
        return float(np.median(np.linalg.norm(self.ends[:, 1] - self.ends[:, 0], axis=1)))

    @property
    def middle(self) -> np.ndarray:
        """The middle cut, (2, 2) x, y px."""
        return self.ends[len(self.ends) // 2]


def refusal(hand: Hand, joints: np.ndarray, name: str) -> str:
    """Return why a finger with `joints` (N, 2) px cannot be measured, "" if it can."""
    return _hidden(hand, joints) or _bent(joints, name)


def ring_sections(image: np.ndarray, hand: Hand, joints: np.ndarray, name: str) -> Sections | str:
    """Return the cuts where a ring sits, or why there are none."""
    found = _sections(hand, joints, RING_PLACE, _WIDEST.get(name, 0.75))
    if found is None:
        return "it touches its neighbour, or the photo's edge cuts it"
    widths = np.linalg.norm(found.ends[:, 1] - found.ends[:, 0], axis=1)
    if np.ptp(widths) > _UNEVEN * found.width:
        return "its contour is uneven there, as by a ring or a neighbour"
    joint = joint_sections(hand, joints, name)
    if joint is not None and not _JOINT[0] < found.width / joint.width < _JOINT[1]:
        return "its contour is uneven there, as by a ring or a neighbour"
    if found.width < SMALLEST:
        return f"it is {found.width:.0f} px wide, at least {SMALLEST:.0f} are needed"
    if _blur(image, found) > _BLURRED * found.width:
        return "it is out of focus"
    return found


def joint_sections(hand: Hand, joints: np.ndarray, name: str) -> Sections | None:
    """Return the cuts at the middle joint; None if it touches a neighbour there."""
    return _sections(hand, joints, JOINT_PLACE, _WIDEST.get(name, 0.75))


def tip(hand: Hand, joints: np.ndarray) -> np.ndarray | None:
    """Find the fingertip: the farthest point along the last bone.

    A bone that is off by a few degrees would itself leave the finger at its side.
    """
    bone = joints[-1] - joints[-2]
    length = float(np.linalg.norm(bone))
    along = bone / length
    cut = _cut(hand, joints[-2], along, 2 * length)
    if cut is None:  # It touches its neighbour there.
        return _edge(hand, joints[-2], along, 3 * length)
    starts = cut[0] + np.linspace(*_INNER, _LINES)[:, None] * (cut[1] - cut[0])
    ends = [_edge(hand, start, along, 3 * length) for start in starts]
    if any(end is None for end in ends):
        return None
    return max((end for end in ends if end is not None), key=lambda end: float(end @ along))


def _hidden(hand: Hand, joints: np.ndarray) -> str:
    height, width = hand.image_shape
    if (joints < 0).any() or (joints > [width - 1, height - 1]).any():
        return "a joint lies outside the photo"
    # The tip's landmark may lie on the contour itself.
    return "" if (_alpha(hand, joints[:-1]) >= 0.5).all() else "a joint is not on the mask"


def _bent(joints: np.ndarray, name: str) -> str:
    bones = np.diff(joints, axis=0)
    lengths = np.linalg.norm(bones, axis=1)
    if lengths.min() < 1:
        return "the joints are too near each other"
    for one, other in pairwise(bones):
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        if (angle := np.degrees(np.arccos(np.clip(cosine, -1, 1)))) > _STRAIGHT:
            return f"the finger is bent by {angle:.0f} degrees"
    if lengths[1:].sum() < _FORESHORTENED * _END_TO_FIRST.get(name, 1.0) * lengths[0]:
        return "the finger is bent to or from the camera"
    return ""


def _sections(
    hand: Hand, joints: np.ndarray, place: tuple[float, float], widest: float
) -> Sections | None:
    knuckle, bone = joints[0], joints[1] - joints[0]
    reach = widest * float(np.linalg.norm(bone))
    middles = knuckle + np.linspace(*place, _PLACES)[:, None] * bone
    along = _direction(hand, joints, reach)
    for _ in range(2):  # Landmarks are off by some pixels: the finger's centre line is better.
        cuts: list[np.ndarray] = []
        for middle in middles:
            cut = _cut(hand, middle, along, reach)
            if cut is not None:
                cuts.append(cut)
            elif len(cuts) < _SECTIONS:
                cuts.clear()  # Closer to the palm, the web or a neighbour is in the way.
            if len(cuts) == _SECTIONS:
                break
        if len(cuts) < _SECTIONS:
            return None
        sections = np.stack(cuts)
        # The same places along the finger, on its centre line.
        centre = sections.mean((0, 1))
        middles = centre + np.outer((middles - centre) @ along, along)
    return Sections(sections, _deviation(sections, along, max(hand.image_shape)))


def _direction(hand: Hand, joints: np.ndarray, reach: float) -> np.ndarray:
    """Return a unit vector (2,) along the first bone, through the centres of two cuts across it.

    Where the finger is not separate from its neighbours, the landmarks give the direction.
    """
    bone = joints[1] - joints[0]
    along = bone / np.linalg.norm(bone)
    for _ in range(2):
        cuts = [_cut(hand, joints[0] + at * bone, along, reach) for at in _ENDS]
        if cuts[0] is None or cuts[1] is None:
            break
        step = cuts[1].mean(0) - cuts[0].mean(0)
        step /= np.linalg.norm(step)
        if step @ along < np.cos(np.radians(_ASKEW)):
            break
        along = step
    return along


def _cut(hand: Hand, middle: np.ndarray, along: np.ndarray, reach: float) -> np.ndarray | None:
    """Return both ends of the cut through `middle`, (2, 2) px; None if it exceeds `reach`."""
    across = np.array([-along[1], along[0]])
    one, other = (_edge(hand, middle, sign * across, reach) for sign in (-1, 1))
    if one is None or other is None or np.linalg.norm(other - one) >= reach:
        return None
    return np.stack([one, other])


def _deviation(ends: np.ndarray, along: np.ndarray, side: int) -> float:
    """Return the median width's standard deviation, px, from uneven sides and the mask's error."""
    places = (ends.mean(1) - ends[0].mean(0)) @ along
    widths = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    rest = widths - np.polyval(np.polyfit(places, widths, 1), places)
    spread = float(rest.std(ddof=2)) / np.sqrt(len(ends) / _LIKE)
    both = np.sqrt(2) * (_SIDE[0] + _SIDE[1] * side)
    return float(np.hypot(spread, both))


def _blur(image: np.ndarray, sections: Sections) -> float:
    """Return the standard deviation of the blur across the finger's sharper side, px.

    Uses the mean over all sections, because noise has slopes, too.
    """
    reach = 0.3 * sections.width
    steps = np.arange(-reach, reach + 0.5, 0.5)
    found = []
    for side in (0, 1):
        ends, others = sections.ends[:, side], sections.ends[:, 1 - side]
        outward = (ends - others) / np.linalg.norm(ends - others, axis=1, keepdims=True)
        places = (ends[:, None] + steps[:, None] * outward[:, None]).astype(np.float32)
        lines = cv2.remap(
            image, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        line = lines.astype(float).mean(0)
        line = line[:, np.ptp(line, axis=0).argmax()]
        slope = np.abs(line[4:] - line[:-4]).max() / 2  # Over 2 px.
        # The steepest slope of a blurred step is its height over 2.5 standard deviations.
        found.append(float(np.ptp(line)) / max(slope * np.sqrt(2 * np.pi), 1e-6))
    return min(found)


def _edge(hand: Hand, start: np.ndarray, direction: np.ndarray, reach: float) -> np.ndarray | None:
    """Find where alpha crosses one half on the way from `start`; None if not within `reach`."""
    steps = np.arange(0, reach, 0.25)
    places = start + steps[:, None] * direction
    alpha = _alpha(hand, places)
    outside = np.flatnonzero(alpha < 0.5)
    if alpha[0] < 0.5 or not len(outside):
        return None
    last = outside[0]
    share = (alpha[last - 1] - 0.5) / (alpha[last - 1] - alpha[last])
    end = start + (steps[last - 1] + 0.25 * share) * direction
    height, width = hand.image_shape
    return end if (end > 0).all() and (end < [width - 1, height - 1]).all() else None


def _alpha(hand: Hand, places: np.ndarray) -> np.ndarray:
    """Interpolate alpha, 0..1, at `places` (N, 2) x, y px; 0 off the hand."""
    if not hand.patch.size:
        return np.zeros(len(places))
    local = (places - hand.offset).astype(np.float32)
    values = cv2.remap(
        hand.patch, local[:, :1], local[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    return values[:, 0] / 255.0
