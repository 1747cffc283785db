"""Discs and fingers painted with exact edges, and logits that lie beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.models.region import Region
from handseg.postprocess import refine
from handseg.postprocess.outline import trace
from handseg.postprocess.refine import SOFTNESS

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""The distance to the contour, positive inside, at x, y; all in sides of the region."""

Colors = tuple[tuple[int, int, int], tuple[int, int, int]]
"""RGB inside and outside."""

SKIN, GROUND = (205, 160, 140), (60, 90, 70)
GREY = (128, 128, 128)
SIZE = 96


def follow_edges(logits: np.ndarray, view: np.ndarray, outline: float = 0.0) -> np.ndarray:
    """The alpha of a photo that is the region itself, in all of it."""
    side = len(view)
    patch, (x, y) = refine.follow_edges(logits, view, Region(0, 0, side), outline)
    alpha = np.zeros((side, side), np.uint8)
    alpha[y : y + patch.shape[0], x : x + patch.shape[1]] = patch
    return alpha


def disc(radius: float = 0.3, x: float = 0.503, y: float = 0.484) -> Shape:
    return lambda columns, rows: radius - np.hypot(columns - x, rows - y)


def finger(angle: float, width: float = 0.16, length: float = 0.46) -> Shape:
    """A bar with round ends, `angle` degrees from the x axis."""
    along = np.cos(np.radians(angle)), np.sin(np.radians(angle))

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = x - 0.503, y - 0.497
        place = np.clip(x * along[0] + y * along[1], -length / 2, length / 2)
        return width / 2 - np.hypot(x - place * along[0], y - place * along[1])

    return distance


def samples(shape: Shape, side: int, dx: float = 0, dy: float = 0) -> np.ndarray:
    """Distances in px at the centres of side x side pixels moved by dx, dy px."""
    centres = np.arange(side) + 0.5
    return side * shape((centres[None] + dx) / side, (centres[:, None] + dy) / side)


@cache
def paint(
    shape: Shape, side: int, noise: float = 6, blur: float = 0, colors: Colors = (SKIN, GROUND)
) -> np.ndarray:
    """The shape in its colour on the ground, 4 x 4 samples a pixel, with noise."""
    offsets = (np.arange(4) - 1.5) / 4
    cover = np.zeros((side, side))
    for dx, dy in product(offsets, offsets):
        cover += samples(shape, side, dx, dy) > 0
    cover /= 16
    if blur:
        cover = cv2.GaussianBlur(cover, (0, 0), blur)
    view = cover[..., None] * np.array(colors[0]) + (1 - cover[..., None]) * colors[1]
    view += np.random.default_rng(0).normal(0, noise, view.shape)
    return np.clip(view, 0, 255).round().astype(np.uint8)


def logits_of(
    shape: Shape, size: int = SIZE, grown: float = 0, dx: float = 0, dy: float = 0
) -> np.ndarray:
    """Smooth logits of `shape`, `grown` and moved by that many logits."""
    return np.clip(3 * (samples(shape, size, -dx, -dy) + grown), -4, 4).astype(np.float32)


def offsets(alpha: np.ndarray, shape: Shape) -> np.ndarray:
    """px by which each vertex of the contour lies outside of the true one."""
    places = (np.concatenate(trace(alpha)) + 0.5) / len(alpha)
    return -len(alpha) * shape(places[:, 0], places[:, 1])


def upsampled(logits: np.ndarray, side: int) -> np.ndarray:
    """What the logits alone say, as alpha."""
    wide = cv2.resize(logits, (side, side), interpolation=cv2.INTER_CUBIC)
    return cv2.add(40 * wide, 127.5, dtype=cv2.CV_8U)


def pieces(mask: np.ndarray) -> tuple[int, int]:
    """How many parts the hand and the ground have."""
    on, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    off, _ = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=8)
    return on - 1, off - 1


def alphas_along(alpha: np.ndarray, start: tuple[float, float], towards: float) -> np.ndarray:
    """`alpha` between px along 8 px from `start` x, y (in sides) in direction `towards` degrees."""
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
    """Points of the default disc's contour with the direction of their normals in degrees."""
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
            # Between pixels, where bilinear interpolation may bend it a little.
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
            # A few pixels of the contour; of two that are as near either may be the nearest.
            assert ((turned >= 128) != (turn(alpha) >= 128)).sum() < 0.05 * side


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
