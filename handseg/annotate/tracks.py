"""Track hands through the frames of a sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from scipy.optimize import linear_sum_assignment

from handseg.landmarks.anatomy import hand_size

GAP = 15
"""Number of frames in which a hand may be missed and still keep its number."""

_REACH = 1.0  # Hand sizes that landmarks may move per frame, on average,
_REACH_A_GAP = 0.25  # and how much more for each frame in which the hand was missed,
_FARTHEST = 2.5  # up to this.
_SMALLEST_IOU = 0.1  # Masks that overlap this much are the same hand wherever its landmarks are.
_OTHER_SIDE = 0.5  # Cost of a left hand on a right hand's track: MediaPipe confuses the two.
_NEVER = 1e6


@dataclass(eq=False)
class _Track:
    number: int
    last: Mapping[str, Any]
    frame: int
    sides: Counter[str] = field(default_factory=Counter)

    def take(self, hand: Mapping[str, Any], frame: int) -> None:
        self.last, self.frame = hand, frame
        if hand["handedness"]:
            self.sides[hand["handedness"]] += 1

    @property
    def side(self) -> str | None:
        """The majority handedness of its hands, None if there is none."""
        left, right = self.sides["left"], self.sides["right"]
        return None if left == right else "left" if left > right else "right"


class Tracker:
    """Numbers hands frame by frame, deterministically.

    Hands and tracks are matched at the lowest total cost (Hungarian method). The cost of a pair is
    1 - IoU of the masks, plus the distance of the landmarks (or, without them, of the boxes'
    centres), plus a little if one is left and the other right. A pair that neither overlaps nor is
    close cannot match.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next = 1

    def cut(self) -> None:
        """Start another sequence, whose hands are all new."""
        self._tracks = []

    def step(self, frame: int, hands: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the number of each hand of a frame.

        Args:
            frame: its index, higher than in the previous step; frames may be skipped.
            hands: COCO annotations of one photo, as from `HandSegmentation.to_coco`.
        """
        self._tracks = [track for track in self._tracks if frame - track.frame <= GAP + 1]
        # Sort the hands, so that ties do not depend on the input order.
        order = sorted(range(len(hands)), key=lambda index: _place(hands[index]))
        costs = np.array(
            [[_cost(track, hands[index], frame) for index in order] for track in self._tracks]
        ).reshape(len(self._tracks), len(hands))
        owners: dict[int, _Track] = {}
        for row, column in zip(*linear_sum_assignment(costs), strict=True):
            if costs[row, column] < _NEVER:
                owners[order[column]] = self._tracks[row]
        for index in order:
            if index not in owners:
                owners[index] = _Track(self._next, hands[index], frame)
                self._tracks.append(owners[index])
                self._next += 1
            owners[index].take(hands[index], frame)
        return [owners[index].number for index in range(len(hands))]


def _place(hand: Mapping[str, Any]) -> tuple[list[float], str, list[float]]:
    return hand["bbox"], hand["handedness"] or "", hand["keypoints"]


def _cost(track: _Track, hand: Mapping[str, Any], frame: int) -> float:
    """Return the cost of matching `hand` with `track`."""
    one, other = track.last["segmentation"], hand["segmentation"]
    iou = float(coco_mask.iou([one], [other], [0])[0, 0]) if one["size"] == other["size"] else 0.0
    reach = min(_FARTHEST, _REACH + _REACH_A_GAP * (frame - track.frame - 1))
    distance = _distance(track.last, hand)
    if iou < _SMALLEST_IOU and distance > reach:
        return _NEVER
    side = track.side
    differ = side is not None and hand["handedness"] is not None and side != hand["handedness"]
    return 1 - iou + min(1.0, distance / reach) + (_OTHER_SIDE if differ else 0.0)


def _distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Measure the distance between two hands of a photo, in sizes of the larger one."""
    if one["num_keypoints"] and other["num_keypoints"]:
        a, b = (np.reshape(hand["keypoints"], (21, 3))[:, :2] for hand in (one, other))
        return float(np.linalg.norm(a - b, axis=1).mean() / max(hand_size(a), hand_size(b)))
    boxes = np.array([one["bbox"], other["bbox"]], np.float64)
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    # An open hand is about twice as long as its palm, and hand sizes are palm sizes.
    size = max(1.0, boxes[:, 2:].max() / 2)
    return float(np.linalg.norm(centres[0] - centres[1]) / size)
