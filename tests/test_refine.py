from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from handseg.hand import Hand
from handseg.prompts.anatomy import wrist_side
from handseg.refine import (
    LOGIT_LIMIT,
    clean_logits,
    cut_at_wrist,
    smooth_logits,
    upsample_to_alpha,
)

NO_SEEDS = np.zeros((0, 2), np.float32)
SIZE = 64


def blocks(*boxes: tuple[int, int, int, int], inside: float = 5.0) -> np.ndarray:
    """-5 with rectangles x, y, width, height of `inside`."""
    logits = np.full((SIZE, SIZE), -5, np.float32)
    for x, y, width, height in boxes:
        logits[y : y + height, x : x + width] = inside
    return logits


def disc_logits(size: int, centre: tuple[float, float], radius: float, slope: float) -> np.ndarray:
    """`slope` times the signed distance to a circle, in pixels of the mask."""
    y, x = np.mgrid[:size, :size]
    return (slope * (radius - np.hypot(x - centre[0], y - centre[1]))).astype(np.float32)


LOGITS = npst.arrays(np.float32, (16, 16), elements=st.floats(-40, 40, width=32))
SEEDS = npst.arrays(
    np.float32, st.tuples(st.integers(0, 5), st.just(2)), elements=st.floats(-30, 50, width=32)
)
HAND, ISLAND = (5, 5, 30, 40), (45, 50, 4, 5)


class TestIslands:
    def test_without_a_seed_goes(self) -> None:
        cleaned = clean_logits(blocks(HAND, ISLAND), np.array([[20, 20]]))
        np.testing.assert_array_equal(cleaned, blocks(HAND))

    def test_with_a_seed_stays(self) -> None:
        logits = blocks(HAND, ISLAND)
        np.testing.assert_array_equal(
            clean_logits(logits, np.array([[20, 20], [46.4, 51]])), logits
        )

    def test_seeds_are_x_and_y(self) -> None:
        logits = blocks((5, 5, 30, 20), (5, 50, 4, 5))
        kept = clean_logits(logits, np.array([[6, 52]]))
        np.testing.assert_array_equal(kept, logits)
        dropped = clean_logits(logits, np.array([[52, 6]]))
        np.testing.assert_array_equal(dropped, blocks((5, 5, 30, 20)))

    def test_largest_stays_without_a_seed(self) -> None:
        logits = blocks(HAND, ISLAND)
        np.testing.assert_array_equal(clean_logits(logits, NO_SEEDS), blocks(HAND))
        only_the_island = clean_logits(logits, np.array([[46, 51]]))
        np.testing.assert_array_equal(only_the_island, logits)

    def test_touching_by_a_corner_is_an_island(self) -> None:
        logits = blocks((5, 5, 20, 20), (25, 25, 3, 3))
        np.testing.assert_array_equal(clean_logits(logits, NO_SEEDS), blocks((5, 5, 20, 20)))

    def test_seeds_outside_are_passed_over(self) -> None:
        seeds = np.array([[-3, 51], [46, -1], [64, 51], [46, 900], [63.6, 2]], np.float32)
        np.testing.assert_array_equal(clean_logits(blocks(HAND, ISLAND), seeds), blocks(HAND))

    def test_keep_their_logits_but_for_the_sign(self) -> None:
        logits = blocks(HAND)
        logits[50, 45:48] = [0.25, 3, 40]
        cleaned = clean_logits(logits, NO_SEEDS)
        np.testing.assert_array_equal(cleaned[50, 45:48], [-0.25, -3, -LOGIT_LIMIT])


