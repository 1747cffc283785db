from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from made_hands import NO_BOX, SOFT, make_disc, make_hand

from handseg.results import Hand


def signed_area(polygon: np.ndarray) -> float:
    """Return the signed area, positive if clockwise in the photo (y grows downwards)."""
    x, y = polygon.astype(np.float64).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


class TestHand:
    def test_paints_its_patch_where_it_belongs(self) -> None:
        hand = make_hand(SOFT, (2, 1))

        expected = np.zeros((6, 8), np.float32)
        expected[1:4, 2:5] = SOFT
        assert hand.alpha.dtype == np.float32
        np.testing.assert_allclose(hand.alpha, expected, atol=0.5 / 255)
        assert hand.mask.dtype == bool
        np.testing.assert_array_equal(np.argwhere(hand.mask), [[2, 2], [2, 3], [2, 4]])
        assert hand.area == 3
        assert hand.box.dtype == np.float32
        np.testing.assert_array_equal(hand.box, [2, 2, 4, 2])

    @given(
        alpha=npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=7)),
        x=st.integers(-9, 9),
        y=st.integers(-9, 9),
        shape=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    )
    @settings(deadline=None)
    def test_alpha_may_reach_out_of_the_photo(
        self, alpha: np.ndarray, x: int, y: int, shape: tuple[int, int]
    ) -> None:
        prompt_box = np.array([1, 2, 3, 4], np.float32)
        hand = make_hand(alpha, (x, y), shape, prompt_box=prompt_box)

        expected = np.zeros(shape, np.uint8)
        for row, column in np.ndindex(*alpha.shape):
            if 0 <= y + row < shape[0] and 0 <= x + column < shape[1]:
                expected[y + row, x + column] = alpha[row, column]
        np.testing.assert_array_equal(np.rint(hand.alpha * 255), expected)
        np.testing.assert_array_equal(hand.mask, expected >= 128)
        assert hand.area == (expected >= 128).sum()
        rows, columns = np.nonzero(expected >= 128)
        box = [columns.min(), rows.min(), columns.max(), rows.max()] if len(rows) else prompt_box
        np.testing.assert_array_equal(hand.box, box)
        assert hand.patch.size == 0 or all(
            edge.any()
            for edge in (hand.patch[0], hand.patch[-1], hand.patch[:, 0], hand.patch[:, -1])
        )

    @pytest.mark.parametrize(
        "alpha",
        [
            np.array([[True, False]]),
            np.array([[255, 0]], np.uint8),
            np.array([[1, 0]], np.float16),
            np.array([[1, 0]], np.float64),
        ],
        ids=lambda alpha: str(alpha.dtype),
    )
    def test_takes_every_kind_of_alpha(self, alpha: np.ndarray) -> None:
        hand = make_hand(alpha)
        assert hand.alpha[0, 0] == 1
        assert hand.alpha.sum() == 1

    def test_mask_begins_at_one_half(self) -> None:
        below = np.nextafter(np.float32(0.5), np.float32(0))
        np.testing.assert_array_equal(
            make_hand(np.array([[0.5, below]], np.float32)).mask[0, :2], [True, False]
        )

    def test_does_not_change_with_the_array_it_came_from(self) -> None:
        alpha = np.full((6, 8), 255, np.uint8)
        hand = make_hand(alpha)
        alpha[:] = 0
        assert hand.mask.all()

    def test_keeps_no_more_than_its_extent(self) -> None:
        alpha = np.zeros((500, 400), np.float32)
        alpha[100:120, 50:60] = 1
        hand = make_hand(alpha, shape=(500, 400))
        assert (hand.patch.shape, hand.offset) == ((20, 10), (50, 100))

    @pytest.mark.parametrize(
        ("alpha", "message"),
        [
            (np.zeros((2, 2, 1)), r"alpha must be \(h, w\), got \(2, 2, 1\)"),
            (np.zeros((2, 2), int), "alpha must be bool, uint8 or floating, got int64"),
            (np.full((2, 2), 1.5), "alpha must be in 0..1, got 1.5"),
            (np.full((2, 2), -0.5), "alpha must be in 0..1, got -0.5"),
            (np.full((2, 2), np.nan), "alpha must be in 0..1, got nan"),
        ],
    )
    def test_rejects_what_is_no_alpha(self, alpha: np.ndarray, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make_hand(alpha)

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("patch", np.zeros((2, 2), np.float32), r"patch must be .* got \(2, 2\) float32"),
            ("offset", (7, 0), "patch must lie in the photo of 8 x 6 px, got x 7 to 9"),
            ("offset", (0, -1), "patch must lie in the photo .* y -1 to 1"),
            ("box", np.array([3, 0, 1, 1]), "box must be"),
            ("box", np.array([0, 0, 1, np.nan]), "box must be"),
            ("box", np.zeros((2, 2)), "box must be"),
            ("landmarks", np.zeros((20, 2)), r"landmarks must be \(21, 2\).* got \(20, 2\)"),
            ("landmarks", np.full((21, 2), np.inf), "landmarks must be"),
            ("handedness", "Left", "handedness must be .* got 'Left'"),
            ("predicted_iou", float("nan"), "predicted_iou must be finite"),
            ("handedness_score", float("inf"), "handedness_score must be finite"),
        ],
    )
    def test_rejects_fields_that_do_not_fit(self, field: str, value: Any, message: str) -> None:
        fields: dict[str, Any] = {
            "patch": np.full((2, 2), 255, np.uint8),
            "offset": (0, 0),
            "image_shape": (6, 8),
            "box": NO_BOX,
            "predicted_iou": 0.9,
        }
        Hand(**fields)
        with pytest.raises(ValueError, match=message):
            Hand(**{**fields, field: value})


