"""Runs that are shared, killed and taken up again, all in real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from red_hands import save_photo

pytestmark = pytest.mark.slow

MAIN = str(Path(__file__).parent / "red_main.py")
ALONE = [sys.executable, MAIN]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
OPTIONS = ["--shard-size", "3", "--sequence", "--device", "cpu"]
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


def environment(**values: str) -> dict[str, str]:
    return {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", **values}


def finish(launcher: list[str], photos: Path, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(launcher, photos, output),
        capture_output=True, text=True, check=False, env=environment(), timeout=300,
    )  # fmt: skip


def tree(folder: Path) -> dict[str, bytes]:
    """All that a run leaves behind, but for locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def undisturbed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process leaves that nobody disturbs."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    done = finish(ALONE, photos, output)
    assert done.returncode == 1, done.stderr
    assert "10 done, 1 failed" in done.stdout
    assert "Traceback" not in done.stderr
    left = tree(output)
    assert sum(name.startswith("frames/") for name in left) == PHOTOS - 1
    assert not [name for name in left if "partial" in name]
    return left


Start = Callable[[list[str], Path], subprocess.Popen[bytes]]


@pytest.fixture
def start(photos: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a slow run in a process group of its own; whatever still runs is ended."""
    (tmp_path / "pids").mkdir()
    started: list[subprocess.Popen[bytes]] = []

    def begin(launcher: list[str], output: Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command(launcher, photos, output),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env=environment(RED_SECONDS="0.4", RED_PIDS=str(tmp_path / "pids")),
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(folder: Path, workers: int) -> list[int]:
    """The processes that work, once there are so many."""
    limit = time.monotonic() + 120
    while len(pids := [int(path.name) for path in folder.iterdir()]) < workers:
        assert time.monotonic() < limit
        time.sleep(0.05)
    return pids


def test_two_processes_leave_what_one_does(
    photos: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    done = finish([*TORCHRUN, MAIN], photos, tmp_path / "out")
    assert done.returncode == 1, done.stderr  # of the photo that cannot be read
    assert "10 done, 1 failed" in done.stdout
    assert done.stdout.count(" done, ") == 1
    assert tree(tmp_path / "out") == undisturbed


def test_a_killed_process_costs_nothing_but_its_photo(
    photos: Path, undisturbed: dict[str, bytes], tmp_path: Path, start: Start
) -> None:
    output = tmp_path / "out"
    run = start([*TORCHRUN, MAIN], output)
    pids = wait_for(tmp_path / "pids", workers=2)
    os.kill(pids[0], signal.SIGKILL)
    assert run.wait(timeout=120) != 0
    partial = list((output / "shards").glob("*.partial"))
    assert partial
    assert not (output / "coco.json").exists()
    begun = sum(path.read_bytes().count(b"\n") for path in partial)
    assert begun >= 1
    done = finish([*TORCHRUN, MAIN], photos, output)
    assert "of them before" in done.stdout
    assert tree(output) == undisturbed


def test_a_run_that_is_killed_as_a_whole_goes_on(
    photos: Path, undisturbed: dict[str, bytes], tmp_path: Path, start: Start
) -> None:
    output = tmp_path / "out"
    for workers in (1, 2):
        run = start(ALONE, output)
        wait_for(tmp_path / "pids", workers)
        time.sleep(0.3 * workers)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    # What a process leaves that dies while it writes a file.
    (output / "masks" / f".{32 * 'a'}.png").write_bytes(b"half")
    assert "of them before" in finish(ALONE, photos, output).stdout
    assert tree(output) == undisturbed


def test_runs_that_know_nothing_of_each_other_share_the_work(
    undisturbed: dict[str, bytes], tmp_path: Path, start: Start
) -> None:
    output = tmp_path / "out"
    first = start(ALONE, output)
    wait_for(tmp_path / "pids", workers=1)
    second = start(ALONE, output)
    wait_for(tmp_path / "pids", workers=2)
    # The second one takes over what the first had begun.
    os.killpg(first.pid, signal.SIGKILL)
    assert second.wait(timeout=120) == 1
    assert tree(output) == undisturbed


def test_bundled_weights_in_two_processes(photo_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(photo_folder / "images", tmp_path / "in")
    arguments = [str(tmp_path / "in"), "--review", "--shard-size", "1", "--device", "cpu"]
    for launcher, name in (([sys.executable], "one"), (TORCHRUN, "two")):
        done = subprocess.run(
            [*launcher, "-m", "handseg.annotate", *arguments, "--output", str(tmp_path / name)],
            capture_output=True, text=True, check=False, env=environment(), timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "4 done" in done.stdout
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
