"""Every long command resumes after a kill at any point, with the results of an undisturbed run."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from long_commands import COMMANDS, Command, make_inputs
from PIL import Image
from safetensors.numpy import load_file

from handseg.runtime.files import find_unfinished

pytestmark = pytest.mark.slow

HALF_LINE = '["p0", {"file": "in/p'
SHARED = ("segment, 3 jobs", "annotate")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, photo_folder: Path) -> Path:
    root = tmp_path_factory.mktemp("data")
    make_inputs(root, photo_folder)
    return root


@pytest.fixture
def command(request: pytest.FixtureRequest, data: Path) -> Command:
    if request.param == "rendered" and importlib.util.find_spec("bpy") is None:
        pytest.skip("Blender is not installed")
    return COMMANDS[request.param](data)


def results(output: Path) -> dict[str, object]:
    """Return all results of a run except records of when and by which process they were made."""
    found: dict[str, object] = {}
    for path in sorted(output.rglob("*")):
        name = path.relative_to(output).as_posix()
        passing = path.suffix == ".jsonl" or path.name.startswith(".")
        if not path.is_file() or passing or name.startswith(("logs/", "cache/")):
            continue
        if path.suffix == ".safetensors":
            found[name] = {key: value.tobytes() for key, value in load_file(path).items()}
        elif path.name == "custom_checkpoint_0.pkl":
            found[name] = torch.load(path, weights_only=True)
        elif path.suffix not in (".pkl", ".bin"):
            found[name] = path.read_bytes().replace(str(output).encode(), b"")
    return found


def alike(one: Path, other: Path) -> bool:
    if one.suffix != ".jpg":
        return False
    pixels = [np.asarray(Image.open(path), int) for path in (one, other)]
    return bool(np.abs(pixels[0] - pixels[1]).mean() < 1)


def until(condition: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 300
    while not condition() and run.poll() is None:
        assert time.monotonic() < limit
        time.sleep(0.005)


@pytest.fixture
def ended() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are killed at the end, whatever the test's outcome."""
    runs: list[subprocess.Popen[str]] = []
    yield runs
    for run in runs:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate()


@pytest.mark.parametrize("command", COMMANDS, indirect=True)
def test_a_killed_run_resumes(
    command: Command, tmp_path: Path, ended: list[subprocess.Popen[str]]
) -> None:
    whole, killed = tmp_path / "whole" / "out", tmp_path / "killed" / "out"
    command.finish(whole)
    before: set[str] = set()
    for _ in range(2 if command.picture else 1):
        run = command.start(killed, **command.environment)
        ended.append(run)
        least = len(before) + 2 if command.picture else 1
        until(lambda least=least: len(command.done(killed)) >= least, run)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        assert run.returncode == -signal.SIGKILL, "it was over before it could be killed"
        assert before < command.done(killed)
        before = command.done(killed)
        if command.journal:
            with max((killed / command.journal).glob("*.jsonl")).open("a") as file:
                file.write(HALF_LINE)
    (killed / f".{32 * 'a'}.png").write_bytes(b"half")
    pictures = [killed / command.picture.format(name) for name in before if command.picture]
    times = {path: path.stat().st_mtime_ns for path in pictures if path.exists()}
    text = command.finish(killed)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    ours, theirs = results(killed), results(whole)
    assert ours.keys() == theirs.keys()
    differing = [name for name in theirs if ours[name] != theirs[name]]
    if not command.exact:
        differing = [name for name in differing if not alike(killed / name, whole / name)]
    assert differing == []
    assert not (killed / "all.json.journal").exists()
    if command.picture and (killed / "run").is_dir():
        assert not find_unfinished(killed)
    if command.journal:
        assert len(times) == len(before)
        assert f"{len(before)} " in text
    if not command.picture:
        assert "going on after" in text
        assert "epoch 1 " not in text
        assert any(np.any(np.frombuffer(value, np.uint8)) for value in weights(theirs))


def weights(found: dict[str, object]) -> list[bytes]:
    tensors = found["adapter_model.safetensors"]
    assert isinstance(tensors, dict)
    return [value for name, value in tensors.items() if "lora_B" in name]


@pytest.mark.parametrize("command", SHARED, indirect=True)
def test_a_process_that_dies_holds_up_no_other(
    command: Command, tmp_path: Path, ended: list[subprocess.Popen[str]]
) -> None:
    """Two of a launcher that does not end all: the other does its share, a new one the rest."""
    whole, shared = tmp_path / "whole" / "out", tmp_path / "shared" / "out"
    command.finish(whole)
    slow = command.environment | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    both = [command.start(shared, RANK=str(n), LOCAL_RANK=str(n), **slow) for n in range(2)]
    ended += both
    until(lambda: len(command.done(shared)) >= 3, both[0])
    os.killpg(both[0].pid, signal.SIGKILL)
    _, err = both[1].communicate(timeout=120)
    assert both[1].returncode == 0, err
    done = command.done(shared)
    assert 6 <= len(done) < 12
    assert not (shared / "coco.json").exists()
    text = command.finish(shared)
    assert f"{len(done)} " in text
    assert results(shared) == results(whole)
