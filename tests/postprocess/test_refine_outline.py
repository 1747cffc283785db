"""Contours moved off the edge, and regions that extend beyond the photo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painted_shapes import (
    GROUND,
    SIZE,
    disc,
    finger,
    follow_edges,
    logits_of,
    offsets,
    paint,
    pieces,
    samples,
)

from handseg.models.region import Region
from handseg.postprocess import refine


class TestOutline:
    @given(outline=st.floats(-6, 6), angle=st.floats(-90, 90))
    @settings(deadline=None, max_examples=20)
    def test_moves_the_contour_by_that_many_pixels(self, outline: float, angle: float) -> None:
        shape = finger(angle, width=0.2)
        alpha = follow_edges(logits_of(shape, grown=0.5), paint(shape, 200), outline)
        moved = offsets(alpha, shape)
        assert moved.mean() == pytest.approx(outline, abs=0.5)
        assert moved.std() < 0.35  # no steps
        assert np.abs(moved - outline).max() < 1.2

    @given(steps=st.tuples(*[st.floats(-6, 6).filter(bool)] * 2))
    @settings(deadline=None, max_examples=12)
    def test_further_out_holds_what_is_further_in(self, steps: tuple[float, float]) -> None:
        shape = disc()
        logits, view = logits_of(shape), paint(shape, 120)
        inner, outer = (follow_edges(logits, view, step) for step in sorted(steps))
        assert (inner <= outer).all()

    @pytest.mark.parametrize("outline", [-0.05, 0.05])
    def test_hardly_changes_anything_near_0(self, outline: float) -> None:
        shape = finger(20)
        logits, view = logits_of(shape), paint(shape, 300)
        none, small = (follow_edges(logits, view, by) for by in (0.0, outline))
        assert offsets(small, shape).mean() == pytest.approx(outline, abs=0.12)
        assert ((none >= 128) != (small >= 128)).sum() < 0.25 * np.abs(offsets(none, shape)).size

    def test_inwards_ends_a_finger_thinner_than_twice_of_it(self) -> None:
        shape = finger(20, width=0.04)  # 8 px
        alpha = follow_edges(logits_of(shape), paint(shape, 200), -6.0)
        assert (alpha < 128).all()

    @pytest.mark.parametrize(("outline", "parts"), [(0.0, 2), (3.0, 2), (7.0, 1)])
    def test_outwards_closes_a_gap(self, outline: float, parts: int) -> None:
        left, right = disc(0.15, 0.3, 0.5), disc(0.15, 0.64, 0.5)  # 12 px apart

        def both(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.maximum(left(x, y), right(x, y))

        alpha = follow_edges(logits_of(both), paint(both, 300), outline)
        assert pieces(alpha >= 128)[0] == parts


class TestRegion:
    @pytest.mark.parametrize("side", [200, 900])
    @pytest.mark.parametrize("corner", [(0, 0), (70, 40), (-60, 30)])
    def test_lies_anywhere_in_or_partly_out_of_the_photo(
        self, corner: tuple[int, int], side: int
    ) -> None:
        x, y = (round(value * side / 200) for value in corner)
        shape = finger(20)
        view = paint(shape, side)
        photo = np.full((round(1.3 * side), round(1.5 * side), 3), GROUND, np.uint8)
        left, top = max(0, x), max(0, y)
        photo[top : y + side, left : x + side] = view[top - y :, left - x :]
        patch, (column, row) = refine.follow_edges(
            logits_of(shape, grown=0.5), photo, Region(x, y, side)
        )
        alpha = np.zeros(photo.shape[:2], np.uint8)
        alpha[row : row + patch.shape[0], column : column + patch.shape[1]] = patch
        inside = samples(shape, side) > 0
        true = np.zeros(photo.shape[:2], bool)
        true[top : y + side, left : x + side] = inside[top - y :, left - x :]
        wrong = (alpha >= 128) != true
        assert wrong.sum() < 0.012 * true.sum()
        assert patch.size < 0.8 * side**2

    def test_without_a_hand_is_empty(self) -> None:
        logits = np.full((SIZE, SIZE), -5, np.float32)
        photo = np.full((120, 90, 3), 99, np.uint8)
        for region in (Region(0, 0, 80), Region(-40, -30, 150), Region(60, 80, 700)):
            patch, (x, y) = refine.follow_edges(logits, photo, region)
            assert not patch.any()
            assert 0 <= x < 90
            assert 0 <= y < 120
