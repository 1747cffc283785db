"""Mask metrics against hand-computed values, independent references and invariants."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.metrics import hausdorff_distance

from handseg.evaluation.counts import PixelCounts
from handseg.evaluation.metrics import MaskMetrics, compare_masks

SCORES = ("iou", "dice", "pixel_accuracy", "boundary_f", "boundary_iou", "mean_iou_with_background")
DISTANCES = ("mean_distance_px", "hausdorff_95_px")


def grid(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def blobs(seed: int, shape: tuple[int, int] = (90, 120)) -> np.ndarray:
    """Make smooth shapes with holes and islands, some cut by the frame."""
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 5) > 0


def contour(mask: np.ndarray) -> np.ndarray:
    """Return row, column (N, 2) of mask pixels with a 4-neighbour outside the mask."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.argwhere(mask & ~inner)


@st.composite
def pairs(draw: st.DrawFn, smallest: int = 1) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=smallest, max_side=12))
    mask = hnp.arrays(bool, shape)
    return draw(mask), draw(mask)


def test_squares_shifted_by_one_pixel() -> None:
    truth = grid("....", ".##.", ".##.", "....")
    prediction = grid("....", "..##", "..##", "....")
    metrics = compare_masks(prediction, truth, boundary_tolerance=1)
    assert metrics.counts == PixelCounts(2, 2, 2, 10)
    assert metrics.iou == pytest.approx(2 / 6)
    assert metrics.dice == pytest.approx(4 / 8)
    assert metrics.pixel_accuracy == pytest.approx(12 / 16)
    assert metrics.mean_iou_with_background == pytest.approx((2 / 6 + 10 / 14) / 2)
    assert metrics.boundary_iou == pytest.approx(2 / 6)
    assert metrics.mean_distance_px == pytest.approx(0.5)
    assert metrics.hausdorff_95_px == pytest.approx(1)
    assert metrics.mean_signed_distance_px == pytest.approx(0)
    assert metrics.mean_distance_per_mille == pytest.approx(500 / math.sqrt(32))
    assert metrics.hausdorff_95_per_mille == pytest.approx(1000 / math.sqrt(32))


def test_signed_distance_is_positive_when_the_prediction_is_too_large() -> None:
    small = grid(".....", ".....", "..#..", ".....", ".....")
    large = grid(".....", "..#..", ".###.", "..#..", ".....")
    assert compare_masks(large, small).mean_signed_distance_px == pytest.approx(1)
    assert compare_masks(small, large).mean_signed_distance_px == pytest.approx(-1)
    assert compare_masks(small, large).mean_signed_distance_per_mille == pytest.approx(
        -1000 / math.sqrt(50)
    )


def test_a_wrongly_filled_hole_reaches_outside() -> None:
    thick = np.pad(np.ones((9, 9), bool), 1)
    holed = thick.copy()
    holed[4:7, 4:7] = False
    assert compare_masks(thick, holed).mean_signed_distance_px > 0
    assert compare_masks(holed, thick).mean_signed_distance_px < 0


@pytest.mark.parametrize(("tolerance", "expected"), [(1, 0.5), (1.01, 1.0), (0.17, 0.5), (0.18, 1)])
def test_tolerance_is_a_fraction_below_one_and_pixels_above(
    tolerance: float, expected: float
) -> None:
    truth = grid("....", ".##.", ".##.", "....")
    prediction = grid("....", "..##", "..##", "....")
    metrics = compare_masks(prediction, truth, boundary_tolerance=tolerance)
    assert metrics.boundary_f == pytest.approx(expected)  # 1 px is 0.1768 of the diagonal


def test_default_tolerance_is_that_of_bfscore() -> None:
    truth = np.zeros((300, 400), bool)  # a diagonal of 500 px: 3.75 px
    truth[100:200, 100:200] = True
    assert compare_masks(np.roll(truth, 3, axis=1), truth).boundary_f == 1
    assert compare_masks(np.roll(truth, 4, axis=1), truth).boundary_f < 1


def test_pixels_along_the_frame_are_contour() -> None:
    truth = grid("####", "####", "####", "####")
    prediction = grid("###.", "###.", "###.", "###.")
    metrics = compare_masks(prediction, truth, boundary_tolerance=1)
    # Truth: 12 contour pixels, the 8 of the first three columns shared; prediction: 10, 8 shared.
    precision, recall = 8 / 10, 8 / 12
    assert metrics.boundary_f == pytest.approx(2 * precision * recall / (precision + recall))
    assert metrics.mean_distance_px == pytest.approx((2 * 1 + 4 * 1) / 22)
    assert metrics.mean_signed_distance_px == pytest.approx(-6 / 22)


