from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from handseg.errors import RunMismatch
from handseg.runtime.run_folder import RunFolder

SETTINGS: dict[str, Any] = {"seed": 0, "model": {"name": "lite", "digest": 64 * "a"}, "sizes": (3,)}


def begun(folder: Path, settings: dict[str, Any] = SETTINGS) -> RunFolder:
    run = RunFolder(folder, settings)
    run.claim()
    (folder / "result.txt").write_text("done")
    return run


def test_a_run_resumes_with_what_is_left(tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    run.journal.record("a", 1)
    run.journal.fail("b", "no memory")
    run = RunFolder(tmp_path / "run", SETTINGS)
    assert run.left(["a", "b", "c"], str) == ["b", "c"]
    assert run.journal["a"] == 1
    assert not run.is_over("abc", str, worked=True)
    RunFolder(tmp_path / "run", SETTINGS).journal.record("c", 2)
    assert run.is_over("abc", str, worked=True)
    assert run.journal["c"] == 2


def test_a_run_is_not_over_while_a_process_retries_what_failed_before(tmp_path: Path) -> None:
    begun(tmp_path).journal.fail("x", "no memory")
    first, second = (RunFolder(tmp_path, SETTINGS) for _ in range(2))
    second.journal.retry(second.left(["x"], str))
    first.journal.record("a", 1)
    assert not first.is_over("ax", str, worked=True)
    second.journal.fail("x", "no memory")
    assert second.is_over("ax", str, worked=True)
    late = RunFolder(tmp_path, SETTINGS)
    late.journal.record("b", 1)
    assert late.is_over("abx", str, worked=True)


def test_a_process_with_nothing_to_do_leaves_failures_to_the_others(tmp_path: Path) -> None:
    begun(tmp_path).journal.fail("x", "no memory")
    idle, late = (RunFolder(tmp_path, SETTINGS) for _ in range(2))
    assert not idle.is_over("x", str, worked=False)
    late.journal.record("x", 1)
    assert idle.is_over("x", str, worked=False)


def test_one_of_those_that_finish_together_ends_a_run(tmp_path: Path) -> None:
    begun(tmp_path)
    together = [RunFolder(tmp_path, SETTINGS) for _ in range(3)]
    assert [run.take_end() for run in together] == [True, False, False]


def test_a_process_that_was_killed_at_the_end_keeps_no_other_from_it(tmp_path: Path) -> None:
    assert begun(tmp_path).take_end()
    os.utime(tmp_path / "run" / "ending", (time.time() - 60,) * 2)
    resumed = RunFolder(tmp_path, SETTINGS)
    assert resumed.take_end()
    assert not resumed.take_end()


def test_a_run_that_is_over_ends_again_when_it_is_started_again(tmp_path: Path) -> None:
    begun(tmp_path)
    for _ in range(3):
        assert RunFolder(tmp_path, SETTINGS).take_end()


def test_other_settings_are_named(tmp_path: Path) -> None:
    begun(tmp_path)
    other = {"seed": 3, "model": {"name": "big", "digest": 64 * "b"}, "sizes": [3], "new": None}
    with pytest.raises(RunMismatch) as caught:
        RunFolder(tmp_path, other)
    assert str(caught.value) == (
        f"{tmp_path} holds a run with other settings: model.digest; model.name 'lite', now 'big'; "
        "seed 0, now 3. Resume it as it was started, or choose another folder"
    )
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["seed"] == 0


@pytest.mark.parametrize("settings", [{"seed": 0}, SETTINGS | {"more": True}])
def test_settings_that_are_missing_differ(settings: dict[str, Any], tmp_path: Path) -> None:
    begun(tmp_path)
    with pytest.raises(RunMismatch, match=r"model|more None, now True"):
        RunFolder(tmp_path, settings)


def test_a_run_that_has_done_nothing_blocks_no_other(tmp_path: Path) -> None:
    RunFolder(tmp_path, SETTINGS)
    assert not list(tmp_path.iterdir())
    RunFolder(tmp_path, SETTINGS).claim()
    (tmp_path / "images").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "landmarks").write_text("found")
    begun(tmp_path, SETTINGS | {"seed": 7})
    with pytest.raises(RunMismatch, match="seed 7, now 0"):
        RunFolder(tmp_path, SETTINGS)


def test_preparations_of_another_run_are_removed_and_those_of_this_one_stay(
    tmp_path: Path,
) -> None:
    for seed in (0, 1, 1):
        run = RunFolder(tmp_path, {"seed": seed}, ["splits.json", "logs"])
        run.claim()
        assert (tmp_path / "splits.json").exists() == (tmp_path / "logs").exists()
        if not (tmp_path / "splits.json").exists():
            (tmp_path / "splits.json").write_text(str(seed))
            (tmp_path / "logs").mkdir()
            (tmp_path / "logs" / "events").write_text("loss")
    assert (tmp_path / "splits.json").read_text() == "1"
    (tmp_path / "weights").write_text("learnt")
    with pytest.raises(RunMismatch, match="seed 1, now 2"):
        RunFolder(tmp_path, {"seed": 2}, ["splits.json", "logs"])


def test_preparations_that_no_run_made_stay(tmp_path: Path) -> None:
    (tmp_path / "splits.json").write_text("by hand")
    RunFolder(tmp_path, SETTINGS, ["splits.json"]).claim()
    assert (tmp_path / "splits.json").read_text() == "by hand"


def test_the_end_removes_what_killed_processes_left(tmp_path: Path) -> None:
    begun(tmp_path)
    left, written = (tmp_path / f".{32 * letter}.png" for letter in "ab")
    left.write_bytes(b"half")
    run = RunFolder(tmp_path, SETTINGS)
    run.journal.fail("a", "no memory")
    written.write_bytes(b"by another process, just now")
    run.end()
    assert not left.exists()
    assert written.exists()
    assert RunFolder(tmp_path, SETTINGS).journal.failed == {}


def test_records_are_results(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, SETTINGS)
    run.claim()
    run.journal.record("a", 1)
    with pytest.raises(RunMismatch, match="seed 0, now 7"):
        RunFolder(tmp_path, SETTINGS | {"seed": 7})


def test_folders_of_something_else_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("mine")
    with pytest.raises(RunMismatch, match=r"holds other files, as mine\.txt: choose a new"):
        RunFolder(tmp_path, SETTINGS)
    with pytest.raises(RunMismatch, match=r"mine\.txt is not a folder"):
        RunFolder(tmp_path / "letters" / "mine.txt", SETTINGS)


@pytest.mark.parametrize("text", ["{", "[1]", "\0\0"])
def test_settings_that_cannot_be_read_are_named(text: str, tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / "run" / "settings.json").write_text(text)
    with pytest.raises(RunMismatch, match=r"settings\.json cannot be read"):
        RunFolder(tmp_path, SETTINGS)
