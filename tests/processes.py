"""Waiting for what other processes do."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 120) -> None:
    """Return when `path` is there or `process` has ended; fail after too long a time."""
    end = time.monotonic() + seconds
    while not path.exists() and process.poll() is None:
        assert time.monotonic() < end, f"{path} is not there after {seconds} s"
        time.sleep(0.005)
