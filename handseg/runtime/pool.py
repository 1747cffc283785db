"""Map a function over items on several threads: in order, lazily, a few at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Items per job that are queued, running or done: limits how many results pile up, and keeps a
thread that finishes early busy."""


def map_bounded(
    function: Callable[[T], R], items: Iterable[T], jobs: int
) -> Generator[tuple[T, Future[R]], None, None]:
    """Call `function` with each of `items` on `jobs` threads; with one, on the caller's.

    Items are taken as needed, at most `AHEAD * jobs` ahead of the one yielded. Close the generator
    to stop early: it waits for calls that have begun, and cancels the others. On Ctrl-C, it yields
    the calls that have begun before it raises.

    Yields:
        Each item in order with its finished call: `result()` returns or raises what the function
        did.

    Raises:
        ValueError: if `jobs` is not positive.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    return _inline(function, items) if jobs == 1 else _threaded(function, items, jobs)


def call_now(function: Callable[[T], R], item: T) -> Future[R]:
    """Call `function` with `item`; return the finished call, as `map_bounded` yields it."""
    call: Future[R] = Future()
    try:
        call.set_result(function(item))
    except Exception as error:
        call.set_exception(error)
    return call


def _inline(
    function: Callable[[T], R], items: Iterable[T]
) -> Generator[tuple[T, Future[R]], None, None]:
    for item in items:
        yield item, call_now(function, item)


def _threaded(
    function: Callable[[T], R], items: Iterable[T], jobs: int
) -> Generator[tuple[T, Future[R]], None, None]:
    rest = iter(items)
    begun: deque[tuple[T, Future[R]]] = deque()
    pool = ThreadPoolExecutor(jobs)
    try:
        try:
            while True:
                for item in islice(rest, AHEAD * jobs - len(begun)):
                    begun.append((item, pool.submit(function, item)))
                if not begun:
                    return
                wait([begun[0][1]])
                yield begun.popleft()
        except KeyboardInterrupt:
            for item, call in [pair for pair in begun if not pair[1].cancel()]:
                wait([call])
                yield item, call
            raise
    finally:
        pool.shutdown(cancel_futures=True)