def references(prediction: np.ndarray, truth: np.ndarray, tolerance: float) -> dict[str, float]:
    """Compute the metrics from nearest neighbours among listed contour pixels."""
    ours, theirs = contour(prediction), contour(truth)
    to_truth, to_prediction = cKDTree(theirs).query(ours)[0], cKDTree(ours).query(theirs)[0]
    precision, recall = (to_truth < tolerance).mean(), (to_prediction < tolerance).mean()
    signs = [-1 if truth[tuple(pixel)] else 1 for pixel in ours]
    signs += [1 if prediction[tuple(pixel)] else -1 for pixel in theirs]
    distances = np.concatenate([to_truth, to_prediction])
    width = max(1, round(0.02 * math.hypot(*truth.shape)))
    bands = [
        mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width)
        for mask in (prediction, truth)
    ]
    return {
        "boundary_f": 2 * precision * recall / (precision + recall) if precision + recall else 0,
        "boundary_iou": (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum(),
        "mean_distance_px": distances.mean(),
        "hausdorff_95_px": max(np.percentile(to_truth, 95), np.percentile(to_prediction, 95)),
        "mean_signed_distance_px": (np.array(signs) * distances).mean(),
    }


def assert_matches_references(
    prediction: np.ndarray, truth: np.ndarray, tolerance: float
) -> MaskMetrics:
    metrics = compare_masks(prediction, truth, boundary_tolerance=tolerance)
    for name, expected in references(prediction, truth, tolerance).items():
        assert getattr(metrics, name) == pytest.approx(expected, abs=1e-9), name
    return metrics


@settings(deadline=None, max_examples=150)
@given(pair=pairs(), tolerance=st.sampled_from([1.0, 2.0, 2.5, 5.0]))
def test_any_masks_match_brute_force(pair: tuple[np.ndarray, np.ndarray], tolerance: float) -> None:
    prediction, truth = pair
    if prediction.any() and truth.any():
        assert_matches_references(prediction, truth, tolerance)


@pytest.mark.parametrize("seed", range(3))
def test_shapes_match_brute_force(seed: int) -> None:
    truth = blobs(seed)
    moved = np.roll(truth, (2, -3), axis=(0, 1)) ^ (blobs(seed + 100) & blobs(seed + 200))
    metrics = assert_matches_references(moved, truth, 2.0)
    assert 0.2 < metrics.boundary_f < 0.95  # an extreme would make the comparison meaningless


def test_contour_distances_match_scipy_and_skimage() -> None:
    prediction, truth = blobs(7), blobs(8)
    rims = [np.zeros(truth.shape, bool), np.zeros(truth.shape, bool)]
    for rim, mask in zip(rims, (prediction, truth), strict=True):
        rim[tuple(contour(mask).T)] = True
    distances = np.concatenate(
        [
            ndimage.distance_transform_edt(~rims[1])[rims[0]],
            ndimage.distance_transform_edt(~rims[0])[rims[1]],
        ]
    )
    metrics = compare_masks(prediction, truth)
    assert metrics.mean_distance_px == pytest.approx(distances.mean())
    largest = hausdorff_distance(*rims)
    assert 0.5 * largest < metrics.hausdorff_95_px <= largest
    # A distant island of a few pixels changes the largest distance, not the 95th percentile.
    rod = np.zeros((60, 300), bool)
    rod[10:50, 10:100] = True
    island = rod.copy()
    island[30, 290] = True
    assert compare_masks(island, rod).hausdorff_95_px == 0


@settings(deadline=None)
@given(pair=pairs())
def test_swapping_the_masks_keeps_scores_and_turns_the_sign(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    there = compare_masks(*pair, boundary_tolerance=1.5)
    back = compare_masks(*reversed(pair), boundary_tolerance=1.5)
    for name in SCORES + DISTANCES:
        assert getattr(there, name) == pytest.approx(getattr(back, name)), name
    assert there.mean_signed_distance_px == pytest.approx(-back.mean_signed_distance_px)


@settings(deadline=None)
@given(pair=pairs())
def test_values_stay_in_range(pair: tuple[np.ndarray, np.ndarray]) -> None:
    metrics = compare_masks(*pair)
    diagonal = math.hypot(*pair[0].shape)
    assert all(0 <= getattr(metrics, name) <= 1 for name in SCORES)
    assert metrics.iou <= metrics.dice
    assert abs(metrics.mean_signed_distance_px) <= metrics.mean_distance_px + 1e-9
    assert all(0 <= getattr(metrics, name) <= diagonal for name in DISTANCES)
    per_mille = metrics.mean_distance_px / diagonal * 1000
    assert metrics.mean_distance_per_mille == pytest.approx(per_mille)
    assert sum(asdict(metrics.counts).values()) == pair[0].size


@settings(deadline=None)
@given(pair=pairs())
def test_a_mask_agrees_with_itself(pair: tuple[np.ndarray, np.ndarray]) -> None:
    mask = pair[0]
    metrics = compare_masks(mask, mask.copy())
    assert all(getattr(metrics, name) == 1 for name in SCORES)
    assert metrics.mean_distance_px == metrics.hausdorff_95_px == 0
    assert metrics.mean_signed_distance_px == 0


@settings(deadline=None)
@given(pair=pairs(), down=st.integers(-5, 5), right=st.integers(-5, 5))
def test_moving_a_mask_moves_its_contour_no_farther(
    pair: tuple[np.ndarray, np.ndarray], down: int, right: int
) -> None:
    truth = np.pad(pair[0], 5)
    truth[5, 5] = True
    metrics = compare_masks(np.roll(truth, (down, right), axis=(0, 1)), truth)
    assert metrics.mean_distance_px <= math.hypot(down, right) + 1e-9
    assert metrics.hausdorff_95_px <= math.hypot(down, right) + 1e-9


@settings(deadline=None)
@given(pair=pairs(), widths=st.tuples(*[st.integers(0, 4)] * 4))
def test_background_around_the_photo_changes_no_distance_in_pixels(
    pair: tuple[np.ndarray, np.ndarray], widths: tuple[int, int, int, int]
) -> None:
    prediction, truth = pair
    prediction[0, 0] = truth[-1, -1] = True  # a miss counts as the diagonal, which does change
    padding = (widths[:2], widths[2:])
    before = compare_masks(prediction, truth, boundary_tolerance=2)
    after = compare_masks(np.pad(prediction, padding), np.pad(truth, padding), boundary_tolerance=2)
    for name in (*DISTANCES, "mean_signed_distance_px", "boundary_f", "iou", "dice"):
        assert getattr(after, name) == pytest.approx(getattr(before, name)), name


def test_boundary_iou_looks_only_at_a_band() -> None:
    truth = np.zeros((300, 400), bool)  # a band of 10 px
    truth[50:250, 100:300] = True
    holed = truth.copy()
    holed[120:180, 170:230] = False
    wide = compare_masks(holed, truth)
    band = 200**2 - 180**2
    assert wide.boundary_iou == pytest.approx(band / (band + 80**2 - 60**2))


def test_memory_layout_does_not_matter() -> None:
    prediction, truth = blobs(1), blobs(2)
    expected = compare_masks(prediction, truth)
    assert compare_masks(np.asfortranarray(prediction), np.asfortranarray(truth)) == expected
    flipped = compare_masks(prediction[::-1, ::-1], truth[::-1, ::-1])
    assert flipped.boundary_f == expected.boundary_f
    prediction.flags.writeable = truth.flags.writeable = False
    assert compare_masks(prediction, truth) == expected


@pytest.mark.parametrize(("found", "present", "sign"), [(False, True, -1), (True, False, 1)])
def test_one_empty_mask_counts_as_the_worst(found: bool, present: bool, sign: int) -> None:
    hand = np.zeros((30, 40), bool)
    hand[5:10, 5:10] = True
    metrics = compare_masks(hand & found, hand & present)
    assert metrics.iou == metrics.dice == metrics.boundary_f == metrics.boundary_iou == 0
    assert metrics.mean_distance_px == metrics.hausdorff_95_px == 50
    assert metrics.mean_distance_per_mille == metrics.hausdorff_95_per_mille == 1000
    assert metrics.mean_signed_distance_px == 50 * sign
    assert metrics.pixel_accuracy == pytest.approx(1 - 25 / 1200)
    assert metrics.missed is present


def test_two_empty_masks_agree() -> None:
    empty = np.zeros((30, 40), bool)
    metrics = compare_masks(empty, empty)
    assert all(getattr(metrics, name) == 1 for name in SCORES)
    assert metrics.mean_distance_px == metrics.mean_signed_distance_px == 0
    assert not metrics.missed


def test_a_hand_found_elsewhere_is_no_miss() -> None:
    left, right = grid("#...."), grid("....#")
    metrics = compare_masks(left, right)
    assert metrics.iou == 0
    assert metrics.mean_distance_px == 4
    assert not metrics.missed


def test_as_dict_is_flat_and_valid_json() -> None:
    hand = np.ones((3, 4), bool)
    for prediction in (hand, ~hand):
        row = compare_masks(prediction, hand).as_dict()
        assert json.loads(json.dumps(row, allow_nan=False)) == row
        assert row["true_positives"] + row["false_negatives"] == 12
        assert {*SCORES, *DISTANCES} < set(row)
        assert all(type(value) in (int, float) for value in row.values())


@pytest.mark.parametrize("shape", [(4, 5), (5, 4, 1), (20,)])
def test_shapes_must_agree(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"one shape.*\(5, 4\)") as caught:
        compare_masks(np.zeros((5, 4), bool), np.zeros(shape, bool))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("shape", [(4,), (4, 4, 3), (0, 4)])
def test_masks_must_be_pictures(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        compare_masks(np.zeros(shape, bool), np.zeros(shape, bool))


def test_masks_must_be_bool() -> None:
    mask = np.zeros((5, 4), bool)
    with pytest.raises(ValueError, match=r"bool.*\(5, 4\) bool and \(5, 4\) uint8"):
        compare_masks(mask, mask.astype(np.uint8))
    with pytest.raises(ValueError, match=r"bool.*\(5, 4\) float32 and"):
        compare_masks(mask.astype(np.float32), mask)


@pytest.mark.parametrize("tolerance", [0, -1, math.nan, math.inf])
def test_tolerance_must_be_positive(tolerance: float) -> None:
    mask = np.ones((5, 4), bool)
    with pytest.raises(ValueError, match="boundary_tolerance"):
        compare_masks(mask, mask, boundary_tolerance=tolerance)
