"""`handseg annotate --ray`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import tree, wait_for
from ray_actors import kill_an_actor
from small_photos import BROKEN, save_small_photos
from typer.testing import CliRunner, Result

from handseg.cli import app

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: handseg[ray]")
PHOTOS = 40


def start(photos: Path, output: Path, *options: str) -> subprocess.Popen[str]:
    home = output.with_name("home")
    home.mkdir(exist_ok=True)
    (home / "ray_bootstrap_config.yaml").write_text("{}")  # As the guide says.
    return subprocess.Popen(
        [sys.executable, "-m", "handseg", "annotate", str(photos), "--output", str(output),
         "--device", "cpu", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "HOME": str(home), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@needs_ray
@pytest.mark.slow
def test_it_leaves_what_a_plain_run_leaves_though_an_actor_is_killed(tmp_path: Path) -> None:
    save_small_photos(tmp_path / "photos", PHOTOS)
    plain = start(tmp_path / "photos", tmp_path / "plain")
    out, err = plain.communicate(timeout=300)
    assert plain.returncode == 1, err
    expected = f"{PHOTOS - 1} done, 1 failed"
    assert expected in out

    shared = start(tmp_path / "photos", tmp_path / "shared", "--ray")
    try:
        wait_for(tmp_path / "shared" / "masks", shared, 500)
        kill_an_actor("AnnotateFrames")
        out, err = shared.communicate(timeout=500)
    finally:
        if shared.poll() is None:
            os.killpg(shared.pid, signal.SIGKILL)
            shared.wait()

    assert shared.returncode == 1, err
    assert expected in out
    assert f"{BROKEN:06d}.jpg is not an image" in err
    assert "Traceback" not in err
    assert tree(tmp_path / "shared") == tree(tmp_path / "plain")
    assert len(list((tmp_path / "shared" / "masks").iterdir())) == PHOTOS - 1


def refused(photos: Path, output: Path, *options: str) -> Result:
    arguments = ["annotate", str(photos), "--output", str(output), *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, done.output
    assert not output.exists()
    return done


def test_an_address_without_ray(photo_folder: Path, tmp_path: Path) -> None:
    done = refused(photo_folder / "images", tmp_path / "out", "--address", "10.0.0.1:6379")
    assert done.stderr == "Error: --address is for a Ray cluster: add --ray\n"


def test_not_with_another_launcher(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = refused(photo_folder / "images", tmp_path / "out", "--ray")
    assert "start it without torchrun" in done.stderr


def test_without_the_package(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = refused(photo_folder / "images", tmp_path / "out", "--ray")
    assert done.stderr == "Error: handseg annotate needs Ray: pip install 'handseg[ray]'\n"


@needs_ray
def test_a_cluster_that_does_not_answer(photo_folder: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:  # Bound, and nobody listens.
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = refused(photo_folder / "images", tmp_path / "out", "--ray", "--address", address)
    assert done.stderr.startswith(f"Error: no Ray cluster answers at {address}")
    assert "Traceback" not in done.stderr
