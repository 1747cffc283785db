"""Decide which hand a visitor's click, box or stroke is for, and apply it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handseg.app.brush import Stroke, cover
from handseg.app.entries import HandEntry
from handseg.app.frame import Frame
from handseg.app.workspace import Photo
from handseg.landmarks.boxes import box_iou
from handseg.results import Hand
from handseg.results.hand import window

NEW, CLICKED = -1, -2
"""In place of a hand's number: a click starts a new hand, or its position chooses the hand."""
STALE = "the picture has changed meanwhile: once more, please"
SURROUNDINGS = 0.2
"""How far outside its box a click still counts for a hand, as a share of the longer side."""
SAME_BOX = 0.3
"""Least IoU of a drawn box with a hand's box to be for that hand."""


def clicked_hand(hands: Sequence[Hand], x: float, y: float, anywhere: bool = False) -> int | None:
    """Return the number of the hand at x, y px: in its mask, else near its box, else None.

    With `anywhere`, the nearest hand at any distance.
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
    """Return the number of the hand that `box`, (4,) xyxy px, is drawn around; None if new."""
    if not hands:
        return None
    overlaps = box_iou(box[None], np.array([hand.box for hand in hands]))[0]
    return int(overlaps.argmax()) if overlaps.max() >= SAME_BOX else None


def painted_hand(hands: Sequence[Hand], stroke: Stroke) -> int | None:
    """Return the number of the hand under most of `stroke`, else of the nearest to its start."""
    if not hands:
        return None
    covered, offset = cover(stroke, hands[0].image_shape)
    part = window(covered, offset)
    shared = [np.count_nonzero(hand.mask[part] & (covered > 0)) for hand in hands]
    if any(shared):
        return int(np.argmax(shared))
    x, y = stroke.points[0].tolist()
    return clicked_hand(hands, x, y, anywhere=True)


@dataclass(frozen=True)
class Pointer:
    """The visitor's current tool and its target.

    Attributes:
        photo: the photo to change.
        entries: its hands that are shown.
        hands: the cut-out of each of them.
        number: number of the hand that a click is for, NEW or CLICKED.
        label: label of a click: 1 on the hand, 0 off it.
    """

    photo: Photo
    entries: Sequence[HandEntry]
    hands: Sequence[Hand]
    number: int
    label: int

    def act(self, action: dict[str, Any], frame: Frame) -> None:
        """Apply an action on the picture of `frame` to the photo.

        Args:
            action: a click, a box, a stroke, or a point that was moved or removed, as
                `handseg.app.pointing` reports it.
            frame: the frame that was shown.

        Raises:
            ValueError: if the action makes no sense, with a message for the visitor.
        """
        if len(self.entries) != len(self.hands):
            raise ValueError(STALE)
        if action["do"] == "remove":
            self.photo.remove_point(*self._point(action))
        elif action["do"] == "move":
            place = frame.to_photo(action["x"], action["y"])
            self.photo.move_point(*self._point(action), *place)
        elif action["do"] == "box":
            self._draw_box([frame.to_photo(action[f"x{n}"], action[f"y{n}"]) for n in (1, 2)])
        elif action["do"] == "paint":
            points = np.array(action["points"], np.float32)
            self._paint(Stroke(points, action["radius"], action["erase"]))
        else:
            self._click(*frame.to_photo(action["x"], action["y"]))

    def _point(self, action: dict[str, Any]) -> tuple[HandEntry, int]:
        """Return the hand and the number of its point; after a double click, it is gone."""
        hand, number = action["hand"], action["number"]
        entry = self.entries[hand] if hand < len(self.entries) else HandEntry()
        if list(entry.points[number : number + 1]) != [tuple(action["at"])]:
            raise ValueError(STALE)
        return entry, number

    def _draw_box(self, corners: list[tuple[float, float]]) -> None:
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        if (high - low).min() < 1:
            raise ValueError("press at one corner of the box and let go at the opposite one")
        box = np.concatenate([low, high])
        number = boxed_hand(self.hands, box) if self.number == CLICKED else self.number
        self.photo.draw_box(self._entry(number), tuple(box.tolist()))

    def _click(self, x: float, y: float) -> None:
        number: int | None = self.number
        if number == CLICKED:  # A point off the hand does not start a new one.
            number = clicked_hand(self.hands, x, y, anywhere=not self.label)
        self.photo.click(self._entry(number), x, y, self.label)

    def _paint(self, stroke: Stroke) -> None:
        number = painted_hand(self.hands, stroke) if self.number == CLICKED else self.number
        entry = self._entry(number)
        if entry is None:
            raise ValueError("a stroke corrects a hand: click on a new one first, or box it in")
        self.photo.paint(entry, stroke)

    def _entry(self, number: int | None) -> HandEntry | None:
        return None if number is None or number == NEW else self.entries[number]
