"""Views of a photo for the search for hands, and merging of what they find.

MediaPipe's palm detector looks for a palm that fills a small part of an upright square. It misses
hands that are cut by the frame, fill the photo or hang down, but finds them in a padded or rotated
copy. So hands are searched for in several views and the detections merged; if the first two views
agree on hands that are not small, they are enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from handseg.landmarks.anatomy import hand_size
from handseg.landmarks.boxes import areas, shared_area
from handseg.landmarks.found import HandLandmarks


@dataclass(frozen=True)
class View:
    """A square view of the photo: rotated by `angle` degrees, filling `scale` of the side."""

    angle: float
    scale: float

    def matrix(self, height: int, width: int) -> tuple[np.ndarray, int]:
        """The (2, 3) matrix from pixels of the photo to those of the view, and its side, px."""
        side = max(192, height, width)
        centre = ((width - 1) / 2, (height - 1) / 2)
        matrix: np.ndarray = cv2.getRotationMatrix2D(
            centre, self.angle, self.scale * side / max(height, width)
        )
        matrix[:, 2] += (side - 1) / 2 - np.array(centre)
        return matrix, side


@dataclass(frozen=True)
class CloseView:
    """A square view of a part of the photo: `reach` px around `x`, `y`, rotated by `angle`."""

    x: float
    y: float
    reach: float
    angle: float

    def matrix(self, height: int, width: int) -> tuple[np.ndarray, int]:
        """See `View.matrix`."""
        side = round(float(np.clip(self.reach, 256, 640)))
        matrix: np.ndarray = cv2.getRotationMatrix2D(
            (self.x, self.y), self.angle, side / self.reach
        )
        matrix[:, 2] += (side - 1) / 2 - np.array([self.x, self.y])
        return matrix, side


VIEW_SIDE = 1280
"""px: larger photos are halved for the views until they fit. MediaPipe's palm detector sees a
view at 192 px, its landmark model a hand at 224 px."""
LEAST_SIDE = 8
"""px: in a smaller photo, two views are enough to tell that there is no hand."""
AGREEMENT_TOLERANCE = 0.1
"""Two detections agree if they are closer than this many hand sizes, averaged over landmarks."""
MIN_HAND_FRACTION = 0.14
"""Hand size over the photo's longer side. Each single view misses some of many smaller hands."""
VIEWS = (View(0, 1.0), View(270, 0.9), View(0, 0.67), View(90, 0.9), View(180, 0.9))
# For photos in which these views find no hand.
HARD_VIEWS = (View(0, 0.45), View(60, 0.7), View(105, 0.7), View(300, 0.7), View(150, 0.7))


def halvings(height: int, width: int) -> int:
    """Number of times a photo is halved for the views."""
    return max(0, math.ceil(math.log2(max(height, width) / VIEW_SIDE)))


