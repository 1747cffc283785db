"""Check whether a mask can be the hand of its photo, and repair small defects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from handseg.data.schema import Labels
from handseg.landmarks import HandLandmarker, HandLandmarks
from handseg.landmarks.anatomy import (
    BONES,
    PALM,
    WRIST,
    hand_size,
    palm_axis,
    share_inside,
    wrist_side,
)
from handseg.prepare.thresholds import Thresholds
from handseg.runtime.connected import Components

_SIDE = 1024  # px: masks are shrunk to this size for comparison with landmarks.
_AROUND = 0.5  # Hand sizes: how far a hand reaches beyond its landmarks at most.
_FINGER = 0.26  # Of the hand size: the width of fingers in the drawn shape.
_HEEL = 0.25  # Hand sizes that the palm extends past the wrist landmark.
# A forearm extends about 0.5 hand sizes to either side of its axis. Its strip widens with distance,
# because the axis may turn from the palm's at the wrist and again at the elbow.
_FOREARM = (0.8, 0.5)
_SMALLEST = 0.1  # Of the mask's area: a hand whose size squared is less is a false detection.
_OFF = 0.2  # Share of a hand's landmarks on the mask; below it, it is surely another hand.
_LOOK_MARGIN = 0.25  # Of the longer side of the mask's box.


@dataclass(eq=False)
class Verdict:
    """The result of the checks.

    Attributes:
        mask: (H, W) bool, repaired.
        repairs: repairs made, each "kind: details".
        faults: why the pair cannot be used, each "kind: details".
        measured: figures by name.
    """

    mask: np.ndarray
    repairs: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    measured: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Look:
    """What one view of a photo shows about its mask.

    Attributes:
        hands: landmarks (21, 2) of the hands on the mask, px of the photo.
        sure: whether a hand is seen that is surely not a false detection by MediaPipe.
        elsewhere: number of such hands off the mask.
        share: the highest share of a hand's landmarks on the mask.
        outside, filled, surplus: see `Thresholds`.
        reach: (h, w) bool, where hands and forearms can be, at the size of the small mask.
    """

    hands: list[np.ndarray]
    sure: bool
    elsewhere: int
    share: float
    outside: float
    filled: float
    surplus: float
    reach: np.ndarray

    def misfit(self, limits: Thresholds) -> float:
        """Return at most 1 if the mask fits its hands, and more the worse it fits."""
        if not self.hands:
            return np.inf
        missing = (1 - self.filled) / max(1 - limits.min_filled, 1e-9)
        outside = self.outside / max(limits.max_outside, 1e-9)
        return max(missing, outside, self.surplus / max(limits.max_surplus, 1e-9))


def check_labels(
    image: np.ndarray, labels: Labels, limits: Thresholds, landmarker: HandLandmarker | None
) -> Verdict:
    """Check and repair the mask of all hands in `image` (H, W, 3) uint8.

    Without a landmarker, only the mask itself is checked.
    """
    verdict = Verdict(labels.mask, [f"mask mended: {text}" for text in labels.repairs])
    coverage = np.count_nonzero(labels.mask) / max(1, labels.mask.size)
    verdict.measured.update(labels.measured, coverage=coverage)
    if coverage < limits.min_coverage:
        verdict.faults.append(f"mask empty: it covers {coverage:.2%} of the frame")
        return verdict
    if coverage > limits.max_coverage:
        verdict.faults.append(f"mask fills the frame: it covers {coverage:.1%} of it")
    difference = labels.measured.get("difference", 0.0)
    if difference > limits.max_difference:
        verdict.faults.append(f"cut-out of another photo: colours differ by {difference:.0f}")
    look = None
    if landmarker is not None and not verdict.faults:
        look = _best_look(image, verdict.mask, limits, landmarker)
        _judge(look, limits, verdict)
    _drop_specks(verdict, limits, look)
    _fill_pinholes(verdict, limits)
    return verdict


def _judge(look: _Look, limits: Thresholds, verdict: Verdict) -> None:
    verdict.measured["landmarks_on_mask"] = look.share
    if not look.hands:
        found = f"at most {look.share:.0%} of a hand's landmarks" if look.share else "none is found"
        text = f"{look.elsewhere} elsewhere" if look.elsewhere else found
        verdict.faults.append(f"no hand on the mask: {text}")
        return
    verdict.measured.update(outside=look.outside, filled=look.filled, surplus=look.surplus)
    if look.outside > limits.max_outside:
        verdict.faults.append(
            f"more than a hand and forearm: {look.outside:.0%} of the mask is out of their reach"
        )
    if look.surplus > limits.max_surplus:
        verdict.faults.append(
            f"more than a hand: {look.surplus:.0%} of its shape beside it, as the landmarks show it"
        )
    if look.filled < limits.min_filled:
        verdict.faults.append(
            f"less than a hand: {look.filled:.0%} of its shape, as the landmarks show it"
        )


def _best_look(
    image: np.ndarray, mask: np.ndarray, limits: Thresholds, landmarker: HandLandmarker
) -> _Look:
    """Return the first look in which the mask fits its hands, or else the best one."""
    best: _Look | None = None
    sure = False
    for number, found in enumerate(_looks(image, mask, landmarker)):
        look = _compare(found, mask, limits)
        if best is None or look.misfit(limits) < best.misfit(limits):
            best = look
        sure |= look.sure
        if best.misfit(limits) <= 1:
            break
        # The last look shows little but the mask. If a hand is known but not fully on the mask,
        # MediaPipe would imagine one there. A mask with more than the hand shows all of it, too.
        if number == 1 and sure and (not best.hands or best.filled < limits.min_filled):
            break
    assert best is not None
    return best


def _looks(
    image: np.ndarray, mask: np.ndarray, landmarker: HandLandmarker
) -> Iterator[list[HandLandmarks]]:
    """Detect hands in the photo, in a crop around the mask, and in that crop with the rest hidden.

    Only the latter two find small hands in clutter, or find them accurately.
    """
    yield landmarker.detect(image)
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    margin = round(_LOOK_MARGIN * max(width, height))
    left, top = max(0, x - margin), max(0, y - margin)
    window = (slice(top, y + height + margin), slice(left, x + width + margin))
    part = np.ascontiguousarray(image[window])
    hidden = part * mask[window][..., None]  # Black: MediaPipe finds more hands than on grey.
    for picture in (part, hidden):
        yield [
            HandLandmarks(
                hand.points + np.array([left, top], np.float32), "", hand.score, hand.votes
            )
            for hand in landmarker.detect(picture)
        ]


def _compare(found: list[HandLandmarks], mask: np.ndarray, limits: Thresholds) -> _Look:
    factor = min(1.0, _SIDE / max(*mask.shape))
    size = (max(1, round(mask.shape[1] * factor)), max(1, round(mask.shape[0] * factor)))
    small = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127
    # Landmarks lie on bones, but jitter puts a few beside a thin finger.
    jitter = 2 * max(2, round(max(*size) / 200)) + 1
    near = cv2.dilate(small.astype(np.uint8), np.ones((jitter, jitter), np.uint8)).astype(bool)
    points = [hand.points * np.float32(factor) for hand in found]
    shares = [share_inside(hand, near) for hand in points]
    on_mask = [share >= limits.min_landmarks for share in shares]
    area = max(1, int(np.count_nonzero(small)))
    sure = [
        hand.votes > 1 and hand_size(marks) ** 2 > _SMALLEST * area
        for hand, marks in zip(found, points, strict=True)
    ]
    reach, side, shape = (np.zeros(small.shape, bool) for _ in range(3))
    for marks, on in zip(points, on_mask, strict=True):
        if on:
            hand, forearm = _reach(marks, small.shape)
            hand &= wrist_side(marks, *small.shape) > 0.5
            reach |= hand | forearm
            side |= hand
            shape |= hand & _shape(marks, small.shape)
    expected = max(1, int(np.count_nonzero(shape)))
    return _Look(
        hands=[hand.points for hand, on in zip(found, on_mask, strict=True) if on],
        sure=any(sure),
        elsewhere=sum(known and part < _OFF for known, part in zip(sure, shares, strict=True)),
        share=max(shares, default=0.0),
        outside=float(np.count_nonzero(small & ~reach) / area),
        filled=float(np.count_nonzero(small & shape) / expected),
        surplus=float(np.count_nonzero(small & side & ~shape) / expected),
        reach=reach,
    )


def _shape(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Draw the rough hand of landmarks (21, 2), including the heel of the palm, (H, W) bool."""
    size = hand_size(points)
    heel = points[[WRIST]] + palm_axis(points) * _HEEL * size
    palm = np.concatenate([points[[1, *PALM]], heel])
    canvas = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(canvas, cv2.convexHull(np.round(palm).astype(np.int32)), 1)
    ends = np.round(points).astype(np.int32)
    bones = [ends[list(bone)] for bone in BONES]
    cv2.polylines(canvas, bones, False, 1, max(1, round(_FINGER * size)))
    return canvas > 0


