from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.runtime.pool import AHEAD, map_bounded


@settings(deadline=None, max_examples=30)
@given(count=st.integers(0, 20), jobs=st.integers(1, 5))
def test_results_come_in_order(count: int, jobs: int) -> None:
    def late_if_early(number: int) -> int:
        time.sleep(0.001 * (number % 3 == 0))
        return number * number

    found = [(item, call.result()) for item, call in map_bounded(late_if_early, range(count), jobs)]
    assert found == [(number, number * number) for number in range(count)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_error_comes_with_its_item_and_the_rest_goes_on(jobs: int) -> None:
    def invert(number: int) -> float:
        return 1 / number

    calls = dict(map_bounded(invert, [2, 0, 4], jobs))
    assert calls[2].result() == 0.5
    assert calls[4].result() == 0.25
    with pytest.raises(ZeroDivisionError):
        calls[0].result()


@pytest.mark.parametrize("jobs", [1, 3])
def test_items_are_taken_as_they_are_needed(jobs: int) -> None:
    taken = []

    def endless() -> Iterator[int]:
        while True:
            taken.append(len(taken))
            yield taken[-1]

    with closing(map_bounded(str, endless(), jobs)) as calls:
        assert taken == []
        for asked in range(1, 20):
            next(calls)
            assert len(taken) <= asked + AHEAD * jobs
    assert len(taken) < 20 + AHEAD * jobs


def test_as_many_run_at_once_as_there_are_jobs_and_one_job_needs_no_thread() -> None:
    together = threading.Barrier(3)
    for _, call in map_bounded(lambda _: together.wait(timeout=60), range(6), 3):
        call.result()
    for _, call in map_bounded(lambda _: threading.current_thread(), range(2), 1):
        assert call.result() is threading.current_thread()


def test_closing_waits_for_what_is_begun_and_begins_no_more() -> None:
    begun, ended = [], []

    def work(number: int) -> None:
        begun.append(number)
        time.sleep(0.05)
        ended.append(number)

    with closing(map_bounded(work, range(100), 2)) as calls:
        next(calls)
    assert sorted(begun) == sorted(ended)
    assert len(begun) <= 1 + AHEAD * 2


def test_error_of_the_items_ends_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    for jobs in (1, 2):
        with pytest.raises(ValueError, match="no more"):
            list(map_bounded(str, broken(), jobs))


def test_no_jobs_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        map_bounded(str, [], 0)
