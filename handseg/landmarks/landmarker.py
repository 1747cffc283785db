"""Hand landmarks from MediaPipe, run on several views of a photo and merged."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from handseg.errors import ModelError
from handseg.landmarks._graphs import Detect, Graphs
from handseg.landmarks.finder import HandFinder
from handseg.landmarks.found import FoundHand, HandBox, HandLandmarks
from handseg.landmarks.second_look import LOOK, with_boxes
from handseg.landmarks.views import (
    HARD_VIEWS,
    LEAST_SIDE,
    VIEWS,
    CloseView,
    View,
    agreed_hands,
    brightened,
    drop_doubtful,
    merge,
    shrink,
    warp_to_square,
)
from handseg.runtime.forks import Mutex, forks_wait, in_forked_child
from handseg.runtime.threads import thread_limit

BUNDLED_TASK = Path(__file__).parents[1] / "assets" / "hand_landmarker.task"


FAINTEST = 0.0005
"""Minimum score of the finder's detections that `suspect` returns."""
GRAPHS = 2
"""Number of views processed in parallel: MediaPipe uses one thread for each."""


class HandLandmarker:
    """Finds hands in photos with MediaPipe Tasks.

    Close it, or use it in a `with` block. Threads that use the same one wait for each other. It can
    be copied and pickled, and keeps working in a forked process, with its own graphs.

    Args:
        task: a `hand_landmarker.task` bundle; None uses the bundled one.
        max_hands: maximum number of hands per photo.
        min_confidence: detection and presence threshold of MediaPipe, 0..1.
        views: views of a photo; more views find more hands and take more time.
        hard_views: further views, used if `views` show no hand.
        all_views: use all of `views` for every photo. Otherwise the first two are enough if both
            show the same hands, each within `AGREEMENT_TOLERANCE` and at least
            `MIN_HAND_FRACTION` large.
        finder: tells MediaPipe where to look again, and which of its detections are wrong; None
            uses only MediaPipe.

    Raises:
        ModelError: if `task` is not such a bundle.
        ValueError: if `max_hands` or `min_confidence` are out of range.
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
        finder: HandFinder | None = None,
    ) -> None:
        if max_hands < 1:
            raise ValueError(f"max_hands must be at least 1, got {max_hands}")
        if not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence must be in 0..1, got {min_confidence}")
        self._task = None if task is None else Path(task).absolute()
        if task is not None and not Path(task).is_file():
            raise ModelError(f"task must be a hand_landmarker.task bundle, file not found: {task}")
        self.max_hands = max_hands
        self.min_confidence = min_confidence
        self.views = tuple(views)
        self.hard_views = tuple(hard_views)
        self.all_views = all_views
        self.finder = finder
        self._closed = False
        self._busy = Mutex()
        self._graphs: Graphs | None = self._start()
        in_forked_child(self, HandLandmarker._forget)

    def _start(self) -> Graphs:
        task = self._task or BUNDLED_TASK
        try:
            return Graphs(
                task.read_bytes(),
                min(GRAPHS, thread_limit() or GRAPHS),
                num_hands=self.max_hands,
                min_hand_detection_confidence=self.min_confidence,
                min_hand_presence_confidence=self.min_confidence,
            )
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"task is not a hand_landmarker.task bundle: {task}") from error

    def _forget(self) -> None:
        if self._graphs is not None:
            self._graphs.forget()
            self._graphs = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_graphs": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        in_forked_child(self, HandLandmarker._forget)

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
        """Release MediaPipe's graphs for the next landmarker."""
        with self._busy:
            self._closed = True
            if self._graphs is not None:
                self._graphs.close()

    def detect(self, image: np.ndarray) -> list[HandLandmarks]:
        """Find the hands in `image`, (H, W, 3) uint8 RGB, most confident first.

        Raises:
            ValueError: if the landmarker is closed, or the image has no pixels.
        """
        return [hand for hand in self.find(image) if isinstance(hand, HandLandmarks)]

    def find(self, image: np.ndarray, finder: bool = True) -> list[FoundHand]:
        """Like `detect`, but include hands that only the finder sees, without landmarks.

        With `finder` False, only MediaPipe is used.
        """
        if not image.size:
            raise ValueError(f"image must have at least one pixel, got shape {image.shape}")
        with self._busy:
            if self._closed:  # MediaPipe would silently find no hand.
                raise ValueError("the landmarker is closed")
            return self._find(image, self.finder if finder else None)

    def suspect(self, image: np.ndarray) -> list[HandBox]:
        """All detections of the finder, most confident first; empty without a finder."""
        with forks_wait():  # OpenCV's threads have locks.
            small, factor = shrink(image)
        if self.finder is None or min(small.shape[:2]) < LEAST_SIDE:
            return []
        return [place.resized(factor) for place in self.finder.find(small, FAINTEST)]

    def _find(self, image: np.ndarray, finder: HandFinder | None) -> list[FoundHand]:
        with forks_wait():  # OpenCV's threads have locks.
            small, factor = shrink(image)
        if finder is None or min(small.shape[:2]) < LEAST_SIDE:
            found: list[FoundHand] = [*self._see(small)]
        else:
            with ThreadPoolExecutor(1, "finder") as beside:
                boxes = beside.submit(finder.find, small, LOOK)
                hands = self._see(small)
            check, look = partial(finder.close_up_score, small), partial(self._look, small)
            found = with_boxes(hands, boxes.result(), check, look)
        return [hand.resized(factor) for hand in found[: self.max_hands]]

    def _see(self, image: np.ndarray) -> list[HandLandmarks]:
        """The hands that MediaPipe finds in a small photo."""
        seen = self._look(image, self.views[:2])
        if min(image.shape[:2]) < LEAST_SIDE and not any(seen):
            return []
        hands = None if self.all_views else agreed_hands(seen, max(image.shape[:2]))
        if hands is None:
            seen += self._look(image, self.views[2:])
            hands = drop_doubtful(merge(_all(seen))) or self._second_glance(image)
        return hands

    def _second_glance(self, image: np.ndarray) -> list[HandLandmarks]:
        """Search a photo again in which `views` show no hand."""
        hands = drop_doubtful(merge(_all(self._look(image, self.hard_views))))
        if hands:
            return hands
        with forks_wait():
            clearer = brightened(image)
        if clearer is None:
            return hands
        # Amplified noise sometimes looks like a hand in one view, rarely in two.
        seen = self._look(clearer, (*self.views, *self.hard_views))
        return [hand for hand in merge(_all(seen)) if hand.votes > 1]

    def _look(
        self, image: np.ndarray, views: Sequence[View | CloseView]
    ) -> list[list[HandLandmarks]]:
        """The hands found in each of the views, in pixels of `image`."""
        if self._graphs is None:  # In a forked child, or a copy of another landmarker.
            self._graphs = self._start()
        return self._graphs.each(partial(_look_once, image), views)


def _look_once(image: np.ndarray, view: View | CloseView, detect: Detect) -> list[HandLandmarks]:
    with forks_wait():
        square, matrix = warp_to_square(image, view)
    result = detect(square)
    inverse = cv2.invertAffineTransform(matrix)
    hands = []
    for landmarks, handedness in zip(result.hand_landmarks, result.handedness, strict=True):
        points = np.array([(mark.x, mark.y) for mark in landmarks]) * len(square) - 0.5
        points = (points @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32)
        best = handedness[0]
        hands.append(HandLandmarks(points, best.category_name.lower(), best.score))
    return hands


def _all(seen: Sequence[Sequence[HandLandmarks]]) -> list[HandLandmarks]:
    """The hands of all views in one list."""
    return [hand for view in seen for hand in view]
