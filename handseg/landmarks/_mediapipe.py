"""MediaPipe without the parts that no hand needs, and without its log."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

_PUT_OFF = frozenset(
    "mediapipe.tasks.python." + part
    for part in ("audio", "retrieval", "text", "vision.drawing_styles", "vision.drawing_utils")
)
_lock = Lock()


class _PuttingOff(MetaPathFinder):
    """Finds the modules of `_PUT_OFF`, to be run when something of them is first asked for."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in _PUT_OFF:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def import_mediapipe() -> ModuleType:
    """The package `mediapipe`, imported in a tenth of the time that `import mediapipe` takes.

    That imports matplotlib for its drawings and sounddevice for its audio tasks. Here these parts
    are loaded by the standard library's `LazyLoader`: they are there for whoever uses them later,
    and load then.
    """
    with _lock:
        finder = _PuttingOff()
        sys.meta_path.insert(0, finder)
        try:
            import mediapipe
        finally:
            sys.meta_path.remove(finder)
    return mediapipe


@contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Send what native code writes to stderr nowhere."""
    try:
        saved = os.dup(2)
    except OSError:  # It is closed, and so already silent.
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
