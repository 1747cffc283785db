from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from handseg.runtime.journal import Journal

KEYS = st.sampled_from("abcde")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(writers=st.lists(st.lists(st.tuples(KEYS, VALUES), max_size=4), max_size=4))
def test_the_last_record_of_a_key_is_read_back(writers: list[list[tuple[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for records in writers:
            journal = Journal(folder)
            for key, value in records:
                journal.record(key, value)
                assert journal[key] == value
        expected = {key: value for records in writers for key, value in records}
        assert dict(Journal(folder)) == expected


@given(cut=st.integers(0, 200))
def test_half_a_line_costs_that_record_alone(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = Journal(folder)
        for number in range(5):
            first.record(f"one {number}", {"value": "é" * number})
        (file,) = Path(folder).iterdir()
        whole = file.read_bytes()
        file.write_bytes(whole[:cut])
        second = Journal(folder)
        # A line that lacks only its line break can be read.
        lines = {whole[:cut].count(b"\n"), (whole[:cut] + b"\n").count(b"]\n")}
        assert len(second) in lines
        second.record("two", 2)
        again = Journal(folder)
        assert again["two"] == 2
        assert len(again) == len(second)


def test_writers_have_files_of_their_own_and_see_each_other_when_they_start(tmp_path: Path) -> None:
    one, other = Journal(tmp_path), Journal(tmp_path)
    one.record("a", 1)
    other.record("b", 2)
    assert "b" not in one
    assert dict(Journal(tmp_path)) == {"a": 1, "b": 2}
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_is_made_before_the_first_record(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.end()
    journal.remove()
    assert not dict(journal)
    assert not list(tmp_path.iterdir())


def test_what_failed_is_to_try_again_once_the_run_has_ended(tmp_path: Path) -> None:
    one, other = Journal(tmp_path), Journal(tmp_path)
    one.fail("a", "no memory")
    one.fail("b", "no memory")
    other.fail("c", "no photo")
    one.record("b", 1)
    after = Journal(tmp_path)
    assert after.failed == {"a": "no memory", "c": "no photo"}
    assert dict(after) == {"b": 1}
    one = Journal(tmp_path)
    one.end()
    assert one.failed == Journal(tmp_path).failed == {}
    Journal(tmp_path).fail("a", "again")
    assert Journal(tmp_path).failed == {"a": "again"}


def test_what_is_tried_again_has_not_failed(tmp_path: Path) -> None:
    before = Journal(tmp_path)
    before.record("a", 1)
    before.fail("b", "no memory")
    before.fail("c", "no memory")
    one, other = Journal(tmp_path), Journal(tmp_path)
    one.retry(["a", "b", "d"])
    assert one.failed == Journal(tmp_path).failed == {"c": "no memory"}
    assert dict(Journal(tmp_path)) == {"a": 1}
    one.fail("b", "again")
    other.record("c", 2)
    assert Journal(tmp_path).failed == {"b": "again"}
    assert dict(Journal(tmp_path)) == {"a": 1, "c": 2}


def test_threads_record_together(tmp_path: Path) -> None:
    journal = Journal(tmp_path)

    def record(name: str) -> None:
        for number in range(50):
            journal.record(f"{name}{number}", name * 5000)

    threads = [threading.Thread(target=record, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(tmp_path.iterdir())) == 1
    again = Journal(tmp_path)
    assert len(again) == 200
    assert all(again[key] == key[0] * 5000 for key in again)


def test_processes_record_together(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom handseg.runtime.journal import Journal\n"
        "journal = Journal(sys.argv[1])\n"
        "for number in range(200):\n    journal.record(f'{sys.argv[2]}{number}', sys.argv[2])\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "abc"]
    assert [run.wait(timeout=60) for run in runs] == [0, 0, 0]
    assert {key: value for key, value in Journal(tmp_path).items() if value != key[0]} == {}
    assert len(Journal(tmp_path)) == 600


def test_a_full_disk_costs_nothing_that_was_recorded(tmp_path: Path) -> None:
    """Nor does the next line join the one that went to the disk by half."""
    code = (
        "import resource, sys\nfrom handseg.runtime.journal import Journal\n"
        "journal = Journal(sys.argv[1])\njournal.record('a', 1)\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))\n"
        "try:\n    journal.record('b', 'long' * 3000)\nexcept OSError:\n    print('full')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "journal.record('c', 3)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert run.stdout == "full\n", run.stderr
    assert any(file.stat().st_size == 5000 for file in tmp_path.iterdir())
    assert dict(Journal(tmp_path)) == {"a": 1, "c": 3}


def test_removal_leaves_what_others_have_added(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    one, other = Journal(folder), Journal(folder)
    one.record("a", 1)
    other.record("b", 2)
    taken = Journal(folder)
    other.record("c", 3)
    taken.remove()
    assert dict(Journal(folder)) == {"b": 2, "c": 3}
    # A writer whose file was removed creates it again.
    one.record("d", 4)
    assert dict(Journal(folder)) == {"b": 2, "c": 3, "d": 4}
    Journal(folder).remove()
    assert not folder.exists()


def test_lines_that_are_no_records_are_passed_over(tmp_path: Path) -> None:
    Journal(tmp_path).record("a", 1)
    # After a power cut, file systems may leave zeros in place of data.
    with next(tmp_path.iterdir()).open("ab") as file:
        file.write(b"\0\0\0\0\n[]\n{}\n7\n" + json.dumps(["b", 2]).encode() + b"\n")
    assert dict(Journal(tmp_path)) == {"a": 1, "b": 2}