class TestContours:
    @given(
        radius=st.floats(3, 25),
        shift=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
        offset=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    )
    @settings(deadline=None, max_examples=30)
    def test_find_a_disc_to_a_tenth_of_a_pixel(
        self, radius: float, shift: tuple[float, float], offset: tuple[int, int]
    ) -> None:
        centre = (29.5 + shift[0], 29.5 + shift[1])
        hand = make_hand(make_disc(60, centre, radius), offset, (120, 120))
        (outline,) = hand.contours()

        assert outline.dtype == np.float32
        errors = np.linalg.norm(outline - np.add(centre, offset), axis=1) - radius
        assert np.sqrt(np.mean(errors**2)) < 0.07
        assert np.abs(errors).max() < 0.15
        assert signed_area(outline) == pytest.approx(
            -np.pi * radius**2, abs=0.1 * 2 * np.pi * radius
        )

    def test_keep_holes_and_turn_them_the_other_way(self) -> None:
        ring = make_disc(60, (30, 30), 20) - make_disc(60, (30, 30), 8)
        speck = np.pad(make_disc(7, (3, 3), 2.5), ((0, 53), (0, 53)))
        outer, hole, small = make_hand(ring + speck, shape=(60, 60)).contours()

        assert signed_area(outer) == pytest.approx(-np.pi * 20**2, rel=0.01)
        assert signed_area(hole) == pytest.approx(np.pi * 8**2, rel=0.01)
        assert signed_area(small) == pytest.approx(-np.pi * 2.5**2, rel=0.05)

    def test_follow_the_frame_where_it_cuts_the_hand(self) -> None:
        (outline,) = make_hand(np.ones((6, 8), bool)).contours()
        np.testing.assert_array_equal(outline.min(axis=0), [-0.5, -0.5])
        np.testing.assert_array_equal(outline.max(axis=0), [7.5, 5.5])

    @pytest.mark.parametrize(("bright", "pieces"), [(255, 1), (128, 2)])
    def test_pixels_that_touch_at_a_corner_hold_together_when_their_mean_does(
        self, bright: int, pieces: int
    ) -> None:
        hand = make_hand(np.array([[bright, 100], [100, bright]], np.uint8), (2, 2))
        assert len(hand.contours()) == pieces

    @given(
        alpha=npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=8)),
    )
    @settings(deadline=None, max_examples=200)
    def test_enclose_the_mask_and_nothing_else(self, alpha: np.ndarray) -> None:
        hand = make_hand(alpha, (1, 2), (12, 12))
        polygons = hand.contours()

        mask = hand.mask
        padded = np.pad(mask, 1)
        crossings = (padded[1:] != padded[:-1]).sum() + (padded[:, 1:] != padded[:, :-1]).sum()
        assert sum(map(len, polygons)) == crossings
        for y, x in np.ndindex(*mask.shape):
            around = sum(cv2.pointPolygonTest(line, (x, y), False) > 0 for line in polygons)
            assert around % 2 == mask[y, x]
        for polygon in polygons:
            steps = np.linalg.norm(polygon - np.roll(polygon, 1, axis=0), axis=1)
            assert steps.max() <= np.sqrt(2) + 1e-5
        areas = [abs(signed_area(polygon)) for polygon in polygons]
        assert all(a >= b - 1e-4 for a, b in itertools.pairwise(areas))
