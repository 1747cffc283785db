"""Brush strokes: their cover, and their effect on a hand's alpha."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handseg.app.brush import Stroke, apply, cover
from handseg.results import Hand

HEIGHT, WIDTH = SHAPE = (60, 80)
Y, X = np.mgrid[:HEIGHT, :WIDTH]

places = st.tuples(
    st.floats(-30, WIDTH + 30, width=32).map(lambda value: round(value, 2)),
    st.floats(-30, HEIGHT + 30, width=32).map(lambda value: round(value, 2)),
)
radii = st.floats(0.5, 25).map(lambda value: round(value, 2))


@st.composite
def strokes(draw: st.DrawFn, erase: bool | None = None) -> Stroke:
    points = draw(st.lists(places, min_size=1, max_size=6))
    erased = draw(st.booleans()) if erase is None else erase
    return Stroke(np.array(points, np.float32), draw(radii), erased)


def hand(alpha: np.ndarray | None = None) -> Hand:
    """Make a hand with this alpha, or an empty one."""
    if alpha is None:
        alpha = np.zeros(SHAPE, np.uint8)
    box = np.array([10, 20, 30, 40], np.float32)
    points = np.full((21, 2), 9, np.float32)
    return Hand.from_alpha(
        alpha, (0, 0), SHAPE, prompt_box=box, predicted_iou=0.5, landmarks=points, handedness="left"
    )


def soft_disc(x: float, y: float, radius: float) -> np.ndarray:
    """Make an alpha, (60, 80) uint8, that falls off over 2 px, as the model's does."""
    alpha = np.clip((radius - np.hypot(X - x, Y - y)) / 2 + 0.5, 0, 1)
    return np.rint(alpha * 255).astype(np.uint8)


HANDS = [hand(), hand(soft_disc(40, 30, 20)), hand(soft_disc(5.5, 50.2, 14))]


def covered(stroke: Stroke) -> np.ndarray:
    """Return a stroke's cover of the whole photo, (60, 80) uint8."""
    patch, (x, y) = cover(stroke, SHAPE)
    whole = np.zeros(SHAPE, np.uint8)
    whole[y : y + patch.shape[0], x : x + patch.shape[1]] = patch
    return whole


def distance(stroke: Stroke) -> np.ndarray:
    """Return the distance of each pixel to the line, px, (60, 80) float64."""
    line = stroke.points.astype(np.float64)
    away = np.min([np.hypot(X - x, Y - y) for x, y in line], axis=0)
    for start, end in pairwise(line):
        (dx, dy), length = end - start, np.hypot(*(end - start))
        if length:
            along = ((X - start[0]) * dx + (Y - start[1]) * dy) / length
            beside = abs((X - start[0]) * dy - (Y - start[1]) * dx) / length
            away = np.where((along > 0) & (along < length), np.minimum(away, beside), away)
    return away


@given(places, radii)
def test_one_point_is_a_disc(place: tuple[float, float], radius: float) -> None:
    stroke = Stroke(np.array([place], np.float32), radius)
    away = np.hypot(X - place[0], Y - place[1])
    alpha = covered(stroke)
    assert (alpha[away < radius - 0.51] == 255).all()
    assert (alpha[away > radius + 0.51] == 0).all()
    clear = abs(away - radius) > 0.01
    np.testing.assert_array_equal((alpha >= 128)[clear], (away <= radius)[clear])


@given(strokes())
def test_a_stroke_covers_what_is_within_its_radius_of_its_line(stroke: Stroke) -> None:
    away, alpha = distance(stroke), covered(stroke)
    expected = np.clip(stroke.radius + 0.5 - away, 0, 1)
    np.testing.assert_allclose(alpha / 255, expected, atol=0.01)


@given(strokes())
def test_a_line_may_be_drawn_from_either_end(stroke: Stroke) -> None:
    back = Stroke(stroke.points[::-1], stroke.radius)
    np.testing.assert_allclose(covered(stroke).astype(int), covered(back), atol=1)


