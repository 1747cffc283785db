from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from handseg.runtime import threads


def cores_with(monkeypatch: pytest.MonkeyPatch, folder: Path, allowed: int) -> int:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(allowed)), raising=False)
    monkeypatch.setattr(threads, "_CGROUP_LIMIT", folder / "cpu.max")
    monkeypatch.setattr(threads, "_CGROUP_V1", folder)
    return threads.available_cores()


@pytest.mark.parametrize(
    ("files", "allowed", "expected"),
    [
        ({}, 6, 6),
        ({"cpu.max": "max 100000\n"}, 6, 6),
        ({"cpu.max": "250000 100000\n"}, 6, 2),
        ({"cpu.max": "50000 100000\n"}, 6, 1),
        ({"cpu.max": "900000 100000\n"}, 6, 6),
        ({"cpu.cfs_quota_us": "300000\n", "cpu.cfs_period_us": "100000\n"}, 6, 3),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, 6, 6),
    ],
)
def test_cores_are_those_that_affinity_and_container_leave(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    files: dict[str, str],
    allowed: int,
    expected: int,
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert cores_with(monkeypatch, tmp_path, allowed) == expected


def test_limit_holds_for_opencv_models_and_torch_imported_later() -> None:
    code = (
        "import os; os.environ.pop('OMP_NUM_THREADS', None)\n"
        "import cv2; from handseg.runtime.threads import limit_threads, thread_limit\n"
        "limit_threads(1); import torch\n"
        "print(cv2.getNumThreads(), thread_limit(), torch.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1", "1"]


def test_one_opencv_thread_is_for_a_while() -> None:
    code = (
        "import cv2; from handseg.runtime.threads import limit_worker, one_opencv_thread\n"
        "cv2.setNumThreads(3)\n"
        "with one_opencv_thread(): print(cv2.getNumThreads())\n"
        "print(cv2.getNumThreads())\n"
        "limit_worker(0); print(cv2.getNumThreads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "3", "1"]
