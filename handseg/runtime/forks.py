"""Support for forked processes, which lack their parent's threads and the locks these hold."""

from __future__ import annotations

# Their hooks take locks before a fork, and calls that a fork waits for may need these locks. So the
# hook below must run first, and is registered after theirs.
import concurrent.futures.thread  # noqa: F401
import ctypes
import logging  # noqa: F401
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

_numbers = count()
_calls: dict[int, tuple[weakref.ref[Any], Callable[[Any], None]]] = {}


def in_forked_child(owner: T, call: Callable[[T], None]) -> None:
    """Call `call(owner)` in each process that is forked from this one while `owner` lives.

    Processes of multiprocessing's "spawn" and "forkserver" start without it.
    """
    number = next(_numbers)
    _calls[number] = weakref.ref(owner), call
    weakref.finalize(owner, _calls.pop, number).atexit = False


def never_free(thing: object) -> None:
    """Keep `thing` until the process ends, because freeing it would wait for lost threads."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


class Mutex:
    """A lock that is free in copies and in forked children, whoever held it. Not reentrant."""

    def __init__(self) -> None:
        self._open()
        in_forked_child(self, Mutex._open)

    def _open(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[Any, ...]:
        return Mutex, ()


class _Gate:
    """Admits calls of native code, or one fork."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._calls = 0
        self._forking = False
        self._mine = threading.local()

    @contextmanager
    def call(self) -> Iterator[None]:
        if getattr(self._mine, "inside", False):  # Garbage collected during a call.
            yield
            return
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._calls += 1
        self._mine.inside = True
        try:
            yield
        finally:
            self._mine.inside = False
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._forking = True
            self._changed.wait_for(lambda: self._calls == 0)

    def open(self) -> None:
        with self._changed:
            self._forking = False
            self._changed.notify_all()


_gate = _Gate()


def forks_wait() -> AbstractContextManager[None]:
    """Make forks wait for the end of this block, and the block for the end of forks.

    For calls of native code with its own locks, such as those of OpenCV's threads: a lock that
    another thread holds during a fork stays locked in the child. The block must not wait for
    another thread.
    """
    return _gate.call()


def _begin_child() -> None:
    global _gate
    _gate = _Gate()
    for owner, call in list(_calls.values()):
        if (living := owner()) is not None:
            call(living)


if hasattr(os, "register_at_fork"):  # Windows does not fork.
    os.register_at_fork(
        before=lambda: _gate.close(),
        after_in_parent=lambda: _gate.open(),
        after_in_child=_begin_child,
    )
