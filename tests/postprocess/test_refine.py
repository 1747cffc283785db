"""Contours at the edges of painted photos."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painted_shapes import (
    GROUND,
    SIZE,
    Shape,
    disc,
    finger,
    follow_edges,
    logits_of,
    offsets,
    paint,
    pieces,
    samples,
)

from handseg.postprocess.refine import SOFTNESS

GREY = (128, 128, 128)


def upsampled(logits: np.ndarray, side: int) -> np.ndarray:
    """Return the alpha of the logits alone."""
    wide = cv2.resize(logits, (side, side), interpolation=cv2.INTER_CUBIC)
    return cv2.add(40 * wide, 127.5, dtype=cv2.CV_8U)


def alphas_along(alpha: np.ndarray, start: tuple[float, float], towards: float) -> np.ndarray:
    """Interpolate `alpha` along 8 px through `start` x, y (in sides), at `towards` degrees."""
    steps = np.arange(-4, 4, 0.25)
    x = len(alpha) * start[0] - 0.5 + steps * np.cos(np.radians(towards))
    y = len(alpha) * start[1] - 0.5 + steps * np.sin(np.radians(towards))
    line = cv2.remap(
        alpha.astype(np.float32),
        x[None].astype(np.float32),
        y[None].astype(np.float32),
        cv2.INTER_LINEAR,
    )
    return line[0]


def rim_points(radius: float, count: int = 24) -> list[tuple[tuple[float, float], float]]:
    """Return contour points of the default disc with the direction of their normals in degrees."""
    return [
        (
            (
                0.503 + radius * np.cos(np.radians(angle)),
                0.484 + radius * np.sin(np.radians(angle)),
            ),
            angle,
        )
        for angle in np.linspace(3, 363, count, endpoint=False)
    ]


class TestEdgeOfThePhoto:
    @pytest.mark.parametrize(
        "shape",
        [disc(), finger(20), finger(-67, width=0.06)],
        ids=["disc", "finger", "thin finger"],
    )
    @pytest.mark.parametrize("side", [224, 672, 1500])
    def test_is_found_from_logits_that_lie_beside_it(self, side: int, shape: Shape) -> None:
        view = paint(shape, side)
        for grown, dx, dy in ((0.7, 0, 0), (-0.7, 0, 0), (0, -0.6, 0.7)):
            logits = logits_of(shape, SIZE, grown, dx, dy)
            errors = np.abs(offsets(follow_edges(logits, view), shape))
            before = np.abs(offsets(upsampled(logits, side), shape))
            assert errors.mean() < min(0.15, 0.2 * before.mean())
            assert errors.max() < 0.75

    @pytest.mark.parametrize("side", [224, 672])
    def test_is_found_from_finer_logits(self, side: int) -> None:
        shape = finger(20)
        view = paint(shape, side)
        for grown in (-0.7, 0.7):
            logits = logits_of(shape, 256, grown)
            errors = np.abs(offsets(follow_edges(logits, view), shape))
            assert errors.mean() < 0.3
            assert errors.mean() < 0.5 * np.abs(offsets(upsampled(logits, side), shape)).mean()

    @given(
        angle=st.floats(-90, 90),
        width=st.floats(0.08, 0.25),
        side=st.integers(100, 400),
        grown=st.floats(-1, 1),
    )
    @settings(deadline=None, max_examples=15)
    def test_of_any_finger_is_found(
        self, angle: float, width: float, side: int, grown: float
    ) -> None:
        shape = finger(angle, width)
        alpha = follow_edges(logits_of(shape, grown=grown), paint(shape, side))
        errors = np.abs(offsets(alpha, shape))
        assert errors.mean() < 0.5
        assert pieces(alpha >= 128) == (1, 1)

    def test_has_no_jags_wherever_tiles_meet(self) -> None:
        view = paint(disc(), 1500)
        for shift in np.linspace(-1, 1, 9):
            logits = logits_of(disc(), dx=shift, dy=-0.6 * shift)
            assert np.abs(offsets(follow_edges(logits, view), disc())).max() < 0.75

    @pytest.mark.parametrize("grown", [-0.7, 0.7])
    def test_keeps_the_contour_that_was_right(self, grown: float) -> None:
        shape = finger(20)
        view = paint(shape, 300)
        right, beside = (follow_edges(logits_of(shape, grown=by), view) for by in (0, grown))
        assert np.abs(offsets(right, shape)).mean() < 0.15
        assert np.abs(right.astype(int) - beside).mean() < 0.5

    @pytest.mark.parametrize("angle", [0, 31, 90, 200])
    def test_may_run_out_of_the_region(self, angle: float) -> None:
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))

        def half(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return (x - 0.4973) * cos + (y - 0.5032) * sin

        side = 300
        alpha = follow_edges(logits_of(half, grown=0.7), paint(half, side))
        wrong = (alpha >= 128) != (samples(half, side) > 0)
        assert wrong.sum() < 0.5 * side
        assert not wrong[np.abs(samples(half, side)) > 1.5].any()

    @pytest.mark.parametrize("blur", [1.0, 2.5])
    def test_may_be_out_of_focus(self, blur: float) -> None:
        shape = disc()
        logits = logits_of(shape, grown=0.7)
        errors = np.abs(offsets(follow_edges(logits, paint(shape, 672, blur=blur)), shape))
        assert errors.mean() < 0.2 * np.abs(offsets(upsampled(logits, 672), shape)).mean()

    def test_may_be_faint(self) -> None:
        shape = disc()
        view = paint(shape, 672, noise=3, colors=((80, 110, 90), GROUND))
        alpha = follow_edges(logits_of(shape, grown=0.7), view)
        assert np.abs(offsets(alpha, shape)).mean() < 1

    @pytest.mark.parametrize("side", [8, 9, 13, 24, 37, 60])
    @pytest.mark.parametrize("size", [96, 256])
    def test_of_a_hand_of_few_pixels_is_found(self, side: int, size: int) -> None:
        shape = disc()
        alpha = follow_edges(logits_of(shape, size, grown=0.7), paint(shape, side))
        assert alpha.shape == (side, side)
        assert np.abs(offsets(alpha, shape)).mean() < 0.3
        assert pieces(alpha >= 128) == (1, 1)


class TestWithoutAnEdge:
    @pytest.mark.parametrize("noise", [0, 8])
    @pytest.mark.parametrize(("side", "size"), [(224, 96), (672, 96), (672, 256)])
    @pytest.mark.parametrize("shape", [disc(), finger(20)], ids=["disc", "finger"])
    def test_contour_stays_where_the_logits_put_it(
        self, shape: Shape, side: int, size: int, noise: float
    ) -> None:
        view = paint(shape, side, noise, colors=(GREY, GREY))
        alpha = follow_edges(logits_of(shape, size), view)
        in_logits = offsets(alpha, shape) * size / side
        assert abs(in_logits.mean()) < 0.25
        assert np.abs(in_logits).max() < 1

    @pytest.mark.parametrize("noise", [8, 40])
    @pytest.mark.parametrize("side", [224, 672, 1500])
    def test_noise_leaves_no_specks(self, side: int, noise: float) -> None:
        shape = disc()
        view = paint(shape, side, noise, colors=(GREY, GREY))
        assert pieces(follow_edges(logits_of(shape), view) >= 128) == (1, 1)


class TestSpecks:
    @pytest.mark.parametrize(
        ("side", "noise", "grain"),
        [
            (224, 40, 0.0),
            (224, 40, 1.5),
            (672, 12, 0.0),
            (672, 40, 1.5),
            (672, 40, 4.0),
            (1500, 40, 0),
        ],
    )
    def test_texture_leaves_none(self, side: int, noise: float, grain: float) -> None:
        shape = disc()
        texture = np.random.default_rng(1).normal(size=(side, side, 3))
        if grain:
            texture = cv2.GaussianBlur(texture, (0, 0), grain)
        view = paint(shape, side, 0) + texture * (noise / texture.std())
        view = np.clip(view, 0, 255).round().astype(np.uint8)
        alpha = follow_edges(logits_of(shape, grown=0.5), view)
        assert pieces(alpha >= 128) == (1, 1)
        assert np.abs(offsets(alpha, shape)).mean() < 0.5

    def test_what_the_logits_are_sure_of_is_none(self) -> None:
        small, large = disc(0.05, 0.2, 0.2), disc(0.2, 0.6, 0.6)

        def both(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.maximum(small(x, y), large(x, y))

        assert pieces(follow_edges(logits_of(both), paint(both, 300)) >= 128) == (2, 1)

    def test_a_hole_stays(self) -> None:
        def ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.minimum(disc(0.3)(x, y), -disc(0.1)(x, y))

        alpha = follow_edges(logits_of(ring, grown=0.5), paint(ring, 300))
        assert pieces(alpha >= 128) == (1, 2)
        assert np.abs(offsets(alpha, ring)).mean() < 0.15


class TestSoftEdge:
    @pytest.mark.parametrize("outline", [0.0, -3.0, 3.0])
    @pytest.mark.parametrize("blur", [0.0, 1.0, 2.0])
    @pytest.mark.parametrize("side", [224, 672])
    def test_is_two_pixels_wide_whatever_the_photo(
        self, side: int, blur: float, outline: float
    ) -> None:
        shape = disc()
        alpha = follow_edges(logits_of(shape), paint(shape, side, blur=blur), outline)
        soft = ((alpha > 0) & (alpha < 255)).sum()
        assert soft / (2 * np.pi * (0.3 * side + outline)) == pytest.approx(SOFTNESS, abs=0.3)

    @pytest.mark.parametrize("outline", [0.0, -3.0, 3.0])
    def test_falls_evenly_along_a_normal(self, outline: float) -> None:
        shape, side = disc(), 400
        alpha = follow_edges(logits_of(shape, grown=0.7), paint(shape, side, blur=0.7), outline)
        for start, towards in rim_points(0.3 + outline / side):
            line = alphas_along(alpha, start, towards)
            assert line[0] == 255
            assert line[-1] == 0
            # Between pixels, bilinear interpolation may bend it slightly.
            assert np.diff(line).max() < 8

    def test_is_hard_away_from_the_contour(self) -> None:
        shape, side = finger(20), 300
        alpha = follow_edges(logits_of(shape, grown=0.7), paint(shape, side))
        distance = samples(shape, side)
        assert (alpha[distance > 3] == 255).all()
        assert (alpha[distance < -3] == 0).all()

    def test_half_is_the_true_contour(self) -> None:
        shape, side = disc(), 400
        alpha = follow_edges(logits_of(shape, grown=0.7), paint(shape, side))
        assert alpha.sum() / 255 == pytest.approx(np.pi * (0.3 * side) ** 2, rel=0.003)


class TestResult:
    @given(
        seed=st.integers(0, 1000),
        size=st.sampled_from([16, 24, 64]),
        side=st.integers(8, 200),
        outline=st.sampled_from([0.0, -2.5, 2.5]),
    )
    @settings(deadline=None, max_examples=30)
    def test_is_uint8_of_the_views_side_for_any_logits(
        self, seed: int, size: int, side: int, outline: float
    ) -> None:
        random = np.random.default_rng(seed)
        logits = cv2.GaussianBlur(random.normal(size=(size, size)).astype(np.float32), (0, 0), 2)
        view = random.integers(0, 256, (side, side, 3), np.uint8)
        before = logits.copy(), view.copy()
        alpha = follow_edges(logits, view, outline)
        assert (alpha.shape, alpha.dtype) == ((side, side), np.uint8)
        np.testing.assert_array_equal(logits, before[0])
        np.testing.assert_array_equal(view, before[1])

    @pytest.mark.parametrize("outline", [0.0, -3.0, 3.0])
    @pytest.mark.parametrize("side", [8, 60, 150, 672])
    @pytest.mark.parametrize("value", [4.0, 0.01, -0.01, -4.0])
    def test_without_a_contour_is_all_or_nothing(
        self, value: float, side: int, outline: float
    ) -> None:
        logits = np.full((SIZE, SIZE), value, np.float32)
        alpha = follow_edges(logits, paint(disc(), side, noise=20), outline)
        assert (alpha == (255 if value > 0 else 0)).all()

    def test_is_the_same_for_a_part_of_a_larger_photo(self) -> None:
        shape = finger(20)
        view = paint(shape, 200)
        photo = np.full((300, 400, 3), 9, np.uint8)
        photo[40:240, 60:260] = view
        logits = logits_of(shape, grown=0.5)
        expected = follow_edges(logits, view)
        np.testing.assert_array_equal(follow_edges(logits, photo[40:240, 60:260]), expected)
        bgr = np.ascontiguousarray(view[..., ::-1])
        np.testing.assert_array_equal(follow_edges(logits, bgr[..., ::-1]), expected)

    @pytest.mark.parametrize("outline", [0.0, 2.0])
    @pytest.mark.parametrize("side", [60, 301, 672])
    def test_turns_and_flips_with_the_photo(self, side: int, outline: float) -> None:
        shape = finger(20)
        logits, view = logits_of(shape, dx=0.5, dy=-0.4), paint(shape, side)
        alpha = follow_edges(logits, view, outline)
        for turn in (np.fliplr, np.flipud, np.rot90):
            turned = follow_edges(
                np.ascontiguousarray(turn(logits)), np.ascontiguousarray(turn(view)), outline
            )
            difference = np.abs(turned.astype(int) - turn(alpha))
            assert difference.mean() < 0.1
            # A few contour pixels may differ: of two equally near, either may be the nearest.
            assert ((turned >= 128) != (turn(alpha) >= 128)).sum() < 0.05 * side
