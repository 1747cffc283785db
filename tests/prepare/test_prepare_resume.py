from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prepared_folders import contents, rows

from handseg.io import files
from handseg.prepare import run as module
from handseg.prepare.run import prepare
from handseg.prepare.thresholds import Thresholds


class Interrupted(Exception):
    pass


def stopping_after(count: int) -> Any:
    def progress(todo: Sequence[Any]) -> Iterator[Any]:
        for index, item in enumerate(todo):
            if index == count:
                raise Interrupted
            yield item

    return progress


def test_an_interrupted_run_goes_on_and_gives_the_same(pairs: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    prepare(pairs, whole)
    for count in (2, 1):
        with pytest.raises(Interrupted):
            prepare(pairs, parts, progress=stopping_after(count))
    assert not (parts / "groups.csv").exists()
    looked_at: list[str] = []

    def note(todo: Iterable[Any]) -> Iterator[Any]:
        for item in todo:
            looked_at.append(item.id)
            yield item

    done = prepare(pairs, parts, progress=note)
    assert len(looked_at) == 3
    assert done.skipped == 3

    def bytes_in(folder: Path) -> dict[str, bytes]:
        files = contents(folder).items()
        return {name: data for name, (data, _) in files if not name.endswith(".jsonl")}

    assert bytes_in(parts) == bytes_in(whole)
    assert prepare(pairs, parts).skipped == 6


def test_a_row_cut_by_a_kill_is_done_again(pairs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    prepare(pairs, output)
    report = output / "report.csv"
    whole = report.read_bytes()
    (journal,) = (output / "run").glob("*.jsonl")
    journal.write_bytes(journal.read_bytes()[:-30])
    done = prepare(pairs, output)
    assert done.skipped == 5
    assert report.read_bytes() == whole


def test_other_settings_or_files_in_the_output_are_refused(pairs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    prepare(pairs, output)
    before = contents(output)
    with pytest.raises(ValueError, match=r"other settings.*: speck 0\.005, now 0\.1"):
        prepare(pairs, output, thresholds=Thresholds(speck=0.1))
    with pytest.raises(ValueError, match="options"):
        prepare(pairs, output, group_pattern="(.)")
    (pairs / "masks" / "a.png").touch()
    with pytest.raises(ValueError, match=r"a in .*pairs has changed since"):
        prepare(pairs, output)
    assert contents(output) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").write_text("x")
    with pytest.raises(ValueError, match="holds other files"):
        prepare(pairs, tmp_path / "other")
    for inside in (pairs, pairs / "images" / "new"):
        with pytest.raises(ValueError, match="is in the source"):
            prepare(pairs, inside)
    assert not (pairs / "images" / "new").exists()


def test_a_source_that_lost_a_pair_is_refused(pairs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    prepare(pairs, output)
    before = contents(output)
    for folder in ("images", "masks"):
        (pairs / folder / "a.png").rename(pairs / folder / "z.png")
    with pytest.raises(ValueError, match=r"a is no longer in .*pairs, .* changed since .*out was"):
        prepare(pairs, output)
    assert contents(output) == before


def test_a_run_that_was_interrupted_before_its_first_pair_blocks_no_other(
    pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        prepare(pairs, tmp_path / "out", progress=stopping_after(0))
    assert prepare(pairs, tmp_path / "out", thresholds=Thresholds(speck=0.1)).skipped == 0


def test_a_full_disk_stops_the_run_and_it_goes_on_later(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    encode = files._encode_png

    def full(pixels: np.ndarray) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(28, "No space left on device")
        return encode(pixels)

    monkeypatch.setattr(files, "_encode_png", full)
    with pytest.raises(OSError, match="No space left"):
        prepare(pairs, tmp_path / "out")
    assert len(rows(tmp_path / "out")) == 2
    assert prepare(pairs, tmp_path / "out").skipped == 2


# Kinds of input


def test_a_surprise_costs_its_pair_alone(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = module.check_labels

    def surprise(image: np.ndarray, *rest: Any) -> Any:
        if image.mean() > 150:
            raise RuntimeError("what is\nthis")
        return check(image, *rest)

    monkeypatch.setattr(module, "check_labels", surprise)
    done = prepare(pairs, tmp_path / "out")
    failed = [row for row in done.outcomes if row.status == "rejected"]
    assert failed
    assert all(row.reasons == ("error: RuntimeError: what is this",) for row in failed)
    assert len(done.outcomes) == 6
