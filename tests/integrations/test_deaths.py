"""A worker that dies on photos and is restarted."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from own_process import run_alone

from handseg.errors import ClusterError
from handseg.integrations.deaths import MOST, Deaths


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def die_over(photo: bytes) -> None:
    code = f"""
import os, signal
from handseg.integrations.deaths import Deaths
deaths = Deaths("worker")
with deaths.risk(b"good"):
    pass
with deaths.risk({photo!r}):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run_alone(code).returncode == -9


def test_a_photo_over_which_workers_die_is_given_up(folder: Path) -> None:
    for _ in range(MOST - 1):
        die_over(b"deadly")
        with Deaths("worker").risk(b"deadly"):  # So far, it may be chance.
            pass
    die_over(b"deadly")

    deaths = Deaths("worker")
    with pytest.raises(ClusterError, match="died 3 times"), deaths.risk(b"deadly"):
        pytest.fail("tried again")
    with deaths.risk(b"good"), Deaths("other").risk(b"deadly"):
        pass


def test_nothing_is_left_where_nobody_died(folder: Path) -> None:
    deaths = Deaths("worker")

    def fail() -> None:
        with deaths.risk(b"photo"):
            assert list(folder.iterdir())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not list(folder.iterdir())