class TestHoles:
    def test_pinhole_is_filled(self) -> None:
        logits = blocks(HAND)
        logits[20, 20:22] = [-5, -0.5]
        cleaned = clean_logits(logits, NO_SEEDS)
        np.testing.assert_array_equal(cleaned[20, 20:22], [5, 0.5])
        assert ((cleaned > 0) == (blocks(HAND) > 0)).all()

    @pytest.mark.parametrize(("width", "stays"), [(1, False), (2, False), (3, True), (8, True)])
    def test_limit_is_a_share_of_the_hand(self, width: int, stays: bool) -> None:
        # 0.4 % of 30 x 40 less the hole itself: between 4 and 5 px.
        logits = blocks(HAND)
        logits[20 : 20 + width, 20 : 20 + width] = -5
        cleaned = clean_logits(logits, NO_SEEDS)
        assert (cleaned[20, 20] < 0) == stays

    def test_share_can_be_chosen(self) -> None:
        logits = blocks(HAND)
        logits[20:30, 20:30] = -5
        assert clean_logits(logits, NO_SEEDS, hole_share=0.1)[25, 25] > 0
        assert clean_logits(logits, NO_SEEDS, hole_share=0.05)[25, 25] < 0

    @pytest.mark.parametrize("window", [(0, 20), (63, 20), (20, 0), (20, 63)])
    def test_at_the_edge_is_none(self, window: tuple[int, int]) -> None:
        logits = blocks((0, 0, SIZE, SIZE))
        logits[window] = -5
        np.testing.assert_array_equal(clean_logits(logits, NO_SEEDS), logits)

    def test_diagonal_gap_is_no_hole(self) -> None:
        # A one-pixel slit that runs out of the hand by its corners.
        logits = blocks((5, 5, 30, 30))
        for step in range(4):
            logits[5 + step, 10 + step] = -5
        np.testing.assert_array_equal(clean_logits(logits, NO_SEEDS), logits)

    def test_dropped_island_inside_a_ring_leaves_a_hole(self) -> None:
        logits = blocks((5, 5, 50, 50))
        logits[15:45, 15:45] = -5
        logits[29:31, 29:31] = 5
        cleaned = clean_logits(logits, NO_SEEDS)
        assert (cleaned[15:45, 15:45] < 0).all()
        assert (cleaned[5:15, 5:55] > 0).all()

    def test_is_filled_with_the_island_dropped_in_it(self) -> None:
        logits = blocks(HAND)
        logits[20:23, 20:23] = -5
        logits[21, 21] = 5
        cleaned = clean_logits(logits, NO_SEEDS, hole_share=0.02)
        assert ((cleaned > 0) == (blocks(HAND) > 0)).all()


class TestCleanLogits:
    @given(LOGITS, SEEDS)
    @settings(deadline=None)
    def test_rules_that_always_hold(self, logits: np.ndarray, seeds: np.ndarray) -> None:
        before = logits.copy()
        cleaned = clean_logits(logits, seeds)
        np.testing.assert_array_equal(logits, before)
        assert cleaned.dtype == np.float32
        np.testing.assert_array_equal(np.abs(cleaned), np.minimum(np.abs(logits), LOGIT_LIMIT))

        # The largest island stays, and so does each with a seed on it.
        _, labels, stats, _ = cv2.connectedComponentsWithStats(
            (logits > 0).astype(np.uint8), connectivity=4
        )
        sizes = stats[1:, cv2.CC_STAT_AREA]
        assert (cleaned > 0).sum() >= sizes.max(initial=0)
        x, y = seeds.round().astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < 16) & (y < 16)
        for label in set(labels[y[inside], x[inside]]) - {0}:
            assert (cleaned[labels == label] > 0).all()

    @given(LOGITS, SEEDS)
    @settings(deadline=None)
    def test_twice_is_once(self, logits: np.ndarray, seeds: np.ndarray) -> None:
        once = clean_logits(logits, seeds, hole_share=0)
        np.testing.assert_array_equal(clean_logits(once, seeds, hole_share=0), once)

    @pytest.mark.parametrize("value", [-3.0, 0.0, 3.0])
    def test_all_or_nothing_stays(self, value: float) -> None:
        logits = np.full((8, 8), value, np.float32)
        np.testing.assert_array_equal(clean_logits(logits, np.array([[3, 3]])), logits)


