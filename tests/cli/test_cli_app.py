"""The command `handseg app`; the page itself is tested in tests/app."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from handseg.app.launch import VARIABLE, PageSettings
from handseg.cli import app
from handseg.cli.common import is_this_machine
from handseg.models.bundled import LITE

Start = Callable[..., tuple[list[str], PageSettings, Result]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Run the command; return the options for Streamlit and the page's settings."""
    monkeypatch.setenv(VARIABLE, "{}")
    told: list[list[str]] = []
    monkeypatch.setattr("streamlit.web.cli.main", lambda arguments, **_: told.append(arguments))

    def started(arguments: str = "") -> tuple[list[str], PageSettings, Result]:
        done = CliRunner().invoke(app, ["app", *arguments.split()])
        assert done.exit_code == 0, done.output
        return told.pop(), PageSettings.from_environment(), done

    return started


def test_by_default_it_is_for_this_machine_alone(start: Start) -> None:
    told, page, done = start()
    assert told[0] == "run"
    assert Path(told[1]).name == "page.py"
    assert Path(told[1]).is_file()
    assert {"--server.address=127.0.0.1", "--server.port=8501"} <= set(told)
    assert {"--server.headless=false", "--browser.gatherUsageStats=false"} <= set(told)
    assert "--logger.hideWelcomeMessage=true" in told
    assert page == PageSettings(models=(LITE,), own_models=True)
    assert not done.output


def test_options_are_passed_on(start: Start) -> None:
    told, page, _ = start(
        "--model one --model other --adapter runs/mine --recipe r.yaml --device cpu "
        "--port 9000 --no-browser --max-photos 3 --max-megabytes 7"
    )
    assert {"--server.port=9000", "--server.headless=true", "--server.maxUploadSize=7"} <= set(told)
    assert page == PageSettings(
        ("one", "other"), "runs/mine", "r.yaml", "cpu", True, max_photos=3, max_megabytes=7
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_beyond_this_machine_visitors_bring_no_models(start: Start, host: str) -> None:
    told, page, done = start(f"--host {host}")
    assert f"--server.address={host}" in told
    assert not page.own_models
    assert f"can reach {host}, port 8501" in done.output


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *[(host, True) for host in ("localhost", "127.0.0.1", "127.8.9.1", "::1")],
        *[(host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", "", "127.0.0")],
    ],
)
def test_is_this_machine(host: str, expected: bool) -> None:
    assert is_this_machine(host) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "0"],
        ["--port", "65536"],
        ["--port", "many"],
        ["--max-photos", "0"],
        ["photo.jpg"],
    ],
)
def test_wrong_options(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["app", *arguments])
    assert done.exit_code == 2
    assert arguments[0] in done.output


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "streamlit", None)
    done = CliRunner().invoke(app, ["app"])
    assert done.exit_code == 2
    assert "the page needs streamlit: pip install 'handseg[app]'" in done.output


@pytest.mark.slow
def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "handseg", "app", "--no-browser", "--port", port],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
    assert done.returncode != 0
    assert port in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_what_is_printed_is_where_the_page_is_and_nothing_of_streamlit_s(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    # With a browser, as Streamlit makes recommendations only to users who seem to be local.
    process = subprocess.Popen(
        [sys.executable, "-m", "handseg", "app", "--port", port],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"BROWSER": "true", "HOME": str(tmp_path)},
    )
    with process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            # Any later output would have been printed by the time the page answers.
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=60).close()
        finally:
            process.terminate()
        rest = process.stdout.read()
    assert first == f"The page is at http://127.0.0.1:{port}. Press Ctrl-C to stop.\n"
    assert rest.strip() in ("", "Stopping...")


words = st.text(max_size=9)


@given(
    st.builds(
        PageSettings,
        st.lists(words, min_size=1).map(tuple),
        *[words] * 3,
        st.booleans(),
        *[st.integers(1)] * 3,
    )
)
def test_settings_reach_the_page_unchanged(settings: PageSettings) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.to_environment().items():
            patch.setenv(name, value)
        assert PageSettings.from_environment() == settings


def test_settings_without_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert PageSettings.from_environment() == PageSettings()
