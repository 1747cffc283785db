"""`handseg segment --shard-size`."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tarfile
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from processes import tree, wait_for
from red_hands import save_photo
from shard_files import members
from written_files import Run, files_in

from handseg.data import load_data
from handseg.results import HandSegmentation
from handseg.runtime.files import find_unfinished
from handseg.runtime.journal import Journal
from handseg.segmenter import HandSegmenter

RED = [sys.executable, str(Path(__file__).parents[1] / "red_command.py"), "segment"]
ALL = ("--mask", "--objects", "--overlay")


def save_photos(*names: str) -> None:
    """Save photos in the folder "in" with one hand each, at different places."""
    for number, name in enumerate(names):
        save_photo(Path("in", name), (40 + 8 * number, 60, 30, 20))


def keys(shard: str) -> list[str]:
    """Return the keys of WebDataset's samples in a shard: neighbours with the same key are one."""
    return [key for key, _ in groupby(members(shard), lambda name: name.split(".")[0])]


def watch(monkeypatch: pytest.MonkeyPatch, failing: str = "") -> list[Path]:
    """Record the photos segmented from now on; the one with the stem `failing` fails."""
    asked: list[Path] = []
    segment = HandSegmenter.segment

    def watched(self: HandSegmenter, image: Any, **options: Any) -> HandSegmentation:
        asked.append(image)
        if image.stem == failing:
            raise RuntimeError("no memory")
        return segment(self, image, **options)

    monkeypatch.setattr(HandSegmenter, "segment", watched)
    return asked


def test_shards_hold_what_files_do(run: Run) -> None:
    save_photos("a.png", "c.png", "d.v2.png", "x/e.jpg")
    Path("in/bad.png").write_bytes(b"no photo")
    plain = run("segment", "in", "-r", "-o", "plain", *ALL, "--json", "plain.json")
    done = run("segment", "in", "-r", "-o", "out", *ALL, "--shard-size", "2")
    assert (plain.exit_code, done.exit_code) == (1, 1)
    assert done.stderr == plain.stderr
    assert "4 done, 1 failed" in done.stdout
    assert set(tree(Path("out"))) == {
        "000000.tar", "000001.tar", "000002.tar", "run/ending", "run/settings.json",
    }  # fmt: skip
    shards = [f"out/00000{number}.tar" for number in range(3)]
    assert [keys(shard) for shard in shards] == [["a"], ["c", "d%2Ev2"], ["x/e"]]
    rows = {row["file"]: row for row in json.loads(Path("plain.json").read_text())}
    for shard, key, photo in (
        (shards[0], "a", "a.png"), (shards[1], "d%2Ev2", "d.v2.png"), (shards[2], "x/e", "x/e.jpg"),
    ):  # fmt: skip
        held, name = members(shard), str(Path("plain", photo).with_suffix(""))
        for suffix, file in {
            "cutout.png": ".png", "mask.png": "_mask.png", "object_mask.png": "_object.png",
            "overlay.jpg": "_overlay.jpg",
        }.items():  # fmt: skip
            assert held.pop(f"{key}.{suffix}") == Path(name + file).read_bytes()
        assert json.loads(held.pop(f"{key}.json")) == rows[f"in/{photo}"]
        assert not [one for one in held if one.startswith(f"{key}.")]


def test_options_decide_the_members(run: Run) -> None:
    save_photos("a.png")
    run("segment", "in", "-o", "plain", "--background", "white", "--crop")
    run("segment", "in", "-o", "out", "--background", "white", "--crop", "--shard-size", "9")
    held = members("out/000000.tar")
    assert set(held) == {"a.composite.png", "a.json"}
    assert held["a.composite.png"] == Path("plain/a.png").read_bytes()


