"""Hand landmarks: MediaPipe run on several views of a photo, one hand kept once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from handseg.landmarks._mediapipe import import_mediapipe, native_stderr_silenced
from handseg.landmarks.found import HandLandmarks
from handseg.landmarks.views import (
    HARD_VIEWS,
    LEAST_SIDE,
    VIEWS,
    View,
    agreed_hands,
    brightened,
    drop_doubtful,
    merge,
    shrink,
    warp_to_square,
)
from handseg.runtime.threads import thread_limit

logger = logging.getLogger(__name__)

BUNDLED_TASK = Path(__file__).parents[1] / "assets" / "hand_landmarker.task"


GRAPHS = 2
"""How many views are looked at side by side: MediaPipe works on each in one thread."""


class HandLandmarker:
    """Finds hands in photos with MediaPipe Tasks.

    Close it, or use it in a `with` block. It is not safe to share between threads.

    Args:
        task: a `hand_landmarker.task` bundle; None takes the bundled one.
        max_hands: the most hands a photo can have.
        min_confidence: detection and presence threshold of MediaPipe, 0..1.
        views: the looks at a photo; the more, the higher recall and time.
        hard_views: the looks taken when `views` find nothing.
        all_views: take all of `views` at every photo. Else the first two are enough where both
            see the same hands, each within `AGREEMENT_TOLERANCE`, and of `MIN_HAND_FRACTION` or
            larger.
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
        self.quiet = False  # see `start_quietly`
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
        small, factor = shrink(image)
        seen = self._look(small, self.views[:2])
        if min(small.shape[:2]) < LEAST_SIDE and not any(seen):
            return []
        hands = None if self.all_views else agreed_hands(seen, max(small.shape[:2]))
        if hands is None:
            seen += self._look(small, self.views[2:])
            hands = drop_doubtful(merge(_all(seen))) or self._second_glance(small)
        return [hand.resized(factor) for hand in hands[: self.max_hands]]

    def _second_glance(self, image: np.ndarray) -> list[HandLandmarks]:
        """The hands of a photo in which `views` show none."""
        hands = drop_doubtful(merge(_all(self._look(image, self.hard_views))))
        if hands or (clearer := brightened(image)) is None:
            return hands
        # Stretched noise looks like a hand to one view now and then, seldom to two.
        seen = self._look(clearer, (*self.views, *self.hard_views))
        return [hand for hand in merge(_all(seen)) if hand.votes > 1]

    def _look(self, image: np.ndarray, views: Sequence[View]) -> list[list[HandLandmarks]]:
        """What each of the views shows, in pixels of `image`."""
        seen: list[list[HandLandmarks]] = []
        for start in range(0, len(views), len(self._graphs)):
            some = views[start : start + len(self._graphs)]
            seen += self._pool.map(partial(self._look_once, image), some, self._graphs)
        return seen

    def _look_once(self, image: np.ndarray, view: View, graph: Future[Any]) -> list[HandLandmarks]:
        square, matrix = warp_to_square(image, view)
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


def _all(seen: Sequence[Sequence[HandLandmarks]]) -> list[HandLandmarks]:
    """What all views show, in one list."""
    return [hand for view in seen for hand in view]


def start_quietly(make: Callable[[], HandLandmarker]) -> HandLandmarker:
    """What `make` gives, once it has logged all that it logs when it starts; it ends quietly, too.

    MediaPipe's libraries write to the file descriptor of stderr when they are loaded, at the first
    photo and when they are freed. They heed no log level in the environment, and their C interface
    offers to copy messages but not to stop them. For commands: other threads' messages are lost
    meanwhile.
    """
    with native_stderr_silenced():
        landmarker = make()
        landmarker.detect(np.zeros((1, 1, 3), np.uint8))
    landmarker.quiet = True
    return landmarker
