"""MediaPipe's graphs of one hand landmarker, each with its own thread.

Graphs are never freed, but reused by the next landmarker with the same settings. When a graph is
freed, MediaPipe writes to stderr and sends usage data to its maker (see `_offline`). It would also
wait for its threads, which a forked child does not have, and which end before Python does.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np

from handseg.landmarks._mediapipe import import_mediapipe, without_chatter
from handseg.landmarks._offline import cut_off
from handseg.runtime.forks import forks_wait, in_forked_child, never_free

T = TypeVar("T")
R = TypeVar("R")
Detect: TypeAlias = Callable[[np.ndarray], Any]
"""Takes (S, S, 3) uint8 RGB, returns MediaPipe's `HandLandmarkerResult`."""


class _Store:
    """Idle graphs by their settings."""

    def __init__(self) -> None:
        self._begin()
        in_forked_child(self, _Store._begin)

    def _begin(self) -> None:
        # Reentrant: Python may collect garbage, which releases graphs, at any time.
        self._lock = threading.RLock()
        self._idle: defaultdict[Any, list[Any]] = defaultdict(list)

    def take(self, settings: Any) -> Any | None:
        with self._lock:
            idle = self._idle[settings]
            return idle.pop() if idle else None

    def put(self, settings: Any, graphs: Sequence[Any], pool: ThreadPoolExecutor) -> None:
        pool.shutdown(wait=False)
        with self._lock:
            self._idle[settings] += graphs


_store = _Store()


class Graphs:
    """Graphs that process several pictures in parallel, one thread each.

    `close`, or garbage collection of this object, releases them for reuse. Do not use them in a
    forked child.

    Args:
        task: content of a `hand_landmarker.task` bundle.
        count: number of graphs.
        options: further `HandLandmarkerOptions` of MediaPipe.

    Raises:
        RuntimeError, ValueError: from MediaPipe, if `task` is not such a bundle.
    """

    def __init__(self, task: bytes, count: int, **options: Any) -> None:
        self._mediapipe = import_mediapipe()
        cut_off()
        tasks = self._mediapipe.tasks
        settings = hashlib.sha256(task).digest(), *sorted(options.items())

        def make(_: int) -> Any:
            if (idle := _store.take(settings)) is not None:
                return idle
            with forks_wait():
                graph = tasks.vision.HandLandmarker.create_from_options(
                    tasks.vision.HandLandmarkerOptions(
                        # As bytes: MediaPipe resolves relative paths against its own folder.
                        base_options=tasks.BaseOptions(model_asset_buffer=task),
                        **options,
                    )
                )
                never_free(graph)
            # Its last log messages come with the first picture.
            self._detect(graph, np.zeros((192, 192, 3), np.uint8))
            return graph

        self._pool = ThreadPoolExecutor(count, "landmarks")
        try:
            with without_chatter():
                self._graphs = list(self._pool.map(make, range(count)))
        except BaseException:
            self._pool.shutdown()
            raise
        self._hand_on = weakref.finalize(self, _store.put, settings, self._graphs, self._pool)
        self._hand_on.atexit = False

    def each(self, function: Callable[[T, Detect], R], items: Sequence[T]) -> list[R]:
        """Call `function` with each item and a graph's `detect`, using all graphs in parallel."""
        ways = [partial(self._detect, graph) for graph in self._graphs]
        done: list[R] = []
        try:
            for start in range(0, len(items), len(ways)):
                done += self._pool.map(function, items[start : start + len(ways)], ways)
        except BaseException:
            self._hand_on.detach()  # The graphs may be in any state.
            raise
        return done

    def close(self) -> None:
        """Release the graphs for reuse. A second call does nothing."""
        self._hand_on()

    def forget(self) -> None:
        """Drop the graphs in a forked child, without releasing them for reuse."""
        self._hand_on.detach()

    def _detect(self, graph: Any, picture: np.ndarray) -> Any:
        mediapipe = self._mediapipe
        with forks_wait():
            return graph.detect(
                mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
            )
