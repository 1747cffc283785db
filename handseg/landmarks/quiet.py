"""MediaPipe without its log: what it writes when it starts and ends helps nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from handseg.landmarks.landmarker import HandLandmarker


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
