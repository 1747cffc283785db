"""`handseg annotate --ray`."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from processes import tree
from ray_commands import finish_though_an_actor_dies, needs_ray, start
from small_photos import BROKEN, save_small_photos
from typer.testing import CliRunner, Result

from handseg.cli import app

PHOTOS = 40


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "first"), [([], "masks"), (["--shard-size", "5"], "000001.tar")]
)
def test_it_leaves_what_a_plain_run_leaves_though_an_actor_is_killed(
    tmp_path: Path, options: list[str], first: str
) -> None:
    save_small_photos(tmp_path / "photos", PHOTOS)
    plain = start("annotate", tmp_path / "photos", tmp_path / "plain", *options)
    out, err = plain.communicate(timeout=300)
    assert plain.returncode == 1, err
    expected = f"{PHOTOS - 1} done, 1 failed"
    assert expected in out

    output = tmp_path / "shared"
    shared = start("annotate", tmp_path / "photos", output, "--ray", *options)
    out, err = finish_though_an_actor_dies(shared, output / first, "AnnotateFrames")

    assert shared.returncode == 1, err
    assert expected in out
    assert f"{BROKEN:06d}.jpg is not an image" in err
    assert "Traceback" not in err
    assert tree(output) == tree(tmp_path / "plain")


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
    with socket.socket() as taken:  # Bound, but not listening.
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = refused(photo_folder / "images", tmp_path / "out", "--ray", "--address", address)
    assert done.stderr.startswith(f"Error: no Ray cluster answers at {address}")
    assert "Traceback" not in done.stderr
