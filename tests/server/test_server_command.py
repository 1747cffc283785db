"""`handseg serve` as a command: how it starts, what it rejects, how it ends."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from own_process import run_alone
from test_server_limits import PHOTO, soon
from typer.testing import CliRunner

from handseg import __version__
from handseg.cli import app

Start = Callable[..., Any]


def test_it_is_ready_when_it_says_so(server: Any) -> None:
    answer = httpx.get(f"{server.url}/health", timeout=60)
    assert answer.json() == {"status": "ready", "version": __version__}
    assert server.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(start_red: Start, number: int) -> None:
    server = start_red()
    assert httpx.post(f"{server.url}/mask", files={"photo": PHOTO}, timeout=60).is_success
    code, said = server.stop(number)
    assert code == 0
    assert said.splitlines()[-1] == "Stopped."
    assert "Traceback" not in said
    assert "ERROR" not in said


@pytest.mark.parametrize(
    ("delay", "status", "told"),
    [("0.3", 200, ""), ("600", 503, '{"detail":"the server is shutting down"}')],
)
def test_what_has_begun_gets_some_time(
    start_red: Start, tmp_path: Path, delay: str, status: int, told: str
) -> None:
    log = tmp_path / "log.txt"
    server = start_red(RED_DELAY=delay, RED_LOG=str(log))
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(httpx.post, f"{server.url}/mask", files={"photo": PHOTO}, timeout=60)
        soon(log.exists)
        code, said = server.stop(signal.SIGTERM)
        answer = asked.result()
    assert answer.status_code == status
    assert not told or answer.text == told
    assert code == 0
    assert "Traceback" not in said


def test_a_photo_that_does_not_end_keeps_nobody_from_ending_it(
    start_red: Start, tmp_path: Path
) -> None:
    log = tmp_path / "log.txt"
    server = start_red("--timeout", "0.2", RED_DELAY="600", RED_LOG=str(log))
    answer = httpx.post(f"{server.url}/mask", files={"photo": PHOTO}, timeout=60)
    assert answer.status_code == 503
    code, said = server.stop(signal.SIGTERM)
    assert code == 0
    assert "Stopped; a photo was not finished." in said
    assert "Traceback" not in said


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(app, ["serve", "--port", port])
    assert done.exit_code == 2
    assert done.output.splitlines() == [
        f"Error: cannot listen at 127.0.0.1, port {port}: Address already in use; choose another "
        "--port"
    ]


def test_an_address_that_is_none() -> None:
    host = "a" * 70 + ".example"
    done = CliRunner().invoke(app, ["serve", "--host", host])
    assert done.exit_code == 2
    assert done.output.startswith(f"Error: --host {host}: ")
    assert len(done.output.splitlines()) == 1


def test_an_address_of_another_machine() -> None:
    done = CliRunner().invoke(app, ["serve", "--host", "192.0.2.1", "--port", "0"])
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    assert line.startswith("Error: cannot listen at 192.0.2.1, port 0: ")
    assert "--port" not in line


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn", "python_multipart"])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in [one for one in sys.modules if one.startswith("handseg.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    done = CliRunner().invoke(app, ["serve"])
    assert done.exit_code == 2
    (line,) = done.output.splitlines()
    assert line.startswith("Error: handseg serve needs ")
    assert line.endswith(": pip install 'handseg[serve]'")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--port", "65536"], "--port"),
        (["--jobs", "0"], "--jobs"),
        (["--queue", "-1"], "--queue"),
        (["--max-megapixels", "201"], "--max-megapixels"),
        (["--max-megapixels", "0"], "--max-megapixels must be a positive number, got 0"),
        (["--max-megabytes", "nan"], "--max-megabytes must be a positive number, got nan"),
        (["--timeout", "-1"], "--timeout must be a positive number, got -1"),
        (["--timeout", "inf"], "--timeout must be a positive number, got inf"),
        (["photo.jpg"], "photo.jpg"),
    ],
)
def test_wrong_options(options: list[str], told: str) -> None:
    done = CliRunner().invoke(app, ["serve", *options])
    assert done.exit_code == 2
    assert told in done.output


def test_a_model_that_is_missing() -> None:
    done = CliRunner().invoke(app, ["serve", "--port", "0", "--model", "./nothing"])
    assert done.exit_code == 2
    assert "nothing" in done.output
    assert len(done.output.splitlines()) == 1


def test_beyond_this_machine_it_says_who_can_reach_it(start_red: Start) -> None:
    server = start_red("--host", "0.0.0.0")
    port = server.url.rpartition(":")[2]
    assert httpx.get(f"http://127.0.0.1:{port}/health", timeout=60).is_success
    _, said = server.stop(signal.SIGTERM)
    assert f"Anyone who can reach 0.0.0.0, port {port}, can use this server." in said


def test_the_core_is_imported_without_it() -> None:
    code = """
import sys
import handseg.cli, handseg.api
handseg.segment, handseg.load_segmenter
print(sorted({"fastapi", "starlette", "uvicorn", "python_multipart"} & set(sys.modules)))
"""
    assert run_alone(code).stdout.strip() == "[]"
