"""Worker threads for photos, with a bounded queue of waiting requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from queue import SimpleQueue
from threading import BoundedSemaphore
from typing import Any, TypeAlias, TypeVar

from handseg.pipeline.interface import Segmenter

T = TypeVar("T")
Start: TypeAlias = "Callable[[Callable[[Segmenter], T]], asyncio.Future[T]]"


class Busy(Exception):
    """All places are taken."""


class Workers:
    """Threads with one segmenter each, which process one photo at a time, and a bounded queue.

    Args:
        segmenters: one per thread; their owner must close them.
        queue: number of requests that may wait while all threads are busy.
    """

    def __init__(self, segmenters: Sequence[Segmenter], queue: int) -> None:
        self._idle: SimpleQueue[Segmenter] = SimpleQueue()
        for segmenter in segmenters:
            self._idle.put(segmenter)
        self._threads = ThreadPoolExecutor(len(segmenters), "photo")
        self._places = BoundedSemaphore(len(segmenters) + queue)
        self._calls: set[Future[Any]] = set()

    @contextmanager
    def place(self) -> Iterator[Start[Any]]:
        """Hold a place, and yield a function that starts its one call.

        Cancel the returned future to give up: a call that has not started is dropped. A running
        call cannot be stopped, and keeps the place until it ends.

        Raises:
            Busy: if no place is free.
        """
        if not self._places.acquire(blocking=False):
            raise Busy
        started: list[Future[Any]] = []

        def start(work: Callable[[Segmenter], T]) -> asyncio.Future[T]:
            pending = [work]
            call = self._threads.submit(self._with_segmenter, pending)
            # A cancelled call stays in the queue until a thread is free, but without its photo.
            call.add_done_callback(lambda _: pending.clear())
            started.append(call)
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            return asyncio.wrap_future(call)

        try:
            yield start
        finally:
            if started:
                started[0].add_done_callback(lambda _: self._places.release())
            else:
                self._places.release()

    def _with_segmenter(self, pending: list[Callable[[Segmenter], T]]) -> T:
        work, segmenter = pending.pop(), self._idle.get()
        try:
            return work(segmenter)
        finally:
            self._idle.put(segmenter)

    def close(self, seconds: float) -> bool:
        """Start no more calls; return whether all ended within `seconds`."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        return not wait(set(self._calls), seconds).not_done
