"""`handseg segment --ray`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from processes import tree
from ray_commands import finish_though_an_actor_dies, needs_ray, start
from small_photos import BROKEN, save_small_photos
from typer.testing import CliRunner

from handseg.cli import app

PHOTOS = 40
EXPECTED = f"{PHOTOS - 1} done"


def results(folder: Path) -> dict[str, bytes]:
    """Return all files except those that a killed actor was writing."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@needs_ray
@pytest.mark.slow
def test_it_leaves_what_a_plain_run_leaves_though_an_actor_is_killed(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    save_small_photos(photos, PHOTOS)
    plain, shared = tmp_path / "plain", tmp_path / "shared"
    run = start("segment", photos, plain, "--mask", "--json", str(plain / "all.json"))
    out, err = run.communicate(timeout=300)
    assert run.returncode == 1, err
    assert EXPECTED in out

    options = ["--mask", "--json", str(shared / "all.json"), "--ray"]
    run = start("segment", photos, shared, *options)
    first = shared / "all.json.journal"
    out, err = finish_though_an_actor_dies(run, first, "SegmentPhotos")
    assert run.returncode == 1, err
    assert EXPECTED in out
    assert "1 failed" in out
    assert f"{BROKEN:06d}.jpg is not an image" in err
    assert "Traceback" not in err
    assert results(shared) == results(plain)
    assert len(list(shared.glob("*_mask.png"))) == PHOTOS - 1


@needs_ray
@pytest.mark.slow
def test_shards_are_those_of_a_plain_run_though_an_actor_is_killed(tmp_path: Path) -> None:
    save_small_photos(tmp_path / "photos", PHOTOS)
    plain, shared = tmp_path / "plain", tmp_path / "shared"
    options = ["--mask", "--shard-size", "5"]
    run = start("segment", tmp_path / "photos", plain, *options)
    out, err = run.communicate(timeout=300)
    assert run.returncode == 1, err
    assert EXPECTED in out

    run = start("segment", tmp_path / "photos", shared, *options, "--ray")
    out, err = finish_though_an_actor_dies(run, shared / "000001.tar", "FillShards")
    assert run.returncode == 1, err
    assert EXPECTED in out
    assert "1 failed" in out
    assert f"{BROKEN:06d}.jpg is not an image" in err
    assert "Traceback" not in err
    assert tree(shared) == tree(plain)


def refusal(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, ["segment", *map(str, arguments)])
    assert done.exit_code == 2, done.output
    return done.stderr


def test_an_address_without_ray(photo_folder: Path, tmp_path: Path) -> None:
    arguments = [photo_folder / "images", "-o", tmp_path / "out", "--address", "10.0.0.1:6379"]
    assert refusal(*arguments) == "Error: --address is for a Ray cluster: add --ray\n"
    assert not (tmp_path / "out").exists()


def test_not_on_standard_input_or_output(photo_folder: Path, tmp_path: Path) -> None:
    photo = next((photo_folder / "images").iterdir())
    for arguments in (["-", "-o", tmp_path / "out"], [photo, "-o", "-"]):
        assert refusal(*arguments, "--ray") == 'Error: --ray is for files: leave out --ray or "-"\n'


def test_not_with_jobs(photo_folder: Path, tmp_path: Path) -> None:
    arguments = [photo_folder / "images", "-o", tmp_path / "out", "--ray", "--jobs", "2"]
    assert refusal(*arguments) == "Error: --ray takes all CPUs of the cluster: leave out --jobs\n"


def test_without_the_package(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    said = refusal(photo_folder / "images", "-o", tmp_path / "out", "--ray")
    assert said == "Error: handseg segment needs Ray: pip install 'handseg[ray]'\n"
