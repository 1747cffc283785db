from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from handseg.landmarks.anatomy import PALM, hand_size, wrist_side
from handseg.postprocess.cleanup import (
    LOGIT_LIMIT,
    clean_logits,
    cut_at_wrist,
    fill_holes_on_hand,
    smooth_logits,
)

NO_SEEDS = np.zeros((0, 2), np.float32)
SIZE = 64


def blocks(*boxes: tuple[int, int, int, int], inside: float = 5.0) -> np.ndarray:
    """Return -5 with rectangles x, y, width, height of value `inside`."""
    logits = np.full((SIZE, SIZE), -5, np.float32)
    for x, y, width, height in boxes:
        logits[y : y + height, x : x + width] = inside
    return logits


def upsampled(logits: np.ndarray, side: int) -> np.ndarray:
    """Return the mask at side x side px, over the whole extent of the logits."""
    return cv2.resize(logits, (side, side), interpolation=cv2.INTER_CUBIC) > 0


def placed(
    hand: np.ndarray, scale: float = 1.0, angle: float = 0.0, shift: tuple[float, float] = (0, 0)
) -> np.ndarray:
    """Rotate `hand` by `angle` degrees, its landmarks roughly centred in 256 x 256 px."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turned = (hand - hand.mean(0)) @ np.array([[cos, sin], [-sin, cos]])
    return (turned * scale + 128 + np.array(shift)).astype(np.float32)


def paint_hand(landmarks: np.ndarray, width: float = 0.2, size: int = 256) -> np.ndarray:
    """Paint the logits of fingers `width` hand sizes wide, with round tips, on a filled palm.

    The skin between two fingers starts half a finger's width above the knuckles.
    """
    points = np.rint(landmarks).astype(int)
    mask = np.zeros((size, size), np.uint8)
    thickness = round(width * hand_size(landmarks))
    palm = cv2.convexHull(points[[1, *PALM]].astype(np.int32))
    cv2.fillConvexPoly(mask, palm, 1)
    cv2.polylines(mask, [palm], True, 1, thickness)
    for first in (1, 5, 9, 13, 17):
        chain = points[first : first + 4].astype(np.int32)
        cv2.polylines(mask, [chain], False, 1, thickness)
    return np.where(mask, np.float32(5), np.float32(-5))


def pieces(mask: np.ndarray) -> int:
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1


def holes(mask: np.ndarray) -> np.ndarray:
    """Return the parts off `mask` that are not connected to the top left corner."""
    labels = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)[1]
    return (labels > 0) & (labels != labels[0, 0])


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
        # 0.4 % of 30 x 40 minus the hole itself: between 4 and 5 px.
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
        # A one-pixel slit that leaves the hand diagonally, through corners.
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


class TestFillOnHand:
    @pytest.fixture
    def landmarks(self, open_hand: np.ndarray) -> np.ndarray:
        """An open hand with spread fingers, about 106 px of hand size."""
        hand = open_hand.copy()
        for first, lean in ((5, 16), (9, 3), (13, -12), (17, -24)):
            hand[first : first + 4, 0] += lean * np.arange(4)
        return placed(hand, 0.9)

    @pytest.mark.parametrize("radius", [0.06, 0.15, 0.25])
    def test_fills_a_coin_on_the_palm(self, landmarks: np.ndarray, radius: float) -> None:
        whole = paint_hand(landmarks)
        x, y = landmarks[list(PALM)].mean(0).round().astype(int).tolist()
        logits = cv2.circle(whole.copy(), (x, y), round(radius * hand_size(landmarks)), -3.0, -1)
        filled = fill_holes_on_hand(logits, landmarks)
        np.testing.assert_array_equal(filled > 0, whole > 0)

    @pytest.mark.parametrize("joint", [6, 10, 14, 18])
    @pytest.mark.parametrize("band", [0.05, 0.1])
    def test_fills_a_rings_band_across_a_finger(
        self, landmarks: np.ndarray, joint: int, band: float
    ) -> None:
        whole, size = paint_hand(landmarks), hand_size(landmarks)
        middle = landmarks[joint - 1 : joint + 1].mean(0)
        along = landmarks[joint] - landmarks[joint - 1]
        across = np.array([-along[1], along[0]]) / np.hypot(*along) * 0.14 * size
        ends = [np.rint(middle + sign * across).astype(int).tolist() for sign in (-1, 1)]
        logits = cv2.line(whole.copy(), *ends, -5.0, round(band * size))
        assert pieces(logits > 0) == 2
        filled = fill_holes_on_hand(logits, landmarks)
        assert pieces(filled > 0) == 1
        x, y = middle.round().astype(int)
        assert filled[y, x] > 0
        assert not (filled > 0)[whole < 0].any()
        lost = ((whole > 0) & (logits < 0)).sum()
        assert ((whole > 0) & (filled < 0)).sum() < 0.35 * lost

    def test_fills_a_watch_at_the_wrist_that_is_a_hole(self, landmarks: np.ndarray) -> None:
        whole = paint_hand(landmarks)
        x, y = (landmarks[0] + [0, -4]).round().astype(int).tolist()
        logits = cv2.circle(whole.copy(), (x, y), 5, -5.0, -1)
        np.testing.assert_array_equal(fill_holes_on_hand(logits, landmarks) > 0, whole > 0)

    @given(
        angle=st.floats(-180, 180),
        scale=st.floats(0.5, 1.2),
        shift=st.tuples(*[st.floats(-150, 150)] * 2),
        width=st.floats(0.19, 0.24),
    )
    @settings(deadline=None, max_examples=40)
    def test_leaves_a_whole_hand_and_the_gaps_between_its_fingers(
        self,
        open_hand: np.ndarray,
        angle: float,
        scale: float,
        shift: tuple[float, float],
        width: float,
    ) -> None:
        landmarks = placed(open_hand, scale, angle, shift)
        logits = paint_hand(landmarks, width)
        filled = fill_holes_on_hand(logits, landmarks)
        # Bones are drawn to a fraction of a pixel, these fingers to a whole one.
        assert ((filled > 0) != (logits > 0)).sum() <= 0.01 * (logits > 0).sum() + 2

    def test_gap_stays_when_the_landmarks_are_a_little_off(self, landmarks: np.ndarray) -> None:
        logits = paint_hand(landmarks)
        for seed in range(10):
            errors = np.random.default_rng(seed).normal(0, 0.02 * hand_size(landmarks), (21, 2))
            filled = fill_holes_on_hand(logits, (landmarks + errors).astype(np.float32))
            for one, other in ((6, 10), (10, 14), (14, 18)):
                x, y = landmarks[[one, other]].mean(0).round().astype(int)
                assert logits[y, x] < 0
                assert filled[y, x] < 0

    @pytest.mark.parametrize("width", [0.16, 0.2, 0.24])
    @pytest.mark.parametrize("angle", [0, 70])
    @pytest.mark.parametrize(
        "ring",
        [
            [(62, -30), (88, -58), (80, -96), (78, -128), (52, -128)],
            [(55, -40), (69, -68), (77, -98), (66, -114), (46, -110)],
        ],
        ids=["wide", "narrow"],
    )
    def test_hole_of_an_ok_sign_stays(
        self, landmarks: np.ndarray, ring: list[tuple[int, int]], width: float, angle: float
    ) -> None:
        hand = landmarks - landmarks[0]
        hand[2:5] = ring[:3]
        hand[6:9] = ring[:1:-1]
        hand = placed(hand, 1.0, angle)
        logits = paint_hand(hand, width)
        filled = fill_holes_on_hand(logits, hand)
        # Ignore pinholes where two painted fingers meet.
        hole = cv2.erode(holes(logits > 0).astype(np.uint8), np.ones((3, 3))) > 0
        assert hole.sum() > 100
        assert (filled[hole] < 0).all()

    def test_hole_off_the_hand_stays(self, landmarks: np.ndarray) -> None:
        logits = np.full((256, 256), 5, np.float32)
        logits[4:12, 4:12] = -5
        np.testing.assert_array_equal(fill_holes_on_hand(logits, landmarks), logits)

    def test_reaches_as_far_as_asked(self, landmarks: np.ndarray) -> None:
        logits, size = paint_hand(landmarks), hand_size(landmarks)
        x, y = landmarks[9:11].mean(0).round().astype(int).tolist()
        high = round(0.07 * size)
        logits[y - high : y + high, x - 20 : x + 20] = -5
        assert fill_holes_on_hand(logits, landmarks, reach=0.04)[y, x] < 0
        assert fill_holes_on_hand(logits, landmarks, reach=0.1)[y, x] > 0

    @given(
        seed=st.integers(0, 1000),
        blur=st.floats(0.5, 8),
        shift=st.tuples(*[st.floats(-60, 60)] * 2),
    )
    @settings(deadline=None, max_examples=30)
    def test_only_turns_off_into_on(
        self, open_hand: np.ndarray, seed: int, blur: float, shift: tuple[float, float]
    ) -> None:
        noise = np.random.default_rng(seed).normal(size=(96, 96)).astype(np.float32)
        logits = 5 * cv2.GaussianBlur(noise, (0, 0), blur)
        landmarks = placed(open_hand, 0.4, 0, (shift[0] - 80, shift[1] - 80))
        before = logits.copy()
        filled = fill_holes_on_hand(logits, landmarks)
        np.testing.assert_array_equal(logits, before)
        assert (filled.dtype, filled.shape) == (np.float32, logits.shape)
        changed = filled != logits
        assert (logits[changed] <= 0).all()
        assert (filled[changed] > 0).all()
        np.testing.assert_allclose(np.abs(filled), np.abs(logits), atol=2e-3)

    def test_holes_with_a_click_off_the_hand_stay(self, landmarks: np.ndarray) -> None:
        whole = paint_hand(landmarks)
        x, y = landmarks[list(PALM)].mean(0).round().astype(int).tolist()
        logits = cv2.circle(whole.copy(), (x - 20, y), 8, -3.0, -1)
        kept = cv2.circle(logits.copy(), (x + 20, y), 8, -3.0, -1)
        filled = fill_holes_on_hand(kept, landmarks, np.array([[x - 18.2, y + 3]]))
        np.testing.assert_array_equal(filled > 0, logits > 0)

    def test_reaches_no_further_where_little_of_a_large_hand_is_in_the_photo(
        self, open_hand: np.ndarray
    ) -> None:
        """The reach is a share of the hand, whose closing would take minutes here."""
        logits = blocks((0, 0, 8, SIZE), (SIZE - 8, 0, 8, SIZE))
        filled = fill_holes_on_hand(logits, open_hand * 12 + SIZE / 2)
        np.testing.assert_array_equal(filled > 0, logits > 0)

    @pytest.mark.parametrize("value", [4.0, -4.0])
    def test_all_or_nothing_stays(self, landmarks: np.ndarray, value: float) -> None:
        logits = np.full((256, 256), value, np.float32)
        np.testing.assert_array_equal(fill_holes_on_hand(logits, landmarks), logits)


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
        # The border is 4 px wide: pixels entirely hand or forearm are 2 px off the line.
        hand_share = wrist_side(landmarks, side, side, softness=4)
        np.testing.assert_array_equal(alpha[hand_share == 1], before[hand_share == 1])
        assert (alpha[hand_share == 0] == 0).all()
        assert (alpha <= before).all()

    @pytest.mark.parametrize(("wrist", "value"), [((10, -200), 0), ((10, 300), 255)])
    def test_a_patch_far_from_the_wrist(
        self, wrist: tuple[float, float], value: int, open_hand: np.ndarray
    ) -> None:
        alpha = np.full((20, 30), 255, np.uint8)
        cut_at_wrist(alpha, open_hand + np.array(wrist, np.float32))
        assert (alpha == value).all()


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
            (upsampled(values, side)[rows].sum(1) - truth).std()
            for values in (logits, smooth_logits(logits))
        )
        assert smooth < 0.6 * rough

    def test_a_disc_keeps_its_size(self) -> None:
        y, x = np.mgrid[:64, :64] - 31.5
        logits = (3 * (20 - np.hypot(x, y))).astype(np.float32)
        area = upsampled(smooth_logits(logits), 512).sum()
        assert area == pytest.approx(np.pi * 160**2, rel=0.01)
