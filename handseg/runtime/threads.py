"""Number of available cores, and limits on the threads for one photo."""

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
    """Number of cores this process may use, by its affinity and a container's CPU limit."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _container_limit() or cores))


def _container_limit() -> int | None:
    """CPU limit of the process's control group in whole cores, at least 1; None if unlimited."""
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
    """Limit OpenCV, torch and models loaded from now on to `count` threads per call.

    For work on several photos at once, where one thread per photo keeps the cores busy. Call it
    before loading a model. MediaPipe cannot be limited.
    """
    global _limit
    _limit = count
    cv2.setNumThreads(min(count, cv2.getNumThreads()))
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(min(count, torch.get_num_threads()))
    else:  # torch reads this when it is imported.
        os.environ.setdefault("OMP_NUM_THREADS", str(count))


def limit_worker(number: int) -> None:
    """Limit OpenCV to one thread in this process, as `worker_init_fn` of torch's data loaders.

    More threads would compete for the cores with the training process and the other workers.
    `number`, the worker's, is not used.
    """
    cv2.setNumThreads(1)


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Run OpenCV only in the caller's thread within the block."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def thread_limit() -> int | None:
    """The last count of `limit_threads`, for models whose threads are set when they are loaded."""
    return _limit
