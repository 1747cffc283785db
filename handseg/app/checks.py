"""Advice on a hand's mask: that it looks right, or why to check it."""

from __future__ import annotations

from collections.abc import Sequence

from handseg.annotate.records import mask_iou
from handseg.annotate.review import SURE_IOU
from handseg.landmarks.boxes import shared_area
from handseg.landmarks.second_look import SURE
from handseg.results import Hand

SURE_MASK, SURE_HAND = SURE_IOU, SURE
"""Predicted IoU and finder score below which to check a hand: annotation's limit for doubtful
masks, and the finder's for sure hands. Neither ranks masks well, and "looks right" is no promise:
see `benchmarks/page_checks.py`, whose results are in the page's guide."""
OVERLAP = 0.01
"""IoU at which two hands' masks count as overlapping. Chosen, not measured: touching hands may
share pixels along their edge."""


def in_words(hand: Hand, hands: Sequence[Hand], prompted: bool) -> str:
    """Return the advice on one of `hands`; `prompted`: from a model that is prompted per hand."""
    doubts = find_doubts(hand, hands, prompted)
    return f"**check this hand**: {'; '.join(doubts)}" if doubts else "looks right"


def find_doubts(hand: Hand, hands: Sequence[Hand], prompted: bool) -> list[str]:
    """Return reasons to check a hand's mask; see `in_words`."""
    if not hand.area:
        return ["nothing of it was cut out"]
    doubts = []
    if prompted and hand.landmarks is None:
        doubts.append("found without landmarks, look at the wrist")
    if hand.detection_score is not None and hand.detection_score < SURE_HAND:
        doubts.append("it hardly looks like a hand")
    # Models that label whole photos estimate something else.
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
