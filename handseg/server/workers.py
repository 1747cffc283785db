"""The threads that work on photos, and the places of those that wait for one."""

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
    """Threads with a segmenter each, one photo at a time, and a bounded number that waits for them.

    Args:
        segmenters: as many threads are started; they stay their owner's to close.
        queue: how many requests may wait while all threads work.
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
        """Hold a place, and get a function that starts the one call that it is for.

        Cancel what that returns to give up: a call that has not begun is not made. One that has
        cannot be stopped, and keeps the place until it is over.

        Raises:
            Busy: if there is none.
        """
        if not self._places.acquire(blocking=False):
            raise Busy
        started: list[Future[Any]] = []

        def start(work: Callable[[Segmenter], T]) -> asyncio.Future[T]:
            call = self._threads.submit(self._with_segmenter, work)
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

    def _with_segmenter(self, work: Callable[[Segmenter], T]) -> T:
        segmenter = self._idle.get()
        try:
            return work(segmenter)
        finally:
            self._idle.put(segmenter)

    def close(self, seconds: float) -> bool:
        """Start no call any more; whether all were over within so many seconds."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        return not wait(set(self._calls), seconds).not_done
