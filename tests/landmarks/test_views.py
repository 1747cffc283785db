"""Findings in several views of a photo, and how they are merged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from findings import distance
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.landmarks import HandLandmarks
from handseg.landmarks.anatomy import hand_size
from handseg.landmarks.views import View, drop_doubtful, merge, warp_to_square


def found(
    points: np.ndarray, score: float = 0.9, handedness: str = "right", votes: int = 1
) -> HandLandmarks:
    return HandLandmarks(points.astype(np.float32), handedness, score, votes)


class TestHandLandmarks:
    def test_box_is_tight(self, open_hand: np.ndarray) -> None:
        hand = found(open_hand + np.array([5, 7]))
        np.testing.assert_array_equal(hand.box, [-88, -177, 97, 7])

    def test_resized_with_the_photo(self, open_hand: np.ndarray) -> None:
        hand = found(open_hand, 0.7, "left", votes=3)
        larger = hand.resized(np.array([4, 2]))
        # The centre of the first pixel maps to the centre of the first four by two.
        np.testing.assert_allclose(larger.points, (open_hand + 0.5) * [4, 2] - 0.5, atol=1e-4)
        assert larger.points.dtype == np.float32
        assert (larger.score, larger.handedness, larger.votes) == (0.7, "left", 3)
        np.testing.assert_allclose(larger.resized(np.array([1 / 4, 1 / 2])).points, open_hand)


class TestHandSize:
    @given(
        scale=st.floats(0.1, 10),
        angle=st.floats(-180, 180),
        shift=st.tuples(*[st.floats(-1000, 1000)] * 2),
    )
    @settings(deadline=None)
    def test_scales_with_the_hand_alone(
        self, scale: float, angle: float, shift: tuple[float, float], open_hand: np.ndarray
    ) -> None:
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        moved = (open_hand @ [[cos, sin], [-sin, cos]] * scale + shift).astype(np.float32)
        assert hand_size(moved) == pytest.approx(hand_size(open_hand) * scale, rel=1e-3)

    def test_does_not_depend_on_the_fingers(self, open_hand: np.ndarray) -> None:
        fist = open_hand.copy()
        fist[[6, 7, 8, 10, 11, 12]] = open_hand[9] * 0.6
        assert hand_size(fist) == hand_size(open_hand)

    def test_of_an_edge_on_hand_is_its_length(self, open_hand: np.ndarray) -> None:
        assert hand_size(open_hand * [0.1, 1]) == pytest.approx(100)

    def test_of_a_foreshortened_hand_is_not_its_length(self, open_hand: np.ndarray) -> None:
        assert hand_size(open_hand * [1, 0.1]) == pytest.approx(1.5 * 77, rel=0.01)

    def test_of_a_heap_is_not_zero(self) -> None:
        assert hand_size(np.zeros((21, 2))) == 1


class TestMerge:
    def test_of_nothing(self) -> None:
        assert merge([]) == []

    def test_one_hand_of_several_views(self, open_hand: np.ndarray) -> None:
        random = np.random.default_rng(0)
        findings = [
            found(open_hand + random.normal(0, 3, (21, 2)), score)
            for score in (0.7, 0.95, 0.8, 0.9, 0.6)
        ]
        (hand,) = merge(findings)
        assert hand.votes == 5
        assert hand.score == 0.95

    def test_keeps_the_medoid(self, open_hand: np.ndarray) -> None:
        # The surest finding is the furthest off.
        scores = {0: 0.5, 2: 0.6, 18: 0.99}
        findings = [
            found(open_hand + np.array([x, 0]), score, "left" if score > 0.9 else "right")
            for x, score in scores.items()
        ]
        (hand,) = merge(findings)
        np.testing.assert_array_equal(hand.points, open_hand + np.array([2, 0]))
        assert (hand.handedness, hand.score) == ("left", 0.99)

    def test_of_two_findings_keeps_the_surer(self, open_hand: np.ndarray) -> None:
        findings = [found(open_hand, 0.6, "left"), found(open_hand + 5, 0.9)]
        (hand,) = merge(findings)
        np.testing.assert_array_equal(hand.points, open_hand + 5)
        assert hand.handedness == "right"

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_hands_side_by_side_stay_two(self, order: Sequence[int], open_hand: np.ndarray) -> None:
        # Fingertips touch: the boxes share an edge and a little more.
        pair = [open_hand, open_hand * [-1, 1] + [175, 0]]
        hands = merge([found(pair[index]) for index in order])
        assert len(hands) == 2
        assert {hand.votes for hand in hands} == {1}

    def test_crossed_hands_stay_two(self, open_hand: np.ndarray) -> None:
        turned = open_hand @ np.array([[0, 1], [-1, 0]]) + [-90, 0]
        assert len(merge([found(open_hand), found(turned)])) == 2

    def test_small_hand_before_a_large_one_stays(self, open_hand: np.ndarray) -> None:
        small = open_hand * 0.4 + [0, -50]
        assert len(merge([found(open_hand), found(small)])) == 2

    def test_same_place_in_another_pose_is_one_hand(self, open_hand: np.ndarray) -> None:
        # A view that got the fingers wrong: landmarks differ, the boxes cover each other.
        wrong = open_hand * [-1, 1]
        wrong += open_hand.mean(axis=0) - wrong.mean(axis=0)
        assert distance(wrong, open_hand) > 0.2
        assert len(merge([found(open_hand), found(wrong, 0.5)])) == 1

    def test_surest_come_first(self, open_hand: np.ndarray) -> None:
        findings = [
            found(open_hand, 0.99),
            found(open_hand + 400, 0.7),
            found(open_hand + 800, 0.6),
            found(open_hand + 802, 0.5),
            found(open_hand + 1200, 0.8),
        ]
        hands = merge(findings)
        assert [(hand.votes, hand.score) for hand in hands] == [
            (2, 0.6),
            (1, 0.99),
            (1, 0.8),
            (1, 0.7),
        ]

    @given(
        counts=st.lists(st.integers(1, 4), min_size=1, max_size=4),
        scale=st.floats(0.2, 5),
        seed=st.integers(0, 1000),
    )
    @settings(deadline=None, max_examples=50)
    def test_any_order_and_scale(
        self, counts: list[int], scale: float, seed: int, open_hand: np.ndarray
    ) -> None:
        random = np.random.default_rng(seed)
        findings = [
            found(
                (open_hand + random.normal((350 * place, 0), 2, (21, 2))) * scale,
                random.uniform(0.3, 1),
            )
            for place, count in enumerate(counts)
            for _ in range(count)
        ]
        shuffled = [findings[index] for index in random.permutation(len(findings))]
        hands = merge(shuffled)
        assert [hand.votes for hand in hands] == sorted(counts, reverse=True)
        centres = sorted(hand.points[0, 0] / scale for hand in hands)
        np.testing.assert_allclose(centres, 350 * np.arange(len(counts)), atol=12)


class TestWarpToSquare:
    @given(
        height=st.integers(1, 400),
        width=st.integers(1, 400),
        angle=st.floats(-360, 360),
        scale=st.floats(0.2, 1),
    )
    @settings(deadline=None)
    def test_matrix_turns_and_scales_about_the_centre(
        self, height: int, width: int, angle: float, scale: float
    ) -> None:
        photo = np.zeros((height, width, 3), np.uint8)
        square, matrix = warp_to_square(photo, View(angle, scale))
        side = max(192, height, width)
        assert square.shape == (side, side, 3)

        centre = np.array([(width - 1) / 2, (height - 1) / 2, 1])
        np.testing.assert_allclose(matrix @ centre, (side - 1) / 2, atol=1e-6)
        factor = scale * side / max(height, width)
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        expected = factor * np.array([[cos, sin], [-sin, cos]])  # counter-clockwise, y down
        np.testing.assert_allclose(matrix[:, :2], expected, atol=1e-6)

    @given(
        height=st.integers(40, 300),
        width=st.integers(40, 300),
        view=st.builds(View, st.floats(-180, 180), st.floats(0.4, 1)),
    )
    @settings(deadline=None, max_examples=50)
    def test_matrix_says_where_the_pixels_went(self, height: int, width: int, view: View) -> None:
        y, x = np.mgrid[:height, :width]
        photo = np.stack([x, y, (x + y) / 2], axis=-1) * (255 / 300)
        square, matrix = warp_to_square(photo.round().astype(np.uint8), view)
        points = np.random.default_rng(0).uniform(0.1, 0.9, (20, 2)) * [width - 1, height - 1]
        there = (points @ matrix[:, :2].T + matrix[:, 2]).round().astype(int)
        inside = ((there >= 0) & (there < len(square))).all(axis=1)
        inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
        back = there @ inverse[:2, :2].T + inverse[:2, 2]
        expected = np.column_stack([back, back.sum(axis=1) / 2]) * (255 / 300)
        seen = square[there[inside, 1], there[inside, 0]]
        assert np.abs(seen - expected[inside]).max(initial=0) <= 1.5

    @given(height=st.integers(2, 400), width=st.integers(2, 400), quarters=st.integers(0, 3))
    @settings(deadline=None)
    def test_quarter_turns_lose_nothing(self, height: int, width: int, quarters: int) -> None:
        photo = np.full((height, width, 3), 255, np.uint8)
        square, matrix = warp_to_square(photo, View(90 * quarters, 0.9))
        corners = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])
        corners = corners @ matrix[:, :2].T + matrix[:, 2]
        assert corners.min() >= -0.5
        assert corners.max() <= len(square) - 0.5
        extent = np.abs(corners[1] - corners[0]).max()
        assert extent == pytest.approx(0.9 * len(square), rel=1e-6)


class TestDropDoubtful:
    def test_a_lone_finding_beside_an_agreed_hand(self, open_hand: np.ndarray) -> None:
        agreed = found(open_hand, votes=3)
        beside = open_hand + np.array([500, 0])
        assert drop_doubtful([agreed, found(beside, 0.9)]) == [agreed]
        sure = found(beside, 0.99)
        assert drop_doubtful([agreed, sure]) == [agreed, sure]

    def test_a_misplaced_copy_of_an_agreed_hand(self, open_hand: np.ndarray) -> None:
        agreed = found(open_hand, votes=3)
        copy = found(open_hand * 0.5 + open_hand.mean(0) * 0.5, 0.99)
        assert drop_doubtful([agreed, copy]) == [agreed]

    def test_without_an_agreed_hand_all_stay(self, open_hand: np.ndarray) -> None:
        lone = [found(open_hand, 0.5), found(open_hand + 400, 0.6)]
        assert drop_doubtful(lone) == lone
        assert drop_doubtful([]) == []
