"""`handseg annotate --shard-size`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import tree, wait_for
from red_hands import save_photo
from shard_files import members
from typer.testing import Result

from handseg.data import LabelledPhotos, load_data
from handseg.data.shard_writer import open_shard
from handseg.runtime.files import find_unfinished
from handseg.segmenter import HandSegmenter

Run = Callable[..., Result]
RED = [sys.executable, str(Path(__file__).parents[1] / "red_command.py"), "annotate"]
HAND = (50, 60, 30, 20)


def save_photos(folder: Path, *names: str) -> None:
    """Save photos with one hand each, at different places; `bad.png` is not an image."""
    for number, name in enumerate(names):
        save_photo(folder / name, (40 + 8 * number, 60, 30, 20))
    (folder / "bad.png").write_bytes(b"no photo")


def test_shards_hold_what_files_do(run: Run) -> None:
    save_photos(Path("in"), "a.png", "c.png", "d.v2.png", "x/e.jpg")
    assert run("in", "-r", "-o", "plain").exit_code == 1
    done = run("in", "-r", "-o", "out", "--shard-size", "2")
    assert done.exit_code == 1
    assert "Failed: in/bad.png is not an image" in done.stderr
    assert "4 done, 1 failed" in done.stdout
    left = tree(Path("out"))
    assert set(left) == {
        "000000.tar", "000001.tar", "000002.tar", "coco.json", "run/ending", "run/settings.json",
    }  # fmt: skip
    assert left["coco.json"] == tree(Path("plain"))["coco.json"]
    shards = [members(Path(f"out/00000{number}.tar")) for number in range(3)]
    assert [sorted({name.split(".")[0] for name in shard}) for shard in shards] == [
        ["a"], ["c", "d%2Ev2"], ["x__e"],
    ]  # fmt: skip
    for shard, key, photo in (
        (shards[0], "a", "a.png"),
        (shards[1], "d%2Ev2", "d.v2.png"),
        (shards[2], "x__e", "x__e.jpg"),
    ):
        name, suffix = photo.rsplit(".", 1)
        assert shard[f"{key}.{suffix}"] == Path("plain/images", photo).read_bytes()
        for folder, kind in (("masks", "mask"), ("instances", "instances")):
            assert shard[f"{key}.{kind}.png"] == Path(f"plain/{folder}/{name}.png").read_bytes()
        record = json.loads(shard[f"{key}.json"])
        assert record["image"]["file_name"] == photo
        assert record["annotations"][0]["num_keypoints"] == 21


def test_shards_can_be_learnt_from(run: Run, tmp_path: Path) -> None:
    for number in range(3):
        save_photo(Path(f"in/{number % 2}/f{number}.png"), (50 + 9 * number, 60, 30, 20))
    done = run("in", "-r", "-o", "out", "--shard-size", "2", "--sequence")
    assert done.exit_code == 0, done.output
    assert not Path("out/frames").exists()
    assert '"track_id": 1' in Path("out/coco.json").read_text()
    rows = LabelledPhotos(load_data("out", "webdataset", cache_dir=tmp_path / "cache"))
    assert [(row.id, row.group) for row in rows] == [
        ("0__f0", "0"), ("0__f2", "0"), ("1__f1", "1"),
    ]  # fmt: skip
    for row in rows:
        image, mask = row.load()
        assert image.shape[:2] == mask.shape
        numbers = row.load_instances()
        assert numbers is not None
        np.testing.assert_array_equal(numbers == 1, mask)


def test_what_failed_is_added_to_its_shard(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcd":
        save_photo(Path(f"in/{name}.png"), HAND)
    run("in", "-o", "expected", "--shard-size", "3")
    segment = HandSegmenter.segment
    asked: list[Any] = []

    def second_fails(self: HandSegmenter, image: Any, **options: Any) -> Any:
        asked.append(image)
        if len(asked) == 2:
            raise RuntimeError("no memory")
        return segment(self, image, **options)

    monkeypatch.setattr(HandSegmenter, "segment", second_fails)
    done = run("in", "-o", "out", "--shard-size", "3")
    assert done.exit_code == 1
    assert {name.split(".")[0] for name in members(Path("out/000000.tar"))} == {"a", "c"}
    asked += [None, None]
    before = len(asked)
    done = run("in", "-o", "out", "--shard-size", "3")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "4 done, 3 of them before" in done.stdout
    assert len(asked) == before + 1
    assert tree(Path("out")) == tree(Path("expected"))


def test_a_copied_photo_has_the_same_bytes_whatever_its_name(tmp_path: Path) -> None:
    names = ("a", "\u00fc", "x" * 150, os.fsdecode(b"\xfc"))
    path = tmp_path / "000000.tar"
    with open_shard(path) as shard:
        for name in names:
            shard.add(name, {"jpg": b"photo", "mask.png": b"mask"})
    before = path.read_bytes()
    with open_shard(path) as shard:
        for name in names:
            shard.copy(name)
    assert path.read_bytes() == before


def test_processes_of_a_launcher_fill_shards_of_their_own(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcdefg":
        save_photo(Path(f"in/{name}.png"), HAND)
    run("in", "-o", "expected", "--shard-size", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "10":
        monkeypatch.setenv("RANK", rank)
        done = run("in", "-o", "out", "--shard-size", "2")
        assert done.exit_code == 0, done.output
        if rank == "1":
            assert {path.name for path in Path("out").glob("*.tar")} == {"000001.tar", "000003.tar"}
    assert tree(Path("out")) == tree(Path("expected"))


def test_a_full_disk_leaves_no_half_shard(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        save_photo(Path(f"in/{name}.png"), HAND)
    add = tarfile.TarFile.addfile

    def full(self: tarfile.TarFile, member: tarfile.TarInfo, *file: Any) -> None:
        if member.name == "b.mask.png":
            raise OSError(5, "Input/output error")
        add(self, member, *file)

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "addfile", full)
        done = run("in", "-o", "out", "--shard-size", "2")
    assert done.exit_code == 1
    assert "Input/output error" in done.stderr
    assert set(tree(Path("out"))) == {"run/settings.json"}
    assert "2 done," in run("in", "-o", "out", "--shard-size", "2").stdout


@pytest.mark.parametrize("options", [["--review"], ["--sequence", "--camera", "camera.json"]])
def test_what_needs_files_is_refused(run: Run, options: list[str]) -> None:
    save_photo(Path("in/a.png"), HAND)
    done = run("in", "-o", "out", "--shard-size", "2", *options)
    assert done.exit_code == 2
    assert "leave out --shard-size" in done.stderr
    assert not Path("out").exists()


def test_another_size_is_refused(run: Run) -> None:
    save_photo(Path("in/a.png"), HAND)
    run("in", "-o", "out", "--shard-size", "2")
    done = run("in", "-o", "out", "--shard-size", "3")
    assert done.exit_code == 2
    assert "other settings: shard_size 2, now 3" in done.stderr


@pytest.mark.slow
def test_a_killed_run_does_only_unfinished_shards_again(tmp_path: Path) -> None:
    save_photos(tmp_path / "in", *(f"p{number}.png" for number in range(8)))
    log = tmp_path / "log.txt"

    def start(output: Path, delay: str) -> subprocess.Popen[str]:
        arguments = [str(tmp_path / "in"), "--output", str(output), "--device", "cpu"]
        return subprocess.Popen(
            [*RED, *arguments, "--shard-size", "3"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "RED_LOG": str(log), "RED_DELAY": delay},
        )  # fmt: skip

    whole = start(tmp_path / "whole", "0")
    assert "8 done, 1 failed" in whole.communicate(timeout=300)[0]
    log.unlink()
    killed = start(tmp_path / "out", "0.5")
    wait_for(tmp_path / "out" / "000001.tar", killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "out" / "000002.tar").exists()
    log.unlink()
    out, err = start(tmp_path / "out", "0").communicate(timeout=300)
    assert "8 done" in out, err
    # Not all photos of the second shard need have been recorded before the end.
    assert 3 <= log.read_text().count("[[[") <= 6
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert not find_unfinished(tmp_path / "out")
