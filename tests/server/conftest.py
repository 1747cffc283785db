"""The server in this process, for tests without a network, and as a separate process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from red_hands import red_segmenter

from handseg.pipeline.interface import Segmenter
from handseg.results import HandSegmentation
from handseg.server.app import create_app
from handseg.server.respond import Limits
from handseg.server.workers import Workers

PATIENT = Limits(timeout=600)
"""Limits for busy machines."""
RED_COMMAND = Path(__file__).parents[1] / "red_command.py"
Visit = Callable[..., TestClient]


@pytest.fixture
def visit() -> Iterator[Visit]:
    """Make an application around segmenters, and return a client."""
    with ExitStack() as stack:

        def visited(*segmenters: Segmenter, queue: int = 4, limits: Limits = PATIENT) -> TestClient:
            workers = Workers(segmenters or (red_segmenter(),), queue)
            stack.callback(workers.close, 10)
            return stack.enter_context(TestClient(create_app(workers, limits)))

        yield visited


class Gate:
    """A segmenter that blocks on each photo until it is opened."""

    def __init__(self) -> None:
        self.opened, self.entered = threading.Event(), threading.Semaphore(0)
        self._segmenter = red_segmenter()

    def segment(self, image: Any, **options: Any) -> HandSegmentation:
        self.entered.release()
        assert self.opened.wait(60)
        return self._segmenter.segment(image, **options)


@pytest.fixture
def gate() -> Iterator[Any]:
    made = Gate()
    yield made
    made.opened.set()


@dataclass(frozen=True)
class Server:
    """A running `handseg serve`."""

    url: str
    process: subprocess.Popen[str]

    def stop(self, signal: int) -> tuple[int, str]:
        """Send a signal, wait for the end, and return exit code and output."""
        self.process.send_signal(signal)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out + err


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start `handseg serve` at a free port and wait until it is ready; end it with the tests."""
    with ExitStack() as stack:

        def started(*options: str, command: Sequence[str], **variables: str) -> Server:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, *command, "serve", "--port", "0", *options],
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
                    | variables,
                    cwd=tmp_path_factory.mktemp("server"),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            # A timer thread, as reading a line has no timeout.
            limit = threading.Timer(300, process.kill)
            limit.start()
            assert process.stderr is not None
            line = process.stderr.readline()
            limit.cancel()
            found = re.search(r"http://\S+:\d+", line)
            assert found, line + process.stderr.read()
            return Server(found.group(), process)

        yield started


@pytest.fixture(scope="session")
def start_red(start: Callable[..., Server]) -> Callable[..., Server]:
    """Like `start`, with a segmenter that takes red for hands: see `red_command`."""

    def started(*options: str, **variables: str) -> Server:
        return start(*options, command=[str(RED_COMMAND)], **variables)

    return started


@pytest.fixture(scope="session")
def server(start: Callable[..., Server]) -> Server:
    """`handseg serve` with the bundled model, two photos at a time."""
    return start("--jobs", "2", "--timeout", "600", command=["-m", "handseg"])
