"""Run code in a separate interpreter, which is ended with its children if it hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


def run_alone(code: str, *arguments: object, timeout: float = 120) -> subprocess.CompletedProcess:
    """Run `code` and return the completed process, with its output as text.

    Raises:
        subprocess.TimeoutExpired: if it takes more than `timeout` seconds.
    """
    command = [sys.executable, "-c", code, *map(str, arguments)]
    paths = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def output_of(code: str, *arguments: object, timeout: float = 120) -> str:
    """Return the output of `code`, which must succeed and write nothing to stderr."""
    done = run_alone(code, *arguments, timeout=timeout)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
    assert done.stderr == ""
    return done.stdout.strip()
