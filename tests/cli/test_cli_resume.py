"""Runs that are interrupted, repeated or have failing photos."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from red_hands import save_photo
from written_files import ONE_HAND, Run, files_in

from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter


def spoil_segmenting(monkeypatch: pytest.MonkeyPatch, before: Callable[[Path], None]) -> list[Path]:
    """Call `before` with each photo before it is segmented; return these photos, too."""
    asked: list[Path] = []
    original = HandSegmenter.segment

    def segment(self: HandSegmenter, image: Any, **options: Any) -> HandSegmentation:
        asked.append(image)
        before(image)
        return original(self, image, **options)

    monkeypatch.setattr(HandSegmenter, "segment", segment)
    return asked


def test_second_run_skips_what_is_done_and_loads_no_model(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.jpg", "bare.png"):
        save_photo(Path("in", name), *([] if name == "bare.png" else [ONE_HAND]))
    assert run("segment", "in").exit_code == 0
    Path("handseg_out/b.png").unlink()
    asked = spoil_segmenting(monkeypatch, lambda _: None)
    done = run("segment", "in")
    assert asked == [Path("in/b.jpg")]
    assert "1 done, 2 skipped" in done.stdout

    monkeypatch.setattr(HandSegmenter, "from_pretrained", None)
    done = run("segment", "in")
    assert done.exit_code == 0
    assert "0 done, 3 skipped" in done.stdout
    assert "add --overwrite" in done.stderr


def test_photo_is_done_again_for_a_result_that_is_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photo(Path("in/a.png"), ONE_HAND)
    run("segment", "in")
    asked = spoil_segmenting(monkeypatch, lambda _: None)
    for options in (["--mask"], ["--mask", "--overlay"], ["--json", "all.json"]):
        asked.clear()
        assert run("segment", "in", *options).exit_code == 0
        assert run("segment", "in", *options).exit_code == 0
        assert len(asked) == 1, options


def test_overwrite_does_everything_again(run: Run) -> None:
    save_photo(Path("in/a.png"), ONE_HAND)
    run("segment", "in")
    Path("handseg_out/a.png").write_bytes(b"old")
    assert "1 skipped" in run("segment", "in").stdout
    assert Path("handseg_out/a.png").read_bytes() == b"old"
    assert "1 done" in run("segment", "in", "--overwrite").stdout
    with Image.open("handseg_out/a.png") as picture:
        assert picture.size == (160, 120)


def test_json_keeps_the_rows_of_other_photos(run: Run) -> None:
    save_photo(Path("in/b.png"), ONE_HAND)
    save_photo(Path("elsewhere/c.png"), ONE_HAND)
    run("segment", "in", "--json", "all.json")
    run("segment", "elsewhere", "--json", "all.json")
    save_photo(Path("in/a.png"))
    assert (
        "1 done (1 without a hand), 1 skipped" in run("segment", "in", "--json", "all.json").stdout
    )
    rows = json.loads(Path("all.json").read_text())
    assert {row["file"]: len(row["hands"]) for row in rows} == {
        "elsewhere/c.png": 1, "in/a.png": 0, "in/b.png": 1,
    }  # fmt: skip
    # A photo keeps a single row, whatever path names it.
    save_photo(Path("in/b.png"))
    run("segment", Path("in/b.png").absolute(), "--json", "all.json", "--overwrite")
    rows = json.loads(Path("all.json").read_text())
    assert [len(row["hands"]) for row in rows] == [1, 0, 0]


def test_interrupted_run_leaves_nothing_half_done_and_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcd":
        save_photo(Path(f"in/{name}.png"), ONE_HAND)

    def press_ctrl_c(path: Path) -> None:
        if path.stem == "c":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        spoil_segmenting(patch, press_ctrl_c)
        done = run("segment", "in", "--mask", "--json", "all.json", "--jobs", "1")
    assert done.exit_code == 130
    assert "Interrupted" in done.stderr
    assert "2 done" in done.stdout
    assert files_in(Path("handseg_out")) == {"a.png", "a_mask.png", "b.png", "b_mask.png"}
    assert len(json.loads(Path("all.json").read_text())) == 2

    done = run("segment", "in", "--mask", "--json", "all.json")
    assert done.exit_code == 0
    assert "2 done, 2 skipped" in done.stdout
    assert len(json.loads(Path("all.json").read_text())) == 4


def test_interruption_while_writing_leaves_no_part_of_a_file(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photo(Path("in/a.png"), ONE_HAND)

    def press_ctrl_c(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", press_ctrl_c)
    assert run("segment", "in").exit_code == 130
    assert files_in(Path("handseg_out")) == set()


def test_bad_file_is_named_in_one_line_and_the_rest_goes_on(run: Run) -> None:
    save_photo(Path("in/a.png"), ONE_HAND)
    save_photo(Path("in/c.png"), ONE_HAND)
    Path("in/b.jpg").write_bytes(b"this is no photo")
    done = run("segment", "in", "--json", "all.json")
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Failed: in/b.jpg")
    assert "2 done, 1 failed" in done.stdout
    assert files_in(Path("handseg_out")) == {"a.png", "c.png"}
    assert [row["file"] for row in json.loads(Path("all.json").read_text())] == [
        "in/a.png", "in/c.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("CUDA error:\nout of memory"), "RuntimeError: CUDA error: out of memory"),
        (MemoryError(), "MemoryError"),
        (PermissionError(13, "Permission denied", "/x/y"), "Permission denied: /x/y"),
    ],
)
def test_photo_that_fails_in_an_unplanned_way_does_not_end_the_run(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: str
) -> None:
    save_photo(Path("in/a.png"), ONE_HAND)
    save_photo(Path("in/b.png"), ONE_HAND)

    def fail_once(path: Path) -> None:
        if path.stem == "a":
            raise error

    spoil_segmenting(monkeypatch, fail_once)
    done = run("segment", "in")
    assert done.exit_code == 1
    assert done.stderr == f"Failed: in/a.png: {expected}\n"
    assert files_in(Path("handseg_out")) == {"b.png"}


def test_full_disk_ends_the_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        save_photo(Path(f"in/{name}.png"), ONE_HAND)

    def no_space(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "handseg_out/x.png")

    monkeypatch.setattr("handseg.cli.pictures.save_image", no_space)
    asked = spoil_segmenting(monkeypatch, lambda _: None)
    done = run("segment", "in", "--jobs", "1")
    assert done.exit_code == 1
    assert len(asked) == 1
    assert "No space left on device" in done.stderr
