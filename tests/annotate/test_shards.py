from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from handseg.annotate.shards import Shards


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    return Shards(tmp_path / "shards", frames=7, size=3)


def test_frames_are_cut_in_input_order(shards: Shards) -> None:
    assert [list(shards.frames(number)) for number in range(len(shards))] == [
        [0, 1, 2], [3, 4, 5], [6],
    ]  # fmt: skip


def fill(shards: Shards, number: int, **fields: str) -> None:
    with shards.claim(number) as mine:
        assert mine
        for index in shards.frames(number):
            shards.add(number, {"index": index, **fields})
        shards.finish(number)


def test_records_come_in_input_order_whoever_made_them(shards: Shards) -> None:
    for number in (2, 0, 1):
        fill(shards, number)
    assert shards.all_done
    assert [record["index"] for record in shards.records()] == list(range(7))
    assert {path.suffix for path in shards.folder.iterdir()} == {".jsonl"}


def test_one_at_a_time_works_on_a_shard(shards: Shards) -> None:
    other = Shards(shards.folder, frames=7, size=3)
    with shards.claim(0) as mine, other.claim(0) as theirs, other.claim(1) as another:
        assert (mine, theirs, another) == (True, False, True)
    with other.claim(0) as mine:
        assert mine
    fill(shards, 0)
    with other.claim(0) as mine:
        assert not mine


def test_half_a_line_and_what_failed_are_to_do_again(shards: Shards) -> None:
    with shards.claim(0):
        shards.add(0, {"index": 1})
        shards.add(0, {"index": 0, "error": "no memory"})
        with (shards.folder / "000000.partial").open("a") as file:
            file.write('{"index": 2, "ha')
    assert shards.missing() == 6
    with shards.claim(0):
        assert [record["index"] for record in shards.begun(0)] == [1]
        for index in (0, 2):
            shards.add(0, {"index": index})
        shards.finish(0)
    fill(shards, 1)
    fill(shards, 2)
    assert [record["index"] for record in shards.records()] == list(range(7))


def test_failed_frames_are_to_do_again(shards: Shards) -> None:
    fill(shards, 0)
    fill(shards, 1, error="no memory")
    with shards.claim(2):
        shards.add(2, {"index": 6})
        shards.finish(2)
    shards.reopen_failed()
    assert [shards.is_done(number) for number in range(3)] == [True, False, True]
    assert shards.missing() == 3
    assert shards.begun(1) == []


def test_a_killed_process_lets_go_of_its_shard(shards: Shards) -> None:
    code = (
        "import time\nfrom pathlib import Path\nfrom handseg.annotate.shards import Shards\n"
        f"shards = Shards(Path({str(shards.folder)!r}), 7, 3)\n"
        "with shards.claim(0):\n"
        "    shards.add(0, {'index': 0})\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            while not (shards.folder / "000000.partial").exists():
                assert process.poll() is None
                time.sleep(0.05)
            with shards.claim(0) as mine:
                assert not mine
        finally:
            os.kill(process.pid, signal.SIGKILL)
    with shards.claim(0) as mine:
        assert mine
        assert [record["index"] for record in shards.begun(0)] == [0]
