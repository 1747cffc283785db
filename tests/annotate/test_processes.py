"""Runs shared by real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import tree
from red_hands import save_photo

pytestmark = pytest.mark.slow

MAIN = [str(Path(__file__).parents[1] / "red_command.py"), "annotate"]
ALONE = [sys.executable, *MAIN]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
OPTIONS = ["--sequence", "--device", "cpu"]
PHOTOS = 11


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(PHOTOS - 1):
        save_photo(folder / f"p{number}.png", (40 + 8 * number, 60, 30, 20))
    (folder / "bad.png").write_bytes(b"no photo")
    return folder


def command(launcher: list[str], photos: Path, output: Path) -> list[str]:
    return [*launcher, str(photos), "--output", str(output), *OPTIONS]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def finish(launcher: list[str], photos: Path, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(launcher, photos, output),
        capture_output=True, text=True, check=False, env=environment(), timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of an undisturbed run with a single process."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    done = finish(ALONE, photos, output)
    assert done.returncode == 1, done.stderr
    assert "10 done, 1 failed" in done.stdout
    assert "Traceback" not in done.stderr
    left = tree(output)
    assert sum(name.startswith("frames/") for name in left) == PHOTOS - 1
    return left


def test_two_processes_leave_what_one_does(
    photos: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    done = finish([*TORCHRUN, *MAIN], photos, tmp_path / "out")
    assert done.returncode == 1, done.stderr  # because of the unreadable photo
    assert "10 done, 1 failed" in done.stdout
    assert done.stdout.count(" done, ") == 1
    assert tree(tmp_path / "out") == undisturbed


def test_bundled_weights_in_two_processes(photo_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(photo_folder / "images", tmp_path / "in")
    arguments = [str(tmp_path / "in"), "--review", "--device", "cpu"]
    for launcher, name in (([sys.executable], "one"), (TORCHRUN, "two")):
        done = subprocess.run(
            [*launcher, "-m", "handseg.annotate", *arguments, "--output", str(tmp_path / name)],
            capture_output=True, text=True, check=False, env=environment(), timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "4 done" in done.stdout
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
