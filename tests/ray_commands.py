"""Commands with `--ray` in separate processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import wait_for
from ray_actors import kill_an_actor

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: handseg[ray]")


def start(command: str, photos: Path, output: Path, *options: str) -> subprocess.Popen[str]:
    home = output.with_name("home")
    home.mkdir(exist_ok=True)
    (home / "ray_bootstrap_config.yaml").write_text("{}")  # As the guide says.
    return subprocess.Popen(
        [sys.executable, "-m", "handseg", command, str(photos), "--output", str(output),
         "--device", "cpu", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "HOME": str(home), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finish_though_an_actor_dies(run: subprocess.Popen[str], first: Path, kind: str) -> list[str]:
    """Kill an actor of the class `kind` once `first` exists; return the later output of `run`."""
    try:
        wait_for(first, run, 500)
        kill_an_actor(kind)
        return list(run.communicate(timeout=500))
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
