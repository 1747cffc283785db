"""Which hand a visitor's click or box is about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handseg.landmarks.boxes import box_iou
from handseg.results import Hand

SURROUNDINGS = 0.2
"""How far beyond its box a hand is still meant, in the box' longer sides."""
SAME_BOX = 0.3
"""IoU with a hand's box from which on a drawn box is about it."""


def clicked_hand(hands: Sequence[Hand], x: float, y: float, anywhere: bool = False) -> int | None:
    """The number of the hand at x, y px: its mask holds it, else its surroundings, else None.

    With `anywhere`, the nearest hand however far away.
    """
    distances = []
    for number, hand in enumerate(hands):
        column, row = round(x) - hand.offset[0], round(y) - hand.offset[1]
        height, width = hand.patch.shape
        if 0 <= row < height and 0 <= column < width and hand.patch[row, column] >= 128:
            return number
        low, high = hand.box[:2], hand.box[2:]
        outside = np.maximum(np.maximum(low - [x, y], [x, y] - high), 0)
        if anywhere or (hand.area and outside.max() <= SURROUNDINGS * (high - low).max()):
            distances.append((float(np.hypot(*outside)), number))
    return min(distances)[1] if distances else None


def boxed_hand(hands: Sequence[Hand], box: np.ndarray) -> int | None:
    """The number of the hand that `box`, (4,) xyxy px, is drawn around; None for another one."""
    if not hands:
        return None
    overlaps = box_iou(box[None], np.array([hand.box for hand in hands]))[0]
    return int(overlaps.argmax()) if overlaps.max() >= SAME_BOX else None