def test_jobs_and_processes_write_the_same_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photos(*(f"{name}.png" for name in "abcdefg"))
    run("segment", "in", "-o", "expected", "--shard-size", "2", "--jobs", "1")
    run("segment", "in", "-o", "jobs", "--shard-size", "2", "--jobs", "3")
    assert tree(Path("jobs")) == tree(Path("expected"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    for rank, count in (("1", 3), ("0", 4)):
        monkeypatch.setenv("RANK", rank)
        done = run("segment", "in", "-o", "out", "--shard-size", "2", "--json", "all.json")
        assert done.exit_code == 0, done.output
        assert f"Process {int(rank) + 1} of 2: {count} done" in done.stdout
        if rank == "1":
            assert {path.name for path in Path("out").glob("*.tar")} == {"000001.tar", "000003.tar"}
            assert not Path("all.json").exists()
    assert tree(Path("out")) == tree(Path("expected"))
    assert len(json.loads(Path("all.json").read_text())) == 7


def test_second_run_does_what_failed_and_loads_no_model_for_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photos(*(f"{name}.png" for name in "abcd"))
    command = ("segment", "in", "-o", "out", "--shard-size", "3")
    run("segment", "in", "-o", "expected", "--shard-size", "3")
    with monkeypatch.context() as patch:
        watch(patch, failing="b")
        done = run(*command)
    assert done.exit_code == 1
    assert done.stderr == "Failed: in/b.png: RuntimeError: no memory\n"
    assert keys("out/000000.tar") == ["a", "c"]
    asked = watch(monkeypatch)
    done = run(*command)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "1 done, 3 skipped (done before)" in done.stdout
    assert asked == [Path("in/b.png")]
    assert tree(Path("out")) == tree(Path("expected"))
    monkeypatch.setattr(HandSegmenter, "from_pretrained", None)
    assert "0 done, 4 skipped" in run(*command).stdout


def test_a_shard_that_is_gone_is_written_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photos(*(f"{name}.png" for name in "abcd"))
    command = ("segment", "in", "-o", "out", "--shard-size", "2")
    run(*command)
    before = tree(Path("out"))
    Path("out/000001.tar").unlink()
    asked = watch(monkeypatch)
    assert "2 done, 2 skipped" in run(*command).stdout
    assert asked == [Path("in/c.png"), Path("in/d.png")]
    assert tree(Path("out")) == before


def test_a_damaged_shard_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photos("a.png", "b.png", "c.png")
    command = ("segment", "in", "-o", "out", "--shard-size", "3")
    with monkeypatch.context() as patch:
        watch(patch, failing="c")
        run(*command)
    shard = Path("out/000000.tar")
    shard.write_bytes(b"damaged")
    done = run(*command)
    assert done.exit_code == 1
    reason = "the shard is damaged; delete it, and its photos are done again: out/000000.tar"
    assert f"Failed: {reason}\n" in done.stderr
    assert shard.read_bytes() == b"damaged"
    shard.unlink()
    assert "3 done" in run(*command).stdout


def test_json_has_all_rows_whenever_it_is_asked_for(run: Run) -> None:
    save_photos("a.png", "b.png", "c.png")
    save_photo(Path("in/bare.png"))
    run("segment", "in", "-o", "plain", "--json", "plain.json")
    command = ("segment", "in", "-o", "out", "--shard-size", "3")
    done = run(*command)
    assert done.stderr == "No hand found: in/bare.png\n"
    assert "4 done (1 without a hand)" in done.stdout
    assert "0 done, 4 skipped" in run(*command, "--json", "all.json").stdout
    assert Path("all.json").read_text() == Path("plain.json").read_text()
    assert not Path("all.json.journal").exists()


@pytest.mark.parametrize(
    ("options", "journal"), [((), "all.json.journal"), (("--shard-size", "1"), "out/run")]
)
def test_a_process_that_retries_a_failure_ends_the_run(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], journal: str
) -> None:
    save_photos("a.png", "b.png")
    monkeypatch.setenv("WORLD_SIZE", "2")

    def start(rank: int) -> None:
        monkeypatch.setenv("RANK", str(rank))
        run("segment", "in", "-o", "out", "--json", "all.json", *options)

    with monkeypatch.context() as patch:
        watch(patch, failing="b")
        start(1)
        patch.setattr("handseg.cli.json_file.JsonFile.merge", interrupted)
        start(0)
    assert list(Journal(journal).failed.values()) == ["RuntimeError: no memory"]
    # "a" is done, and "b" failed in a run that was interrupted before its end.
    start(0)
    assert not Path("all.json").exists()
    failed: list[dict[str, str]] = []
    segment = HandSegmenter.segment

    def watched(self: HandSegmenter, image: Any, **options: Any) -> HandSegmentation:
        failed.append(Journal(journal).failed)
        return segment(self, image, **options)

    monkeypatch.setattr(HandSegmenter, "segment", watched)
    start(1)
    assert failed == [{}]
    assert len(json.loads(Path("all.json").read_text())) == 2


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_interruption_leaves_whole_shards(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photos(*(f"{name}.png" for name in "abcdef"))
    run("segment", "in", "-o", "expected", "--shard-size", "2")
    command = ("segment", "in", "-o", "out", "--shard-size", "2", "--jobs", "1")
    segment = HandSegmenter.segment

    def press_ctrl_c(self: HandSegmenter, image: Any, **options: Any) -> HandSegmentation:
        if image.stem == "d":
            raise KeyboardInterrupt
        return segment(self, image, **options)

    with monkeypatch.context() as patch:
        patch.setattr(HandSegmenter, "segment", press_ctrl_c)
        done = run(*command)
    assert done.exit_code == 130
    assert "2 done" in done.stdout
    assert set(tree(Path("out"))) == {"000000.tar", "run/settings.json"}
    asked = watch(monkeypatch)
    assert "4 done, 2 skipped" in run(*command).stdout
    assert [path.stem for path in asked] == list("cdef")
    assert tree(Path("out")) == tree(Path("expected"))


def test_a_full_disk_leaves_no_half_shard(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photos("a.png", "b.png")
    command = ("segment", "in", "-o", "out", "--mask", "--shard-size", "2")
    add = tarfile.TarFile.addfile

    def full(self: tarfile.TarFile, member: tarfile.TarInfo, *file: Any) -> None:
        if member.name == "b.mask.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, member, *file)

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "addfile", full)
        done = run(*command)
    assert done.exit_code == 1
    assert "Failed: out: No space left on device\n" in done.stderr
    assert "the same command continues from there" in done.stderr
    assert "0 done" in done.stdout
    assert set(tree(Path("out"))) == {"run/settings.json"}
    assert "2 done" in run(*command).stdout


def test_training_needs_the_photos_too(run: Run, tmp_path: Path) -> None:
    """As the guide says: they are in the shards of `handseg annotate`."""
    save_photos("a.png")
    run("segment", "in", "-o", "out", "--mask", "--shard-size", "2")
    with pytest.raises(ValueError, match="no photo has a mask that can be used"):
        load_data("out", "webdataset", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-o", "hand.png"], "--shard-size writes a folder of shards, not hand.png"),
        (["-o", "-"], '--shard-size is for files: leave out --shard-size or "-"'),
        (["-", "-o", "out"], '--shard-size is for files: leave out --shard-size or "-"'),
        (["-o", "out", "--overwrite"], "leave out --overwrite, or choose another DIR"),
    ],
)
def test_what_needs_files_is_refused(run: Run, options: list[str], expected: str) -> None:
    save_photos("a.png")
    done = run("segment", "in/a.png", "--shard-size", "2", *options)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert expected in line
    assert files_in(Path()) == {"in/a.png"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--shard-size", "3"], "other settings: shard_size 2, now 3"),
        (["--shard-size", "2", "--mask"], "other settings: mask False, now True"),
        (["--shard-size", "2", "--max-hands", "1"], "other settings: max_hands 4, now 1"),
        (["--shard-size", "2", "--background", "red"], "other settings: background None, now"),
    ],
)
def test_other_settings_in_one_folder_are_refused(
    run: Run, options: list[str], expected: str
) -> None:
    save_photos("a.png")
    run("segment", "in", "-o", "out", "--shard-size", "2")
    before = tree(Path("out"))
    done = run("segment", "in", "-o", "out", *options)
    assert done.exit_code == 2
    assert expected in done.stderr
    assert tree(Path("out")) == before


