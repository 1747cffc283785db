"""How many cores there are, and how many threads the work on one photo may take."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")

_limit: int | None = None


def available_cores() -> int:
    """The cores that this process may use: by its affinity, and by a container's CPU limit."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _container_limit() or cores))


def _container_limit() -> int | None:
    """The CPU time that the process's control group grants it, in whole cores, at least 1."""
    try:
        if _CGROUP_LIMIT.exists():
            quota, period = _CGROUP_LIMIT.read_text().split()
        else:
            quota = (_CGROUP_V1 / "cpu.cfs_quota_us").read_text()
            period = (_CGROUP_V1 / "cpu.cfs_period_us").read_text()
        return max(1, int(quota) // int(period)) if int(quota) > 0 else None
    except (OSError, ValueError):  # No such files, or "max": no limit.
        return None


def limit_threads(count: int) -> None:
    """Have OpenCV, torch and models loaded from now on take at most `count` threads a call.

    For work on several photos at once, where a thread for each photo keeps the cores busy. Call it
    before a model is loaded. MediaPipe cannot be told.
    """
    global _limit
    _limit = count
    cv2.setNumThreads(min(count, cv2.getNumThreads()))
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(min(count, torch.get_num_threads()))
    else:  # It reads this when it is imported.
        os.environ.setdefault("OMP_NUM_THREADS", str(count))


def limit_worker(number: int) -> None:
    """One OpenCV thread in this process: as `worker_init_fn` of torch's data loaders.

    More would compete with the training process and with the other workers for the cores. `number`
    is the worker's, and does not matter.
    """
    cv2.setNumThreads(1)


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Have OpenCV work in the caller's thread alone, and afterwards as before."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def thread_limit() -> int | None:
    """What `limit_threads` was last told, for models that are given their threads when loaded."""
    return _limit
