"""Find and kill the processes of Ray's actors."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handseg.results import HandSegmentation


def kill_an_actor(kind: str = "SegmentHands") -> str:
    """End a busy actor of this class with SIGKILL; return its process title."""
    idle = f"ray::MapWorker(MapBatches({kind}))".encode()  # The current task follows, if any.
    end = time.monotonic() + 300
    while time.monotonic() < end:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                title = (folder / "cmdline").read_bytes().strip(b"\0 ")
                if (
                    title.startswith(idle)
                    and title.endswith(b".submit")
                    and is_ours(int(folder.name))
                ):
                    os.kill(int(folder.name), signal.SIGKILL)
                    return title.decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
        time.sleep(0.01)
    raise TimeoutError("no actor is at work")


def is_ours(process: int) -> bool:
    """Whether `process` is a descendant of this process."""
    while process > 1:
        if process == os.getpid():
            return True
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return False


@dataclass(frozen=True)
class Deadly:
    """A segmenter that finds nothing, and whose process dies on one photo."""

    photo: str

    def segment(self, image: Any, **_: Any) -> HandSegmentation:
        if image == self.photo:
            os.kill(os.getpid(), signal.SIGKILL)
        return HandSegmentation(np.zeros((9, 9, 3), np.uint8))
