from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handseg.evaluation.counts import ClassScores, PixelCounts

COUNTS = st.builds(PixelCounts, *[st.integers(0, 1000)] * 4)


def test_scores_of_both_classes() -> None:
    counts = PixelCounts(true_positives=6, false_positives=2, false_negatives=4, true_negatives=88)
    hand, background = counts.classes["hand"], counts.classes["background"]
    assert hand.precision == pytest.approx(6 / 8)
    assert hand.recall == pytest.approx(6 / 10)
    assert hand.f1 == pytest.approx(12 / 18)
    assert background.precision == pytest.approx(88 / 92)
    assert background.recall == pytest.approx(88 / 90)
    assert background.f1 == pytest.approx(176 / 182)
    assert (hand.support, background.support) == (10, 90)
    assert counts.pixel_accuracy == pytest.approx(0.94)


def test_confusion_is_true_class_then_called_class() -> None:
    confusion = PixelCounts(
        true_positives=6, false_positives=2, false_negatives=4, true_negatives=88
    ).confusion
    assert confusion == {
        "hand": {"hand": 6, "background": 4},
        "background": {"hand": 2, "background": 88},
    }


def test_nothing_called_or_nothing_there_is_no_division_by_zero() -> None:
    missed = PixelCounts(0, 0, 5, 5).classes["hand"]
    assert missed == ClassScores(precision=0, recall=0, f1=0, support=5)
    invented = PixelCounts(0, 5, 0, 5).classes["hand"]
    assert invented == ClassScores(precision=0, recall=0, f1=0, support=0)
    absent = PixelCounts(0, 0, 0, 5).classes["hand"]
    assert absent == ClassScores(precision=1, recall=1, f1=1, support=0)


@given(counts=COUNTS)
def test_classes_agree_with_the_pixels_they_count(counts: PixelCounts) -> None:
    sizes = [
        counts.true_positives,
        counts.false_positives,
        counts.false_negatives,
        counts.true_negatives,
    ]
    called = np.repeat([True, True, False, False], sizes)
    truth = np.repeat([True, False, True, False], sizes)
    for name, scores in counts.classes.items():
        value = name == "hand"
        assert scores.support == (truth == value).sum()
        if (called == value).any():
            assert scores.precision == pytest.approx((truth[called == value] == value).mean())
        if scores.support:
            assert scores.recall == pytest.approx((called[truth == value] == value).mean())
        if scores.precision + scores.recall:
            harmonic = 2 * scores.precision * scores.recall / (scores.precision + scores.recall)
            assert scores.f1 == pytest.approx(harmonic)
    assert counts.classes["hand"].f1 == pytest.approx(counts.dice)


@given(one=COUNTS, other=COUNTS)
def test_sums_count_all_pixels(one: PixelCounts, other: PixelCounts) -> None:
    total = one + other
    assert sum(scores.support for scores in total.classes.values()) == sum(
        scores.support for counts in (one, other) for scores in counts.classes.values()
    )
