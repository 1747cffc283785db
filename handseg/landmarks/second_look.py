"""Merge the detections of MediaPipe and the hand finder into one list of hands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from handseg.landmarks.anatomy import WRIST_END, hand_size, palm_axis
from handseg.landmarks.boxes import areas, box_iou, shared_area
from handseg.landmarks.found import FoundHand, HandBox, HandLandmarks
from handseg.landmarks.views import CloseView

LOOK = 0.2
"""Minimum score of the finder in the whole photo for MediaPipe to look again, and for a hand of
MediaPipe to need no close-up."""
SURE = 0.6
"""Minimum score for one close view to be enough, and for a box to be a prompt without any."""
NONE = 0.01
"""Below this score in its close-up, a place shows no hand."""
_ALIKE, _WITHIN = 0.3, 0.7  # Two boxes show one hand above this IoU, or this share covered.
_REACHES = (2.0, 3.0)
"""Sides of the close views, in multiples of the longer side of the finder's box."""

Look = Callable[[Sequence[CloseView]], list[list[HandLandmarks]]]
Check = Callable[[np.ndarray], float]


def with_boxes(
    hands: Sequence[HandLandmarks], boxes: Sequence[HandBox], check: Check, look: Look
) -> list[FoundHand]:
    """Combine the hands that MediaPipe found with those that only the finder detected.

    Args:
        hands: detections of MediaPipe, most confident first.
        boxes: detections of the finder, most confident first, down to a score of `LOOK`.
        check: returns the score of a box, (4,) xyxy px, in a close-up.
        look: runs MediaPipe on parts of the photo; returns one list of hands per view.
    """
    places = np.array([one.box for one in boxes], np.float32).reshape(-1, 4)
    found: list[FoundHand] = []
    doubtful: list[HandLandmarks] = []
    for hand in hands:
        same = same_hand(_box(hand), places)
        if len(same):  # The most confident box is first.
            found.append(replace(hand, detection_score=boxes[same[0]].detection_score))
        else:
            doubtful.append(hand)
    for box in boxes:
        if _is_one_of(box, found) or check(box.box) < NONE:
            continue
        sure = box.detection_score >= SURE
        seen = [_at(box, one, found) for one in look(close_views(box))]
        hits = [hand for hand in seen if hand is not None]
        # Logos and leaves sometimes look like a hand in one view, rarely in two.
        if hits and (sure or len(hits) == len(seen)):
            best = max(hits, key=lambda hand: _iou(hand, box))
            found.append(replace(best, votes=len(hits), detection_score=box.detection_score))
        elif sure:
            found.append(box)
    for hand in doubtful:
        if not _is_one_of(hand, found) and (score := check(_box(hand))) >= NONE:
            found.append(replace(hand, detection_score=score))
    return found


def _at(
    box: HandBox, seen: Sequence[HandLandmarks], others: Sequence[FoundHand]
) -> HandLandmarks | None:
    """The hand of `seen` that matches `box` best and is none of `others`."""
    near = [hand for hand in seen if _iou(hand, box) > _ALIKE and not _is_one_of(hand, others)]
    return max(near, key=lambda hand: _iou(hand, box), default=None)


def close_views(box: HandBox) -> list[CloseView]:
    """Close views of a box with the wrist at the bottom, where MediaPipe works best."""
    x, y = (box.box[:2] + box.box[2:]) / 2
    longest = float((box.box[2:] - box.box[:2]).max())
    # OpenCV's rotation by it turns the wrist's direction (x, y) to (0, 1), downwards.
    angle = math.degrees(math.atan2(-box.wrist[0], box.wrist[1]))
    return [CloseView(float(x), float(y), longest * reach, angle) for reach in _REACHES]


def _box(hand: FoundHand) -> np.ndarray:
    """(4,) xyxy px: the box around a hand's skin up to the wrist, as the finder defines it."""
    if isinstance(hand, HandBox):
        return hand.box
    size, points = hand_size(hand.points), hand.points
    skin = 0.1 * size
    end = points[0] + palm_axis(points) * WRIST_END * size
    low = np.minimum(points.min(0) - skin, end)
    high = np.maximum(points.max(0) + skin, end)
    return np.concatenate([low, high])


def _iou(hand: HandLandmarks, box: HandBox) -> float:
    return float(box_iou(_box(hand)[None], box.box[None])[0, 0])


def _is_one_of(hand: FoundHand, others: Sequence[FoundHand]) -> bool:
    places = np.array([_box(other) for other in others], np.float32).reshape(-1, 4)
    return bool(len(same_hand(_box(hand), places)))


def same_hand(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Find boxes of `others` (N, 4) that show the hand in `box` (4,), by overlap or containment.

    Returns:
        Their indices, ascending.
    """
    one = box[None]
    within = shared_area(one, others)[0] > _WITHIN * np.minimum(areas(one), areas(others))
    return np.flatnonzero(within | (box_iou(one, others)[0] > _ALIKE))
