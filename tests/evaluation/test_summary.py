"""Summaries of many photos against hand-computed values and bootstrap invariants."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.evaluation.metrics import MaskMetrics, compare_masks
from handseg.evaluation.summary import bootstrap_means, group_members, matlab_scores, summarise


def photos_of(*ious: float) -> list[MaskMetrics]:
    """Score photos of 1 x 100 px, all hand, of which these shares are found."""
    truth = np.ones((1, 100), bool)
    return [compare_masks(np.arange(100)[None] < 100 * iou, truth) for iou in ious]


def test_summary_keeps_misses_and_pools_pixels() -> None:
    small = np.ones((3, 4), bool)  # a diagonal of 5
    large = np.zeros((30, 40), bool)
    large[:, :20] = True
    near = np.zeros((30, 40), bool)
    near[:, :15] = True
    photos = [compare_masks(small, small), compare_masks(near, large), compare_masks(~small, small)]
    summary = summarise(photos)
    assert (summary.photos, summary.missed) == (3, 1)
    iou = summary.metrics["iou"]
    assert iou["mean"] == pytest.approx((1 + 0.75 + 0) / 3)
    assert iou["median"] == pytest.approx(0.75)
    assert iou["worst"] == 0
    assert iou["pooled"] == pytest.approx((12 + 450) / (12 + 600 + 12))
    assert summary.metrics["pixel_accuracy"]["pooled"] == pytest.approx((12 + 1050) / 1224)
    distance = summary.metrics["mean_distance_px"]
    assert distance["worst"] == 5
    assert distance["median"] == pytest.approx(photos[1].mean_distance_px)
    assert "pooled" not in distance
    assert summary.metrics["mean_signed_distance_px"]["worst"] == -5
    json.dumps(asdict(summary), allow_nan=False)


def test_summary_needs_photos() -> None:
    with pytest.raises(ValueError, match="at least one"):
        summarise([])


def test_percentiles_are_of_the_photos() -> None:
    iou = summarise(photos_of(*np.arange(0, 1.001, 0.05))).metrics["iou"]
    assert iou["percentile_5"] == pytest.approx(0.05)
    assert iou["percentile_95"] == pytest.approx(0.95)


def test_interval_of_a_mean_agrees_with_the_theory() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.9, 0.05, 400)
    low, high = bootstrap_means(values[:, None], np.arange(400), seed=0)
    half = 1.96 * values.std() / np.sqrt(400)
    assert low[0] == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high[0] == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for seed in range(60):
        values = rng.normal(0, 1, (40, 1))
        low, high = bootstrap_means(values, np.arange(40), seed)
        covered += bool(low[0] <= 0 <= high[0])
    assert 52 <= covered < 60


def test_photos_of_one_person_are_drawn_together() -> None:
    ious = [0.5] * 10 + [0.9] * 10
    people = ["a"] * 10 + ["b"] * 10
    alone = summarise(photos_of(*ious))
    grouped = summarise(photos_of(*ious), people)
    assert (alone.resampled, alone.units) == ("photos", 20)
    assert (grouped.resampled, grouped.units) == ("groups", 2)
    assert grouped.metrics["iou"]["mean"] == alone.metrics["iou"]["mean"] == pytest.approx(0.7)
    # Two people give only the means 0.5, 0.7 and 0.9; each extreme has probability 1/4.
    assert grouped.metrics["iou"]["mean_low"] == pytest.approx(0.5)
    assert grouped.metrics["iou"]["mean_high"] == pytest.approx(0.9)
    assert 0.6 < alone.metrics["iou"]["mean_low"] < 0.65


def test_large_groups_weigh_as_much_as_their_photos() -> None:
    members = np.concatenate([np.arange(20), np.repeat(np.arange(20, 40), 9)])
    low, high = bootstrap_means((members >= 20)[:, None] * 1.0, members, seed=0)
    assert 0.8 < low[0] < 0.9 < high[0] < 0.96


@pytest.mark.parametrize(
    ("groups", "members"),
    [
        ([None, None, None], [0, 1, 2]),
        (["a", "a", "a"], [0, 1, 2]),
        (["a", "b", "a"], [0, 1, 0]),
        ([None, "b", None, "b"], [0, 1, 2, 1]),
        (["a"], [0]),
    ],
)
def test_units_of_the_bootstrap(groups: list[str | None], members: list[int]) -> None:
    assert group_members(groups).tolist() == members


def test_groups_of_one_photo_each_are_photos() -> None:
    summary = summarise(photos_of(0.5, 0.6), ["a", "b"])
    assert (summary.resampled, summary.units) == ("photos", 2)
    assert summary.metrics == summarise(photos_of(0.5, 0.6)).metrics


@settings(deadline=None, max_examples=25)
@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_intervals_repeat_and_lie_among_the_values(
    values: list[float], seed: int, data: st.DataObject
) -> None:
    groups = data.draw(st.lists(st.sampled_from("abc"), min_size=len(values), max_size=len(values)))
    column, members = np.array(values)[:, None], group_members(groups)
    low, high = bootstrap_means(column, members, seed)
    assert min(values) - 1e-12 <= low[0] <= high[0] <= max(values) + 1e-12
    assert bootstrap_means(column, members, seed)[0] == low


def test_other_seeds_draw_other_photos() -> None:
    photos = photos_of(*np.linspace(0.2, 0.9, 13))
    one, other = (summarise(photos, seed=seed).metrics["iou"]["mean_low"] for seed in (0, 1))
    assert one != other
    assert one == pytest.approx(other, abs=0.03)


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall)


def test_scores_by_matlabs_definitions() -> None:
    truth = np.zeros((20, 50), bool)
    truth[:, :10] = True
    wide = np.zeros_like(truth)
    wide[:, :15] = True
    scores = matlab_scores(summarise([compare_masks(wide, truth), compare_masks(truth, truth)]))
    # Of 2 x 1,000 pixels, 400 are hand, all found; of the other 1,600, 100 are called hand.
    assert scores["hand"]["Accuracy"] == 1
    assert scores["background"]["Accuracy"] == pytest.approx(1500 / 1600)
    assert scores["hand"]["IoU"] == pytest.approx(400 / 500)
    assert scores["background"]["IoU"] == pytest.approx(1500 / 1600)
    # At a tolerance below a pixel, contours match only along the frame, where both have it.
    assert 0.0075 * np.hypot(20, 50) < 1
    hand = f1(38 / (15 + 15 + 18 + 18), 38 / (10 + 10 + 18 + 18))
    other = f1(88 / (35 + 35 + 18 + 18), 88 / (40 + 40 + 18 + 18))
    assert scores["hand"]["MeanBFScore"] == pytest.approx((1 + hand) / 2)
    assert scores["background"]["MeanBFScore"] == pytest.approx((1 + other) / 2)
    whole = scores["data set"]
    assert whole["GlobalAccuracy"] == pytest.approx(1900 / 2000)
    assert whole["MeanAccuracy"] == pytest.approx((1 + 1500 / 1600) / 2)
    assert whole["MeanIoU"] == pytest.approx((400 / 500 + 1500 / 1600) / 2)
    assert whole["WeightedIoU"] == pytest.approx((400 * 400 / 500 + 1600 * 1500 / 1600) / 2000)
    assert whole["MeanBFScore"] == pytest.approx(
        (scores["hand"]["MeanBFScore"] + scores["background"]["MeanBFScore"]) / 2
    )
