"""What to tell a visitor of a hand's mask: that it looks right, or why to check it."""

from __future__ import annotations

from collections.abc import Sequence

from handseg.annotate.records import mask_iou
from handseg.annotate.review import SURE_IOU
from handseg.landmarks.boxes import shared_area
from handseg.landmarks.second_look import SURE
from handseg.results import Hand

SURE_MASK, SURE_HAND = SURE_IOU, SURE
"""Predicted IoU and finder's score below which a hand is to be checked: where annotation calls a
mask doubtful, and where the finder calls a hand sure. Neither ranks masks well, and "looks right"
is no promise: `benchmarks/page_checks.py`, whose figures are in the page's guide."""
OVERLAP = 0.01
"""IoU of two hands' masks from which on they overlap. Chosen, not measured: at the edge where hands
touch, both may have a pixel."""


def in_words(hand: Hand, hands: Sequence[Hand], prompted: bool) -> str:
    """What to say of one of `hands`; `prompted`: by a model that is told where each hand is."""
    doubts = find_doubts(hand, hands, prompted)
    return f"**check this hand**: {'; '.join(doubts)}" if doubts else "looks right"


def find_doubts(hand: Hand, hands: Sequence[Hand], prompted: bool) -> list[str]:
    """Why to check a hand's mask; see `in_words`."""
    if not hand.area:
        return ["nothing of it was cut out"]
    doubts = []
    if prompted and hand.landmarks is None:
        doubts.append("found without landmarks, look at the wrist")
    if hand.detection_score is not None and hand.detection_score < SURE_HAND:
        doubts.append("it hardly looks like a hand")
    # The estimates of a model that labels whole photos are of another kind.
    if prompted and hand.predicted_iou < SURE_MASK:
        doubts.append("the outline is unsure")
    if _is_cut(hand):
        doubts.append("cut by the photo's edge")
    if any(_overlap(hand, other) for other in hands if other is not hand):
        doubts.append("it overlaps another hand, look where they meet")
    return doubts


def _is_cut(hand: Hand) -> bool:
    left, top, right, bottom = hand.box
    height, width = hand.image_shape
    return bool(left <= 0 or top <= 0 or right >= width - 1 or bottom >= height - 1)


def _overlap(one: Hand, other: Hand) -> bool:
    if not shared_area(one.box[None], other.box[None]).any():
        return False
    return mask_iou(one.patch, one.offset, other.patch, other.offset) > OVERLAP
