"""Fingers measured on a mask: width where a ring sits, and length, in px or millimetres."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from handseg.errors import MeasurementError
from handseg.measure.coin import Coin, coin_diameter, find_coin
from handseg.results import HandSegmentation
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
"""Where a ring may sit, from the knuckle (0) to the middle joint (1): as near to the palm in this
range as the finger stands by itself."""

_PLACES = 25
_SECTIONS = 9
_STRAIGHT = 25.0  # Degrees that a finger may bend at a joint, as it is seen.
_FORESHORTENED = 0.6  # Of a straight finger's ratio of its end to its first bone: bent if below.
_END_TO_FIRST = {"thumb": 0.75}  # That ratio, 1 where not named.
_WIDEST = {"thumb": 1.1}  # Width over the first bone's length, 0.75 where not named.


@dataclass(frozen=True, eq=False)
class FingerMeasurement:
    """One finger. Where `reason` says why it cannot be measured, all else is NaN or empty.

    Attributes:
        name: "thumb" to "little".
        width_px: across the finger where a ring sits: the median of sections in `RING_PLACE`.
        length_px: from the knuckle's landmark along the bones to the contour at the tip.
        width_line: (2, 2) float64 x, y px, the section in the middle.
        length_line: (N, 2) float64 x, y px.
        width_mm: NaN without a scale; likewise `length_mm`.
        length_mm: see above.
        reason: "" if the finger was measured.
    """

    name: str
    width_px: float = np.nan
    length_px: float = np.nan
    width_line: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    length_line: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    width_mm: float = np.nan
    length_mm: float = np.nan
    reason: str = ""


@dataclass(frozen=True, eq=False)
class HandMeasurement:
    """The fingers of a hand, from the thumb on.

    Attributes:
        fingers: five of them.
        mm_per_px: the scale, NaN if there is none.
        coin: what it came from, None if it was given.
    """

    fingers: tuple[FingerMeasurement, ...]
    mm_per_px: float = np.nan
    coin: Coin | None = None

    def __iter__(self) -> Iterator[FingerMeasurement]:
        return iter(self.fingers)

    def __getitem__(self, name: str) -> FingerMeasurement:
        return self.fingers[list(FINGERS).index(name)]

    def overlay(self, picture: Image.Image) -> Image.Image:
        """A copy of `picture`, the photo or its overlay, with what was measured drawn on it."""
        result = picture.convert("RGB")
        width = max(1, round((picture.width * picture.height) ** 0.5 / 350))
        pen, font = ImageDraw.Draw(result), ImageFont.load_default(max(10, 7 * width))
        if self.coin is not None:
            box = np.concatenate(
                [self.coin.centre + sign * self.coin.diameter / 2 for sign in (-1, 1)]
            )
            pen.ellipse(box.tolist(), outline=(255, 0, 255), width=width)
        for finger in self.fingers:
            if finger.reason:
                continue
            pen.line(finger.length_line.ravel().tolist(), (255, 255, 255), width)
            pen.line(finger.width_line.ravel().tolist(), (255, 0, 255), 2 * width)
            known = np.isfinite(finger.width_mm)
            text = f"{finger.width_mm:.1f} mm" if known else f"{finger.width_px:.1f} px"
            place = tuple(finger.width_line.max(0).tolist())
            pen.text(place, text, (255, 255, 255), font, stroke_width=width, stroke_fill=(0, 0, 0))
        return result


def measure_hand(
    result: HandSegmentation,
    index: int = 0,
    *,
    mm_per_px: float | None = None,
    coin: str | float | None = None,
) -> HandMeasurement:
    """Measure the fingers of one hand.

    The contour is where alpha passes one half, to a fraction of a pixel. The hand must lie flat in
    a plane at right angles to the camera, and so must the coin: nothing of this can be seen in one
    photo but a coin that looks like an ellipse, which is refused.

    Args:
        result: with landmarks.
        index: of the hand in `result`.
        mm_per_px: the scale, if it is known.
        coin: what lies on the hand, a euro coin by name ("2 euro") or a diameter in mm.

    Raises:
        ValueError: if both scales are given, or one is not a positive number or a known name.
        MeasurementError: if there is no such hand, it has no landmarks, or no coin is found.
    """
    if mm_per_px is not None and coin is not None:
        raise ValueError("give mm_per_px or coin, not both")
    if mm_per_px is not None and not (np.isfinite(mm_per_px) and mm_per_px > 0):
        raise ValueError(f"mm_per_px must be a positive number, got {mm_per_px}")
    if not 0 <= index < len(result):
        raise MeasurementError(f"there is no hand {index}: the photo has {len(result)}")
    hand = result.hands[index]
    if hand.landmarks is None:
        raise MeasurementError("the hand has no landmarks, which say where the fingers are")
    found = None
    scale = np.nan if mm_per_px is None else mm_per_px
    if coin is not None:
        diameter = coin_diameter(coin)
        found = find_coin(result.image, hand)
        scale = diameter / found.diameter
    fingers = [_measure(hand, hand.landmarks.astype(float), name, scale) for name in FINGERS]
    return HandMeasurement(tuple(fingers), scale, found)


def _measure(hand: Hand, landmarks: np.ndarray, name: str, mm_per_px: float) -> FingerMeasurement:
    joints = landmarks[list(FINGERS[name])]
    if reason := _hidden(hand, joints) or _bent(joints, name):
        return FingerMeasurement(name, reason=reason)
    sections = _sections(hand, joints, _WIDEST.get(name, 0.75))
    if isinstance(sections, str):
        return FingerMeasurement(name, reason=sections)
    widths = np.linalg.norm(sections[:, 1] - sections[:, 0], axis=1)
    end = _tip(hand, joints)
    if end is None:
        return FingerMeasurement(name, reason="the tip is cut by the photo's edge")
    line = np.vstack([joints[:-1], end])
    width = float(np.median(widths))
    length = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
    middle = sections[len(sections) // 2]
    return FingerMeasurement(
        name, width, length, middle, line, width * mm_per_px, length * mm_per_px
    )


def _hidden(hand: Hand, joints: np.ndarray) -> str:
    height, width = hand.image_shape
    if (joints < 0).any() or (joints > [width - 1, height - 1]).any():
        return "a joint lies outside of the photo"
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


def _sections(hand: Hand, joints: np.ndarray, widest: float) -> np.ndarray | str:
    """Neighbouring cuts across the finger, (N, 2, 2) x, y px, or why there are none."""
    knuckle, bone = joints[0], joints[1] - joints[0]
    reach = widest * np.linalg.norm(bone)
    middles = knuckle + np.linspace(*RING_PLACE, _PLACES)[:, None] * bone
    along = bone / np.linalg.norm(bone)
    for _ in range(3):  # Landmarks are off by some pixels: the finger's own middle is better.
        across = np.array([-along[1], along[0]])
        cuts = []
        for middle in middles:
            ends = [_edge(hand, middle, sign * across, reach) for sign in (-1, 1)]
            whole = ends[0] is not None and ends[1] is not None
            if whole and np.linalg.norm(ends[1] - ends[0]) < reach:  # type: ignore[operator]
                cuts.append(np.array(ends))
            elif (
                len(cuts) < _SECTIONS
            ):  # Nearer to the palm the web, or a neighbour, is in the way.
                cuts.clear()
            if len(cuts) == _SECTIONS:
                break
        if len(cuts) < _SECTIONS:
            return "it touches its neighbour, or the photo's edge cuts it"
        sections = np.stack(cuts)
        centres = sections.mean(1)
        direction = np.linalg.svd(centres - centres.mean(0))[2][0]
        along = direction * np.sign(direction @ along)
        # The same places along the finger, on its own middle line.
        middles = centres[0] + np.outer((middles - centres[0]) @ along, along)
    return sections


def _edge(hand: Hand, start: np.ndarray, direction: np.ndarray, reach: float) -> np.ndarray | None:
    """Where alpha passes one half on the way from `start`; None if it does not, within `reach`."""
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


def _tip(hand: Hand, joints: np.ndarray) -> np.ndarray | None:
    """Where the line of the last bone leaves the finger."""
    bone = joints[-1] - joints[-2]
    return _edge(hand, joints[-2], bone / np.linalg.norm(bone), 3 * float(np.linalg.norm(bone)))


def _alpha(hand: Hand, places: np.ndarray) -> np.ndarray:
    """Alpha 0..1 at `places` (N, 2) x, y px, between the centres of pixels; 0 off the hand."""
    local = (places - hand.offset).astype(np.float32)
    values = cv2.remap(
        hand.patch, local[:, :1], local[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    return values[:, 0] / 255.0
