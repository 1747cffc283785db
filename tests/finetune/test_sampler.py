from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.finetune.sampler import EpochSampler, WeightedEpochSampler


class Numbers(torch.utils.data.Dataset):
    def __getitem__(self, index: int) -> int:
        return index


def names(sizes: dict[str, int]) -> list[str]:
    """Return the set of each hand."""
    return [name for name, size in sizes.items() for _ in range(size)]


@settings(deadline=None)
@given(
    small=st.integers(1, 8),
    large=st.integers(8, 60),
    weight=st.floats(0.2, 5),
    seed=st.integers(0, 99),
    passes=st.integers(1, 6),
)
def test_sets_share_a_pass_by_weight_and_take_their_hands_in_turn(
    small: int, large: int, weight: float, seed: int, passes: int
) -> None:
    sets = names({"small": small, "large": large})
    total = small + large
    try:
        weighted = WeightedEpochSampler(sets, {"small": weight, "large": 1, "unused": 9}, seed)
    except ValueError as error:
        assert "too small" in str(error)  # noqa: PT017
        assert total * min(weight, 1) / (weight + 1) < 1
        return
    shown: Counter[int] = Counter()
    for turn in range(passes):
        hands, before = weighted.draw(turn)
        assert len(hands) == total
        counts = Counter(sets[hand] for hand in hands)
        assert abs(counts["small"] - weight / (1 + weight) * total) < 1
        for hand in np.unique(hands):
            rounds = sorted(before[hands == hand])
            assert rounds == list(range(shown[hand], shown[hand] + len(rounds)))
            shown[hand] += len(rounds)
    for name in ("small", "large"):
        often = [shown[hand] for hand, one in enumerate(sets) if one == name]
        assert max(often) - min(often) <= 1


@settings(deadline=None)
@given(first=st.integers(0, 80), count=st.integers(1, 40), seed=st.integers(0, 9))
def test_a_run_can_be_resumed_anywhere(first: int, count: int, seed: int) -> None:
    weighted = WeightedEpochSampler(names({"a": 3, "b": 13}), {"a": 1, "b": 2}, seed)
    order = EpochSampler(Numbers(), 16, 4, seed, weighted)
    run = [order.between(0, first + count)[n] for n in range(first + count)]
    part = order.between(first, first + count)
    assert [part[n] for n in range(len(part))] == run[first:]
    assert max(run) < 16 * 4
    again = EpochSampler(Numbers(), 16, 4, seed, weighted).between(0, first + count)
    assert [again[n] for n in range(first + count)] == run


def test_a_repeated_hand_is_shown_in_its_next_view() -> None:
    weighted = WeightedEpochSampler(["a", "b", "b", "b", "b", "b"], {"a": 1, "b": 1}, 0)
    part = EpochSampler(Numbers(), 6, 2, 0, weighted).between(0, 12)
    shown = [part[n] for n in range(12)]
    assert sorted(item for item in shown[:6] if item < 2) == [0, 0, 1]
    assert sorted(item for item in shown[6:] if item < 2) == [0, 1, 1]


def test_without_weights_the_order_is_what_it_was() -> None:
    order = EpochSampler(Numbers(), 5, 3, 7).between(0, 15)
    assert [order[n] for n in range(15)] == [6, 9, 12, 0, 3, 1, 10, 4, 7, 13, 11, 2, 5, 14, 8]


def test_weights_must_fit_the_sets() -> None:
    with pytest.raises(ValueError, match="none for b, got a"):
        WeightedEpochSampler(["a", "b"], {"a": 1}, 0)
    with pytest.raises(ValueError, match=r"weight 0\.01 of b is too small: .* pass of 10"):
        WeightedEpochSampler(["a"] * 9 + ["b"], {"a": 1, "b": 0.01}, 0)