def _reach(points: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Draw where a hand with landmarks (21, 2), and where its forearm, can be, both (H, W) bool."""
    size, axis = hand_size(points), palm_axis(points)
    across = np.array([-axis[1], axis[0]])
    length = float(sum(shape)) / size
    start, end = points[WRIST], points[WRIST] + axis * length * size
    near, far = _FOREARM[0] * size, (_FOREARM[0] + _FOREARM[1] * length) * size
    strip = np.array(
        [start + across * near, end + across * far, end - across * far, start - across * near]
    )
    hull = np.round(cv2.convexHull(points)).astype(np.int32)
    hand, forearm = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(hand, hull, 1)
    cv2.polylines(hand, [hull], True, 1, max(1, round(2 * _AROUND * size)))
    cv2.fillConvexPoly(forearm, np.round(strip).astype(np.int32), 1)
    return hand > 0, forearm > 0


def _drop_specks(verdict: Verdict, limits: Thresholds, look: _Look | None) -> None:
    mask = verdict.mask
    islands = Components.of(mask, 8)
    areas = islands.areas
    if len(areas) <= 2:
        return
    held = islands.at([] if look is None else np.concatenate([*look.hands, np.zeros((0, 2))]))
    held[areas.argmax()] = held[0] = True
    small = ~held & (areas < limits.speck * areas.max())
    dropped = int(areas[small].sum())
    if dropped:
        verdict.mask = mask & ~small[islands.labels]
        verdict.repairs.append(f"specks dropped: {int(small.sum())}, {dropped} px")
        verdict.measured["dropped_px"] = dropped
    if look is not None and look.hands:
        height, width = mask.shape
        reach = cv2.resize(
            look.reach.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
        )
        foreign = ~held & ~small & (islands.sums(reach > 0) < areas / 2)
        if foreign.any():
            share = areas[foreign].sum() / areas.sum()
            verdict.faults.append(
                f"other parts: {int(foreign.sum())} out of the hand's reach, "
                f"{share:.1%} of the mask"
            )


def _fill_pinholes(verdict: Verdict, limits: Thresholds) -> None:
    mask = verdict.mask
    holes = Components.of(~mask, 4)
    small = holes.areas < limits.pinhole * np.count_nonzero(mask)
    # An area that touches the frame is not a hole.
    small &= ~holes.on_border()
    small[0] = False
    filled = int(holes.areas[small].sum())
    if filled:
        verdict.mask = mask | small[holes.labels]
        verdict.repairs.append(f"pinholes filled: {int(small.sum())}, {filled} px")
        verdict.measured["filled_px"] = filled
