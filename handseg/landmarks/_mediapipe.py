"""MediaPipe without its log and the parts that hand landmarks do not need."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from threading import RLock
from types import ModuleType
from typing import IO, Any

from handseg.runtime.forks import Mutex, in_forked_child

_PUT_OFF = frozenset(
    "mediapipe.tasks.python." + part
    for part in ("audio", "retrieval", "text", "vision.drawing_styles", "vision.drawing_utils")
)
_CHATTER = re.compile(
    rb"(INFO: )*(\[\w+\.cc:\d+\] |Created TensorFlow Lite |$)"
    rb"|WARNING: (All log messages|Logging) before "
    rb"|[IW]0000 00:00:"
)
"""Log lines of TensorFlow Lite and Abseil below the error level. TensorFlow Lite writes a line in
parts, which its threads interleave."""
_importing = Mutex()


class _PuttingOff(MetaPathFinder):
    """Finds the modules of `_PUT_OFF` and defers running them until their first use."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in _PUT_OFF:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def import_mediapipe() -> ModuleType:
    """Import the package `mediapipe` in a tenth of the time that `import mediapipe` takes.

    The plain import loads matplotlib for drawings and sounddevice for audio tasks. Here the
    standard library's `LazyLoader` defers these parts until their first use.
    """
    with _importing:
        finder = _PuttingOff()
        sys.meta_path.insert(0, finder)
        try:
            import mediapipe
        finally:
            sys.meta_path.remove(finder)
    return mediapipe


@contextmanager
def without_chatter() -> Iterator[None]:
    """Keep MediaPipe's log off stderr; everything else written there appears at the end.

    Its libraries write to stderr's file descriptor when they are loaded, at the first picture and
    when they are freed. They ignore log levels in the environment, and their C interface can copy
    messages but not stop them. Blocks of several threads may overlap.
    """
    _stderr.divert()
    try:
        yield
    finally:
        _stderr.restore()


class _Stderr:
    """File descriptor 2, redirected to a file while at least one block is active."""

    def __init__(self) -> None:
        self._begin()
        in_forked_child(self, _Stderr._begin_child)

    def _begin(self) -> None:
        # Reentrant: in a block, Python may collect garbage that frees graphs.
        self._lock = RLock()
        self._blocks = 0
        self._diverted: tuple[int, IO[bytes]] | None = None

    def _begin_child(self) -> None:
        if self._diverted is not None:
            os.dup2(self._diverted[0], 2)
        self._begin()

    def divert(self) -> None:
        with self._lock:
            # Fails if there is no stderr to keep clean, or no file can be created.
            if self._blocks == 0:
                with suppress(OSError):
                    file = tempfile.TemporaryFile()  # noqa: SIM115
                    saved = os.dup(2)
                    if sys.stderr is not None:
                        sys.stderr.flush()
                    os.dup2(file.fileno(), 2)
                    self._diverted = saved, file
            self._blocks += 1

    def restore(self) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks or self._diverted is None:
                return
            (saved, file), self._diverted = self._diverted, None
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            with file:
                file.seek(0)
                lines = [one for one in file if b"ERROR" in one or not _CHATTER.match(one)]
            if lines:
                os.write(2, b"".join(lines))


_stderr = _Stderr()