class TestUpsample:
    @given(seed=st.integers(0, 10_000), side=st.integers(4, 300), softness=st.floats(0.5, 3))
    @settings(deadline=None)
    def test_half_is_where_the_logit_is_zero(self, seed: int, side: int, softness: float) -> None:
        noise = np.random.default_rng(seed).normal(size=(24, 24)).astype(np.float32)
        logits = cv2.GaussianBlur(noise, (0, 0), 2.5)
        logits *= 10 / np.abs(logits).max()
        alpha = upsample_to_alpha(logits, side, softness)
        assert alpha.shape == (side, side)
        assert alpha.dtype == np.uint8
        up = cv2.resize(logits, (side, side), interpolation=cv2.INTER_CUBIC)
        certain = np.abs(up) > 0.5
        np.testing.assert_array_equal((alpha >= 128)[certain], (up > 0)[certain])

    @given(LOGITS, st.integers(16, 100))
    @settings(deadline=None)
    def test_is_hard_away_from_the_coarse_contour(self, logits: np.ndarray, side: int) -> None:
        alpha = upsample_to_alpha(logits, side)
        coarse = np.pad(logits > 0, 1, mode="edge")
        around = np.lib.stride_tricks.sliding_window_view(coarse, (3, 3))
        # The coarse pixel that each fine one lies in; those that start with it may round to either.
        cell, into = np.divmod(np.arange(side) * 16, side)
        sure = np.flatnonzero(into)
        alpha, around = alpha[np.ix_(sure, sure)], around[np.ix_(cell[sure], cell[sure])]
        assert (alpha[np.all(around, axis=(2, 3))] == 255).all()
        assert (alpha[~np.any(around, axis=(2, 3))] == 0).all()

    @pytest.mark.parametrize(
        ("side", "softness"),
        [(50, 1), (50, 2), (50, 4), (96, 1), (96, 2), (250, 1), (250, 2), (250, 4), (700, 2)],
    )
    @pytest.mark.parametrize("slope", [0.5, 3.0])
    def test_edge_is_as_soft_as_asked_at_any_scale(
        self, side: int, softness: float, slope: float
    ) -> None:
        size = 96
        x = np.arange(size, dtype=np.float32) - 47.3
        logits = np.tile(np.clip(-slope * x, -12, 12), (size, 1))
        alpha = upsample_to_alpha(logits, side, softness).astype(float) / 255
        row = alpha[side // 2]
        soft = ((row > 0.02) & (row < 0.98)).sum()
        assert softness - 1 <= soft <= softness + 1
        # OpenCV's cubic bends a straight ramp by up to 0.05 px of the mask.
        edge = (47.3 + 0.5) * side / size
        assert row.sum() == pytest.approx(edge, abs=0.1 + 0.05 * side / size)

    @given(
        centre=st.tuples(*[st.floats(40, 56)] * 2),
        radius=st.floats(10, 32),
        slope=st.floats(0.5, 6),
        scale=st.sampled_from([0.75, 1, 2, 3.3, 8]),
    )
    @settings(deadline=None, max_examples=40)
    def test_contour_of_a_disc(
        self, centre: tuple[float, float], radius: float, slope: float, scale: float
    ) -> None:
        side = round(96 * scale)
        logits = clean_logits(disc_logits(96, centre, radius, slope), np.array([centre]))
        alpha = upsample_to_alpha(logits, side)
        hand = Hand.from_alpha(
            alpha, (0, 0), (side, side), prompt_box=np.zeros(4), predicted_iou=1.0
        )
        (contour,) = hand.contours()
        in_mask = (contour + 0.5) * 96 / side - 0.5
        off = np.hypot(*(in_mask - np.array(centre)).T) - radius
        assert np.abs(off).max() < 0.1

    @pytest.mark.parametrize(("value", "alpha"), [(4.0, 255), (-4.0, 0), (0.0, 0)])
    def test_without_a_contour(self, value: float, alpha: int) -> None:
        logits = np.full((8, 8), value, np.float32)
        assert (upsample_to_alpha(logits, 30) == alpha).all()

    def test_far_from_the_contour_is_hard(self) -> None:
        alpha = upsample_to_alpha(disc_logits(64, (32, 32), 16, 2), 256)
        assert alpha[128, 128] == 255
        assert alpha[4, 4] == 0


class TestCutAtWrist:
    @given(
        angle=st.floats(-180, 180),
        scale=st.floats(0.3, 2),
        wrist=st.tuples(*[st.floats(-50, 350)] * 2),
        side=st.sampled_from([8, 300, 900]),
    )
    @settings(deadline=None, max_examples=50)
    def test_leaves_the_hand_and_clears_the_forearm(
        self,
        angle: float,
        scale: float,
        wrist: tuple[float, float],
        side: int,
        open_hand: np.ndarray,
    ) -> None:
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        hand = open_hand @ [[cos, sin], [-sin, cos]] * scale * side / 300
        landmarks = (hand + np.array(wrist) * side / 300).astype(np.float32)
        before = np.random.default_rng(0).integers(1, 256, (side, side), np.uint8)
        alpha = before.copy()
        cut_at_wrist(alpha, landmarks)
        # A border 4 px wide: what is all hand or all forearm beside it is 2 px off the line.
        hand_share = wrist_side(landmarks, side, side, softness=4)
        np.testing.assert_array_equal(alpha[hand_share == 1], before[hand_share == 1])
        assert (alpha[hand_share == 0] == 0).all()
        assert (alpha <= before).all()


class TestSmoothLogits:
    @pytest.mark.parametrize("seed", range(4))
    def test_uneven_steepness_bends_a_straight_edge_less(self, seed: int) -> None:
        y, x = np.mgrid[:32, :32].astype(np.float32)
        slope, start, side = 0.35, 12.3, 256
        distance = np.clip((start + slope * y - x) / np.hypot(1, slope), -3, 3)
        gains = np.exp(np.random.default_rng(seed).normal(0, 1, distance.shape))
        logits = (3 * distance * gains).astype(np.float32)
        rows = np.arange(32, side - 32)
        truth = (start + slope * ((rows + 0.5) / 8 - 0.5) + 0.5) * 8
        rough, smooth = (
            ((upsample_to_alpha(values, side) >= 128)[rows].sum(1) - truth).std()
            for values in (logits, smooth_logits(logits))
        )
        assert smooth < 0.6 * rough

    def test_a_disc_keeps_its_size(self) -> None:
        y, x = np.mgrid[:64, :64] - 31.5
        logits = (3 * (20 - np.hypot(x, y))).astype(np.float32)
        area = (upsample_to_alpha(smooth_logits(logits), 512) >= 128).sum()
        assert area == pytest.approx(np.pi * 160**2, rel=0.01)
