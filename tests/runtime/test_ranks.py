from __future__ import annotations

import pytest

from handseg.runtime.ranks import Rank

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_process_of_its_own_is_the_only_one() -> None:
    assert Rank.of_this_process() == Rank(0, 1, 0, 1)


def test_launchers_say_which_process_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, ("5", "8", "1", "4"), strict=True):
        monkeypatch.setenv(name, value)
    assert Rank.of_this_process() == Rank(5, 8, 1, 4)


@pytest.mark.parametrize("number", ["2", "-1", "one"])
def test_variables_that_fit_no_run_are_refused(
    monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    monkeypatch.setenv("RANK", number)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="RANK"):
        Rank.of_this_process()


@pytest.mark.parametrize(
    ("visible", "number", "expected"),
    [
        (None, 0, "0"),
        (None, 3, "3"),
        ("4,6", 1, "6"),
        ("4", 1, ""),
        ("", 0, ""),
        ("MIG-a,MIG-b", 0, "MIG-a"),
    ],
)
def test_each_process_of_a_machine_takes_its_own_gpu(
    visible: str | None, number: int, expected: str
) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    Rank(number, 4, number, 4).take_gpu(environment)
    assert environment == {"CUDA_VISIBLE_DEVICES": expected}


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_processes_share_all_and_each_once(count: int) -> None:
    shares = [Rank(number, count).share(range(7)) for number in range(count)]
    assert sorted(item for share in shares for item in share) == list(range(7))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_single_process_keeps_all_gpus() -> None:
    environment: dict[str, str] = {}
    Rank().take_gpu(environment)
    assert environment == {}
