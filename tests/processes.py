"""Wait for other processes, and read the files they leave."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 120) -> None:
    """Return when `path` exists or `process` has ended; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not path.exists() and process.poll() is None:
        assert time.monotonic() < end, f"{path} is not there after {seconds} s"
        time.sleep(0.005)


def tree(folder: Path) -> dict[str, bytes]:
    """Return all files of a run except the journal, which records which process did what."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".jsonl"
    }