def test_other_photos_and_other_files_are_refused(run: Run) -> None:
    save_photos("a.png")
    run("segment", "in", "-o", "out", "--shard-size", "2")
    save_photos("a.png", "b.png")
    done = run("segment", "in", "-o", "out", "--shard-size", "2")
    assert done.exit_code == 2
    assert "photos 1, now 2" in done.stderr
    run("segment", "in", "-o", "files")
    done = run("segment", "in", "-o", "files", "--shard-size", "2")
    assert done.exit_code == 2
    assert "files holds other files, as a.png: choose a new or empty folder" in done.stderr


@pytest.mark.slow
def test_a_killed_run_does_only_unfinished_shards_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_photos(*(f"p{number}.png" for number in range(8)))
    Path("in/bad.png").write_bytes(b"no photo")

    def start(output: str, delay: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*RED, "in", "-o", output, "--mask", "--shard-size", "3", "--jobs", "2"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "RED_LOG": "log", "RED_DELAY": delay},
        )  # fmt: skip

    assert "8 done, 1 failed" in start("whole", "0").communicate(timeout=300)[0]
    killed = start("out", "0.5")
    wait_for(Path("out/000001.tar"), killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not Path("out/000002.tar").exists()
    Path("log").unlink()
    out, err = start("out", "0").communicate(timeout=300)
    assert " done, " in out, err
    # Not all photos of the second shard need have been recorded before the end.
    assert 4 <= len(Path("log").read_text().split()) <= 7
    assert tree(Path("out")) == tree(Path("whole"))
    assert not find_unfinished(Path("out"))
