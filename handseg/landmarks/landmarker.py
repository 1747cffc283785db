"""Hand landmarks: MediaPipe run on several views of a photo, one hand kept once.

MediaPipe's palm detector looks for a palm that fills a small part of an upright square. It misses
hands that the frame cuts, that fill the photo, or that hang down, yet finds them on a padded or a
turned copy. So a photo is looked at in several views and what they find is merged; where the first
two agree on hands that are not small, they are enough.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from handseg.landmarks._mediapipe import import_mediapipe
from handseg.landmarks.anatomy import hand_size
from handseg.landmarks.quiet import native_stderr_silenced
from handseg.runtime.threads import thread_limit

logger = logging.getLogger(__name__)

BUNDLED_TASK = Path(__file__).parents[1] / "assets" / "hand_landmarker.task"


@dataclass(frozen=True, eq=False)
class HandLandmarks:
    """One hand found in a photo.

    Attributes:
        points: (21, 2) float32, x, y in pixels of the photo, in MediaPipe's order (0 the wrist,
            then four joints a finger from thumb to little finger). May lie outside of the photo.
        handedness: "left" or "right", the anatomical hand in a photo that is not mirrored.
        score: MediaPipe's confidence in the handedness, 0..1.
        votes: how many of the views taken found this hand.
    """

    points: np.ndarray
    handedness: str
    score: float
    votes: int = 1

    @property
    def box(self) -> np.ndarray:
        """(4,) float32 xyxy px, the tight box of the points."""
        return np.concatenate([self.points.min(0), self.points.max(0)])

    def resized(self, factor: float | np.ndarray) -> HandLandmarks:
        """This hand in the photo resized by `factor`, a number or (2,) for x and y."""
        points = ((self.points + 0.5) * factor - 0.5).astype(np.float32)
        return replace(self, points=points)


@dataclass(frozen=True)
class View:
    """A square look at the photo: turned by `angle` degrees, `scale` of the side filled by it."""

    angle: float
    scale: float


VIEW_SIDE = 1280
"""px: larger photos are halved for the views until they are not. MediaPipe's palm detector sees a
view at 192 px, its landmark model a hand at 224 px."""
LEAST_SIDE = 8
"""px: no hand shows in a photo of fewer, and two looks at it say so."""
AGREED = 0.1
"""Two findings closer than this many hand sizes, on average over the landmarks, agree."""
NOT_SMALL = 0.14
"""Hand sizes over the photo's longer side. Of many smaller hands each view alone misses some."""
GRAPHS = 2
"""How many views are looked at side by side: MediaPipe works on each in one thread."""
VIEWS = (View(0, 1.0), View(270, 0.9), View(0, 0.67), View(90, 0.9), View(180, 0.9))
# What a photo gets in which these views find no hand at all.
HARD_VIEWS = (View(0, 0.45), View(60, 0.7), View(105, 0.7), View(300, 0.7), View(150, 0.7))


class HandLandmarker:
    """Finds hands in photos with MediaPipe Tasks.

    Close it, or use it in a `with` block. It is not safe to share between threads.

    Args:
        task: a `hand_landmarker.task` bundle; None takes the one that the package carries.
        max_hands: the most hands a photo can have.
        min_confidence: detection and presence threshold of MediaPipe, 0..1.
        views: the looks at a photo; the more, the higher recall and time.
        hard_views: the looks taken when `views` find nothing.
        all_views: take all of `views` at every photo. Else the first two are enough where both
            see the same hands, each within `AGREED`, and of `NOT_SMALL` or larger.
    """

    def __init__(
        self,
        task: str | Path | None = None,
        *,
        max_hands: int = 10,
        min_confidence: float = 0.3,
        views: Sequence[View] = VIEWS,
        hard_views: Sequence[View] = HARD_VIEWS,
        all_views: bool = False,
    ) -> None:
        if max_hands < 1:
            raise ValueError(f"max_hands must be at least 1, got {max_hands}")
        if not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence must be in 0..1, got {min_confidence}")
        path = Path(task) if task is not None else BUNDLED_TASK
        if not path.is_file():
            raise ValueError(f"task must be a hand_landmarker.task bundle, no such file: {path}")
        self._mediapipe = import_mediapipe()
        tasks = self._mediapipe.tasks
        options = tasks.vision.HandLandmarkerOptions(
            # As bytes: MediaPipe resolves relative paths against its own folder.
            base_options=tasks.BaseOptions(model_asset_buffer=path.read_bytes()),
            num_hands=max_hands,
            min_hand_detection_confidence=min_confidence,
            min_hand_presence_confidence=min_confidence,
        )
        make = partial(tasks.vision.HandLandmarker.create_from_options, options)
        graphs = min(GRAPHS, thread_limit() or GRAPHS)
        self._pool = ThreadPoolExecutor(graphs, "landmarks")
        try:
            self._graphs = [self._pool.submit(make)]
            self._graphs[0].result()
        except (RuntimeError, ValueError) as error:
            self._pool.shutdown()
            raise ValueError(f"task is not a hand_landmarker.task bundle: {path}") from error
        # Meanwhile there is time for others, such as the first photo's decoder.
        self._graphs += [self._pool.submit(make) for _ in range(graphs - 1)]
        self._closed = False
        self.quiet = False  # see `handseg.landmarks.quiet`
        self.max_hands = max_hands
        self.views = tuple(views)
        self.hard_views = tuple(hard_views)
        self.all_views = all_views

    def __enter__(self) -> HandLandmarker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free MediaPipe's graphs; they print a traceback when the interpreter has to do it."""
        with native_stderr_silenced() if self.quiet else nullcontext():
            for graph in self._graphs:
                graph.result().close()
        self._pool.shutdown()
        self._closed = True

    def detect(self, image: np.ndarray) -> list[HandLandmarks]:
        """Find the hands in `image`, (H, W, 3) uint8 RGB, the surest first.

        Raises:
            ValueError: if the landmarker is closed.
        """
        if self._closed:  # MediaPipe would find no hand and say nothing.
            raise ValueError("the landmarker is closed")
        small, factor = _shrink(image)
        seen = self._look(small, self.views[:2])
        if min(small.shape[:2]) < LEAST_SIDE and not any(seen):
            return []
        hands = None if self.all_views else _agreed(seen, max(small.shape[:2]))
        if hands is None:
            seen += self._look(small, self.views[2:])
            if not any(seen):
                seen = self._look(small, self.hard_views)
            hands = drop_doubtful(merge([hand for view in seen for hand in view]))
        return [hand.resized(factor) for hand in hands[: self.max_hands]]

    def _look(self, image: np.ndarray, views: Sequence[View]) -> list[list[HandLandmarks]]:
        """What each of the views shows, in pixels of `image`."""
        seen: list[list[HandLandmarks]] = []
        for start in range(0, len(views), len(self._graphs)):
            some = views[start : start + len(self._graphs)]
            seen += self._pool.map(partial(self._look_once, image), some, self._graphs)
        return seen

    def _look_once(self, image: np.ndarray, view: View, graph: Future[Any]) -> list[HandLandmarks]:
        square, matrix = _warp_to_square(image, view)
        mp = self._mediapipe
        result = graph.result().detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=square))
        inverse = cv2.invertAffineTransform(matrix)
        hands = []
        for landmarks, handedness in zip(result.hand_landmarks, result.handedness, strict=True):
            points = np.array([(mark.x, mark.y) for mark in landmarks]) * len(square) - 0.5
            points = (points @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32)
            best = handedness[0]
            hands.append(HandLandmarks(points, best.category_name.lower(), best.score))
        return hands