def shrink(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Shrink the photo for the views; also return the factor, a power of two.

    Views sample without averaging, so the photo is first shrunk by area to avoid aliasing. OpenCV
    halves by area many times faster than it shrinks by other factors; odd rows and columns are cut
    off.
    """
    times = halvings(*image.shape[:2])
    for _ in range(times):
        height, width = (max(1, side // 2) for side in image.shape[:2])
        even = image[: 2 * height, : 2 * width]
        image = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
    return image, 2**times


_DARK, _FLAT, _GREY = 128, 8, 2.0
"""Limits, of 0..255: in a dark photo the 99.5th percentile is below the first and the contrast
above the second; in a photo without colours the channels differ on average by less than the
third."""
_SKIN = np.array([1.15, 0.95, 0.85], np.float32)


def brightened(image: np.ndarray) -> np.ndarray | None:
    """Stretch the levels of a dark photo, and tint a grey one like skin; None for others.

    MediaPipe finds few hands in photos a tenth as bright, and fewer in black-and-white ones
    (`benchmarks/low_light.py`). `image` and the result are (H, W, 3) uint8 RGB.
    """
    # Every fourth pixel is enough to measure the levels.
    some = image[::4, ::4].astype(np.float32)
    low, high = np.percentile(some, (1, 99.5))
    if high - low < _FLAT:
        return None
    grey = np.abs(some - some.mean(2, keepdims=True)).mean() < _GREY * high / 255
    if high >= _DARK and not grey:
        return None
    gain = 255 / (high - low) if high < _DARK else 1.0
    stretched = (image - (low if high < _DARK else 0.0)) * gain
    if grey:
        stretched = stretched.mean(2, keepdims=True) * _SKIN
    return np.clip(stretched, 0, 255).astype(np.uint8)


def agreed_hands(seen: Sequence[Sequence[HandLandmarks]], side: int) -> list[HandLandmarks] | None:
    """The hands of a photo of `side` px if two views agree on all of them and none is small.

    Their landmarks are the mean of both views.
    """
    if len(seen) != 2 or not seen[0] or len(seen[0]) != len(seen[1]):
        return None
    groups = _groups([*seen[0], *seen[1]])
    hands = []
    for group in groups:
        if len(group) != 2 or _distance(*group) >= AGREEMENT_TOLERANCE:
            return None
        sure, other = group
        hand = replace(sure, points=(sure.points + other.points) / 2, votes=2)
        if hand_size(hand.points) < MIN_HAND_FRACTION * side:
            return None
        hands.append(hand)
    return hands


def warp_to_square(image: np.ndarray, view: View | CloseView) -> tuple[np.ndarray, np.ndarray]:
    """Warp `image` to a square view; also return the 2 x 3 matrix from its pixels to the view's.

    MediaPipe projects landmarks correctly only in square pictures.
    """
    matrix, side = view.matrix(*image.shape[:2])
    return cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR), matrix


def merge(hands: Sequence[HandLandmarks]) -> list[HandLandmarks]:
    """Group detections of the same hand and keep the most central one of each group.

    Two detections are the same hand if their landmarks are on average closer than a fifth of the
    larger hand's size, or if one box covers most of the other. Each group is represented by its
    medoid, the detection nearest to the others, with the handedness of the most confident one;
    groups are sorted by votes, then score.
    """
    merged = []
    for group in _groups(hands):
        points = np.stack([hand.points for hand in group])
        distances = np.linalg.norm(points[:, None] - points[None], axis=-1).mean(-1)
        medoid = group[int(distances.sum(1).argmin())]
        side, score = group[0].handedness, group[0].score  # The most confident one's.
        merged.append(replace(medoid, handedness=side, score=score, votes=len(group)))
    return sorted(merged, key=lambda hand: (-hand.votes, -hand.score))


def _groups(hands: Sequence[HandLandmarks]) -> list[list[HandLandmarks]]:
    """Group detections by hand, most confident first."""
    groups: list[list[HandLandmarks]] = []
    for hand in sorted(hands, key=lambda found: -found.score):
        for group in groups:
            if any(_same_hand(hand, other) for other in group):
                group.append(hand)
                break
        else:
            groups.append([hand])
    return groups


def drop_doubtful(hands: Sequence[HandLandmarks]) -> list[HandLandmarks]:
    """Drop detections of a single view if several views agree on other hands.

    Such a detection stays if MediaPipe is confident (a score of at least 0.95) and no agreed hand
    covers half of its box: the others are arms, ears and misplaced copies of an agreed hand.
    """
    agreed = [hand for hand in hands if hand.votes > 1]
    if not agreed:
        return list(hands)
    return [
        hand
        for hand in hands
        if hand.votes > 1
        or (hand.score >= 0.95 and all(_overlap(hand.box, other.box) < 0.5 for other in agreed))
    ]


def _overlap(box: np.ndarray, other: np.ndarray) -> float:
    """The share of `box` (xyxy) that `other` covers."""
    return float(shared_area(box[None], other[None])[0, 0] / max(areas(box[None])[0], 1e-6))


def _distance(one: HandLandmarks, other: HandLandmarks) -> float:
    """Mean distance between the landmarks, in sizes of the larger hand."""
    size = max(hand_size(one.points), hand_size(other.points))
    return float(np.linalg.norm(one.points - other.points, axis=1).mean() / size)


def _same_hand(one: HandLandmarks, other: HandLandmarks) -> bool:
    if _distance(one, other) < 0.2:
        return True
    a, b = one.box, other.box
    sizes = areas(np.stack([a, b]))
    covered = max(_overlap(a, b), _overlap(b, a))
    return bool(covered > 0.6 and sizes.min() > 0.3 * sizes.max())
