"""What MediaPipe and the hand finder have seen, made into one list of hands."""

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
"""Score of the finder from which on MediaPipe looks again."""
SURE = 0.7
"""Score from which on one close look is enough."""
ALONE = 0.7
"""Score from which on a box is a prompt, though no close look shows a hand."""
NONE = 0.0005
"""Score below which there is no hand though MediaPipe sees one."""
_ALIKE, _WITHIN = 0.3, 0.7  # IoU of two boxes of one hand, or the share that the other covers.
_REACHES = (2.0, 3.0)
"""Sides of the close looks, in longer sides of the finder's box."""

Look = Callable[[Sequence[CloseView]], list[list[HandLandmarks]]]


def with_boxes(
    hands: Sequence[HandLandmarks], boxes: Sequence[HandBox], look: Look
) -> list[FoundHand]:
    """`hands`, as MediaPipe found them, and those that only the finder saw.

    Args:
        hands: the surest first.
        boxes: the finder's, the surest first, down to a score of `NONE`.
        look: has MediaPipe look at parts of the photo; one list of hands a view.
    """
    places = np.array([one.box for one in boxes], np.float32).reshape(-1, 4)
    found: list[FoundHand] = []
    for hand in hands:
        # The surest box is first.
        score = next((boxes[one].detection_score for one in same_hand(_box(hand), places)), 0.0)
        if score >= NONE:
            found.append(replace(hand, detection_score=score))
    for box in boxes:
        if box.detection_score < LOOK or _is_one_of(box, found):
            continue
        sure = box.detection_score >= SURE
        seen = [_at(box, one, found) for one in look(close_views(box))]
        hits = [hand for hand in seen if hand is not None]
        # Logos and leaves look like a hand to one view now and then, seldom to two.
        if hits and (sure or len(hits) == len(seen)):
            best = max(hits, key=lambda hand: _iou(hand, box))
            found.append(replace(best, votes=len(hits), detection_score=box.detection_score))
        elif box.detection_score >= ALONE:
            found.append(box)
    return found


def _at(
    box: HandBox, seen: Sequence[HandLandmarks], others: Sequence[FoundHand]
) -> HandLandmarks | None:
    """The one of the hands `seen` that lies in `box` and is none of `others`."""
    near = [hand for hand in seen if _iou(hand, box) > _ALIKE and not _is_one_of(hand, others)]
    return max(near, key=lambda hand: _iou(hand, box), default=None)


def close_views(box: HandBox) -> list[CloseView]:
    """Looks at a box with the wrist below, as MediaPipe likes it."""
    x, y = (box.box[:2] + box.box[2:]) / 2
    longest = float((box.box[2:] - box.box[:2]).max())
    # OpenCV turns the wrist's direction (x, y) by it to (0, 1), downwards.
    angle = math.degrees(math.atan2(-box.wrist[0], box.wrist[1]))
    return [CloseView(float(x), float(y), longest * reach, angle) for reach in _REACHES]


def _box(hand: FoundHand) -> np.ndarray:
    """(4,) xyxy px: around the skin of a hand to its wrist, as the finder draws it."""
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
    """Which of `others` (N, 4) are of the hand in `box` (4,): much in common, or one in the other.

    Returns:
        Their indices, ascending.
    """
    one = box[None]
    within = shared_area(one, others)[0] > _WITHIN * np.minimum(areas(one), areas(others))
    return np.flatnonzero(within | (box_iou(one, others)[0] > _ALIKE))
