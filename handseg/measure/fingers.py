"""Measure fingers on a mask: widths where a ring sits and at the joint, and lengths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from handseg.errors import MeasurementError
from handseg.measure.card import Card
from handseg.measure.plane import Plane, find_plane, known_plane
from handseg.measure.rim import Coin
from handseg.measure.scales import Scale
from handseg.measure.sections import (
    FINGERS,
    Sections,
    joint_sections,
    refusal,
    ring_sections,
    tip,
)
from handseg.results import HandSegmentation
from handseg.results.hand import Hand

DEVIATIONS = 1.96
"""Standard deviations to either side that contain 95 % of a normal distribution."""

_NOWHERE = (np.nan, np.nan)


@dataclass(frozen=True, eq=False)
class FingerMeasurement:
    """One finger. If `reason` says why it cannot be measured, all values are NaN or empty.

    Attributes:
        name: "thumb" to "little".
        width_px: width where a ring sits: the median of the sections in `RING_PLACE`.
        length_px: length from the knuckle's landmark along the bones to the contour at the tip.
        width_line: (2, 2) float64 x, y px, the middle section.
        length_line: (N, 2) float64 x, y px.
        width_mm: width in mm; like all values in mm, NaN without a scale.
        length_mm: length in mm.
        joint_px: width at the middle joint, NaN if the finger touches a neighbour there.
        joint_line: (2, 2) float64 x, y px, empty if the finger touches a neighbour there.
        joint_mm: width at the middle joint in mm.
        width_range: 95 % interval of `width_mm`, lower and upper end.
        joint_range: 95 % interval of `joint_mm`, lower and upper end.
        reason: "" if the finger was measured.
    """

    name: str
    width_px: float = np.nan
    length_px: float = np.nan
    width_line: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    length_line: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    width_mm: float = np.nan
    length_mm: float = np.nan
    joint_px: float = np.nan
    joint_line: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    joint_mm: float = np.nan
    width_range: tuple[float, float] = _NOWHERE
    joint_range: tuple[float, float] = _NOWHERE
    reason: str = ""


@dataclass(frozen=True, eq=False)
class HandMeasurement:
    """The fingers of a hand, starting with the thumb.

    Attributes:
        result: the photo and its segmented hands.
        fingers: the five fingers.
        mm_per_px: the scale at the coin or card, NaN if there is none.
        coins: the coins used as the scale; empty if there are none.
        card: the card used as the scale, or None.
        tilt: angle in degrees between the plane of the coin or card and the photo.
    """

    result: HandSegmentation
    fingers: tuple[FingerMeasurement, ...]
    mm_per_px: float = np.nan
    coins: tuple[Coin, ...] = ()
    card: Card | None = None
    tilt: float = 0.0

    def __iter__(self) -> Iterator[FingerMeasurement]:
        return iter(self.fingers)

    def __getitem__(self, name: str) -> FingerMeasurement:
        return self.fingers[list(FINGERS).index(name)]

    def overlay(self) -> Image.Image:
        """Draw the measured lines and the scale on the overlay of `result`, RGB."""
        picture = self.result.overlay()
        width = max(1, round((picture.width * picture.height) ** 0.5 / 350))
        pen, font = ImageDraw.Draw(picture), ImageFont.load_default(max(10, 7 * width))
        outlines = [coin.outline() for coin in self.coins]
        if self.card is not None:
            outlines.append(self.card.corners)
        for outline in outlines:
            closed = np.vstack([outline, outline[:1]])
            pen.line(closed.ravel().tolist(), (255, 0, 255), width)
        for finger in self.fingers:
            if finger.reason:
                continue
            pen.line(finger.length_line.ravel().tolist(), (255, 255, 255), width)
            pen.line(finger.joint_line.ravel().tolist(), (0, 255, 255), width)
            pen.line(finger.width_line.ravel().tolist(), (255, 0, 255), 2 * width)
            known = np.isfinite(finger.width_mm)
            text = f"{finger.width_mm:.1f} mm" if known else f"{finger.width_px:.1f} px"
            place = tuple(finger.width_line.max(0).tolist())
            pen.text(place, text, (255, 255, 255), font, stroke_width=width, stroke_fill=(0, 0, 0))
        return picture


def measure_hand(
    result: HandSegmentation,
    index: int | None = None,
    *,
    scale: Scale | None = None,
    mm_per_px: float | None = None,
) -> HandMeasurement:
    """Measure the fingers of one hand.

    The contour runs where alpha crosses one half, with subpixel accuracy. The hand must lie flat,
    with the coin or card on its palm or beside it on the same surface. Their shape shows how far
    the camera is tilted. Lengths are corrected for this; widths do not need it, because a finger is
    about as thick as it is wide. A coin or card on the palm is closer to the camera than the
    fingers, one beside the hand is farther away: widths and lengths are corrected for the mean
    difference, and `width_range` includes its variation. See `handseg.measure.plane`.

    Args:
        result: a result with landmarks.
        index: index of the hand in `result`; None for the only one, or the one with a coin on it.
        scale: a coin by name ("2 euro", see `coins`) or diameter in mm, two coins, which are
            checked against each other, or "card" for a bank or identity card.
        mm_per_px: the scale at the fingers, instead of `scale`. With neither, results are only in
            px.

    Raises:
        ValueError: if `scale` is unknown, `mm_per_px` is not a positive number, or both are given.
        MeasurementError: if there is no such hand, it has no landmarks, or the coin or card is not
            found or tilted too much.
    """
    if scale is not None and mm_per_px is not None:
        raise ValueError(f"give scale or mm_per_px, not both: got {scale!r} and {mm_per_px}")
    if mm_per_px is not None and not (np.isfinite(mm_per_px) and mm_per_px > 0):
        raise ValueError(f"mm_per_px must be a positive number, got {mm_per_px}")
    if index is not None:
        return _on(result, _hand(result, index), mm_per_px, scale)
    # Hands without landmarks cannot be measured.
    hands = [hand for hand in result.hands if hand.landmarks is not None]
    if len(hands) < 2:
        return _on(result, hands[0] if hands else _hand(result, 0), mm_per_px, scale)
    measured = []
    for hand in hands if scale is not None else []:
        try:
            found = _on(result, hand, None, scale)
        except MeasurementError:
            continue
        if any(coin.on_hand for coin in found.coins):
            measured.append(found)
    if len(measured) != 1:
        raise MeasurementError(
            f"{len(hands)} hands are found: photograph only one, or lay the coin on its palm"
        )
    return measured[0]


def _hand(result: HandSegmentation, index: int) -> Hand:
    if not len(result):
        raise MeasurementError("no hand is found")
    if not 0 <= index < len(result):
        raise MeasurementError(f"there is no hand {index}: the photo has {len(result)}")
    return result.hands[index]


def _on(
    result: HandSegmentation, hand: Hand, mm_per_px: float | None, scale: Scale | None
) -> HandMeasurement:
    if hand.landmarks is None:
        raise MeasurementError("the hand has no landmarks, which are needed to measure fingers")
    plane = None if scale is None else find_plane(result.image, hand, scale)
    if mm_per_px is not None:
        plane = known_plane(mm_per_px)
    landmarks = hand.landmarks.astype(float)
    fingers = tuple(_measure(result.image, hand, landmarks, name, plane) for name in FINGERS)
    if plane is None:
        return HandMeasurement(result, fingers)
    place = plane.coins[0].centre if plane.coins else landmarks.mean(0)
    if plane.card is not None:
        place = plane.card.corners.mean(0)
    return HandMeasurement(
        result, fingers, plane.mm_per_px(place), plane.coins, plane.card, plane.tilt
    )


def _measure(
    image: np.ndarray, hand: Hand, landmarks: np.ndarray, name: str, plane: Plane | None
) -> FingerMeasurement:
    joints = landmarks[list(FINGERS[name])]
    if reason := refusal(hand, joints, name):
        return FingerMeasurement(name, reason=reason)
    sections = ring_sections(image, hand, joints, name)
    if isinstance(sections, str):
        return FingerMeasurement(name, reason=sections)
    end = tip(hand, joints)
    if end is None:
        return FingerMeasurement(name, reason="the tip is cut by the photo's edge")
    if plane is not None and _covered(plane, sections, joints):
        return FingerMeasurement(name, reason="the card lies on it")
    joint = joint_sections(hand, joints, name)
    line = np.vstack([joints[:-1], end])
    found = FingerMeasurement(name, sections.width, _length(line), sections.middle, line)
    if joint is not None:
        found = replace(found, joint_px=joint.width, joint_line=joint.middle)
    if plane is None:
        return found
    width_mm, width_range = _in_mm(plane, sections)
    found = replace(
        found, width_mm=width_mm, width_range=width_range,
        length_mm=_length(plane.flat(line)) * plane.raised(),
    )  # fmt: skip
    if joint is not None:
        joint_mm, joint_range = _in_mm(plane, joint)
        found = replace(found, joint_mm=joint_mm, joint_range=joint_range)
    return found


def _covered(plane: Plane, sections: Sections, joints: np.ndarray) -> bool:
    """Whether a card covers the place where a ring sits."""
    if plane.card is None:
        return False
    outline = plane.card.corners.astype(np.float32)
    places = [*sections.middle, sections.middle.mean(0), joints[1]]
    return any(cv2.pointPolygonTest(outline, place.tolist(), False) > 0 for place in places)


def _length(line: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def _in_mm(plane: Plane, sections: Sections) -> tuple[float, tuple[float, float]]:
    """Return a width and its 95 % interval, mm."""
    place = sections.middle.mean(0)
    scale = plane.mm_per_px(place) * plane.raised()
    width = sections.width * scale
    deviation = float(np.hypot(width * plane.deviation(place), sections.deviation * scale))
    return width, (width - DEVIATIONS * deviation, width + DEVIATIONS * deviation)