def halvings(height: int, width: int) -> int:
    """How many times a photo is halved for the views."""
    return max(0, math.ceil(math.log2(max(height, width) / VIEW_SIDE)))


def _shrink(image: np.ndarray) -> tuple[np.ndarray, int]:
    """The photo for the views, and how many of its pixels make one of them, in a row.

    Views sample without averaging: shrunk by area first, fine texture does not alias. OpenCV halves
    by area many times faster than it shrinks by other factors; odd rows and columns are cut off.
    """
    times = halvings(*image.shape[:2])
    for _ in range(times):
        height, width = (max(1, side // 2) for side in image.shape[:2])
        even = image[: 2 * height, : 2 * width]
        image = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
    return image, 2**times


def _agreed(seen: Sequence[Sequence[HandLandmarks]], side: int) -> list[HandLandmarks] | None:
    """The hands of a photo of `side` px if two views agree on all of them and none is small.

    Their landmarks are the mean of both views'.
    """
    if len(seen) != 2 or not seen[0] or len(seen[0]) != len(seen[1]):
        return None
    groups = _groups([*seen[0], *seen[1]])
    hands = []
    for group in groups:
        if len(group) != 2 or _distance(*group) >= AGREED:
            return None
        sure, other = group
        hand = replace(sure, points=(sure.points + other.points) / 2, votes=2)
        if hand_size(hand.points) < NOT_SMALL * side:
            return None
        hands.append(hand)
    return hands


def _warp_to_square(image: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
    """The view as a square picture, and the 2 x 3 matrix from pixels of `image` to its pixels.

    MediaPipe projects landmarks correctly only on square pictures.
    """
    height, width = image.shape[:2]
    side = max(192, height, width)
    centre = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, view.angle, view.scale * side / max(height, width))
    matrix[:, 2] += (side - 1) / 2 - np.array(centre)
    return cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR), matrix


def merge(hands: Sequence[HandLandmarks]) -> list[HandLandmarks]:
    """Group findings of the same hand and keep the most central of each group.

    Two findings are one hand when their landmarks lie, on average, closer than a fifth of the
    larger hand's size, or when one box covers most of the other. The finding kept is the one
    nearest to the others of its group (its medoid), the groups come back by votes, then score.
    """
    merged = []
    for group in _groups(hands):
        points = np.stack([hand.points for hand in group])
        distances = np.linalg.norm(points[:, None] - points[None], axis=-1).mean(-1)
        medoid = group[int(distances.sum(1).argmin())]
        score = max(hand.score for hand in group)
        merged.append(replace(medoid, score=score, votes=len(group)))
    return sorted(merged, key=lambda hand: (-hand.votes, -hand.score))


def _groups(hands: Sequence[HandLandmarks]) -> list[list[HandLandmarks]]:
    """Findings of one hand together, the surest first."""
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
    """Leave out what one view alone saw beside hands that several views agree on.

    Such a finding stays if MediaPipe is sure of it (score of 0.95 and more) and no agreed hand
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
    common = np.clip(np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]), 0, None)
    return float(common.prod() / max((box[2:] - box[:2]).prod(), 1e-6))


def _distance(one: HandLandmarks, other: HandLandmarks) -> float:
    """How far apart the landmarks lie on average, in sizes of the larger hand."""
    size = max(hand_size(one.points), hand_size(other.points))
    return float(np.linalg.norm(one.points - other.points, axis=1).mean() / size)


def _same_hand(one: HandLandmarks, other: HandLandmarks) -> bool:
    if _distance(one, other) < 0.2:
        return True
    a, b = one.box, other.box
    areas = (a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod()
    covered = max(_overlap(a, b), _overlap(b, a))
    return bool(covered > 0.6 and min(areas) > 0.3 * max(areas))