def test_a_line_that_comes_back_to_its_start_is_drawn_all_the_way() -> None:
    loop = Stroke(np.array([[10, 10], [60, 10], [60, 50], [10, 10]], np.float32), 2)
    mask = covered(loop) >= 128
    assert mask[10, 35]
    assert mask[30, 60]
    assert not mask[20, 50]
    there_and_back = Stroke(np.array([[10, 10], [70, 10], [30, 10]], np.float32), 2)
    assert (covered(there_and_back) >= 128)[10, 10:71].all()


def test_a_stroke_beside_the_photo_covers_nothing() -> None:
    for place in ((-30, 30), (40, 200), (1e7, -1e7)):
        stroke = Stroke(np.array([place], np.float32), 20)
        patch, _ = cover(stroke, SHAPE)
        assert not patch.any()
        for one in HANDS:
            np.testing.assert_array_equal(apply(one, [stroke]).alpha, one.alpha)


@given(st.sampled_from(HANDS), strokes(erase=False))
def test_adding_adds_the_stroke_and_nothing_else(one: Hand, stroke: Stroke) -> None:
    painted = apply(one, [stroke])
    np.testing.assert_array_equal(painted.mask, one.mask | (covered(stroke) >= 128))
    untouched = covered(stroke) == 0
    np.testing.assert_array_equal(painted.alpha[untouched], one.alpha[untouched])


@given(st.sampled_from(HANDS), strokes(erase=True))
def test_erasing_takes_the_stroke_and_nothing_else(one: Hand, stroke: Stroke) -> None:
    erased = apply(one, [stroke])
    np.testing.assert_array_equal(erased.mask, one.mask & ~(covered(stroke) >= 128))
    untouched = covered(stroke) == 0
    np.testing.assert_array_equal(erased.alpha[untouched], one.alpha[untouched])


@given(strokes(erase=False))
def test_nothing_is_left_of_a_stroke_that_is_erased(stroke: Stroke) -> None:
    eraser = Stroke(stroke.points, stroke.radius, erase=True)
    assert not apply(hand(), [stroke, eraser]).patch.any()
    for one in HANDS[1:]:
        assert not (apply(one, [stroke, eraser]).mask & (covered(stroke) >= 128)).any()


@given(st.sampled_from(HANDS), st.lists(strokes(), max_size=4))
def test_strokes_are_painted_in_their_order(one: Hand, some: list[Stroke]) -> None:
    stepwise = one
    for stroke in some:
        stepwise = apply(stepwise, [stroke])
    painted = apply(one, some)
    np.testing.assert_array_equal(painted.alpha, stepwise.alpha)
    assert painted.handedness == one.handedness
    assert painted.predicted_iou == one.predicted_iou
    np.testing.assert_array_equal(painted.landmarks, one.landmarks)
    if painted.area:
        rows, columns = np.nonzero(painted.mask)
        np.testing.assert_array_equal(
            painted.box, [columns.min(), rows.min(), columns.max(), rows.max()]
        )


def test_without_strokes_a_hand_is_as_it_was() -> None:
    assert apply(HANDS[1], []) is HANDS[1]


def test_edges_are_as_smooth_as_drawn_discs() -> None:
    """Alpha is the share of a pixel: contours of painted and of erased discs lie on the circle."""
    place, radius = np.array([[40.3, 29.8]], np.float32), 15.4
    whole = hand(np.full(SHAPE, 255, np.uint8))
    added = apply(hand(), [Stroke(place, radius)]).contours()[0]
    erased = min(apply(whole, [Stroke(place, radius, True)]).contours(), key=np.ptp)
    for contour in (added, erased):
        away = np.hypot(*(contour - place[0]).T) - radius
        assert np.sqrt((away**2).mean()) < 0.1


@pytest.mark.parametrize(
    ("points", "radius", "message"),
    [
        (np.zeros((0, 2)), 3, "N >= 1"),
        (np.zeros((4,)), 3, "N >= 1"),
        (np.array([[np.nan, 1]]), 3, "finite"),
        (np.zeros((1, 2)), 0, "radius"),
        (np.zeros((1, 2)), np.inf, "radius"),
    ],
)
def test_what_is_no_stroke_is_refused(points: np.ndarray, radius: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stroke(points.astype(np.float32), radius)
