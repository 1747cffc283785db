from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.landmarks.found import HandBox, HandLandmarks
from handseg.landmarks.second_look import LOOK, NONE, SURE, close_views, with_boxes
from handseg.landmarks.views import CloseView

# An upright hand with its wrist at the origin, about 2 hand sizes high.
HAND = np.array(
    [(0, 0)]
    + [(-0.3 - 0.1 * k, -0.3 - 0.15 * k) for k in range(4)]
    + [(x, -1 - 0.3 * k) for x in (-0.3, 0.0, 0.2, 0.4) for k in range(4)],
    np.float32,
)


def hand(x: float, y: float, size: float = 60, votes: int = 2) -> HandLandmarks:
    return HandLandmarks((HAND * size + (x, y)).astype(np.float32), "left", 0.9, votes)


def box(x: float, y: float, score: float, size: float = 60) -> HandBox:
    """Make the finder's box of such a hand."""
    corners = np.array([-0.7, -2.0, 0.5, 0.4]) * size + [x, y, x, y]
    return HandBox(corners.astype(np.float32), score, 0.9, np.array([0, 1], np.float32))


def nothing(views: object) -> list[list[HandLandmarks]]:
    return [[], []]


def close_up(score: float) -> Callable[[np.ndarray], float]:
    return lambda corners: score


def no_check(corners: np.ndarray) -> float:
    raise AssertionError("it took a close-up")


def no_look(views: object) -> list[list[HandLandmarks]]:
    raise AssertionError("it looked again")


def test_where_both_see_the_same_nobody_looks_again() -> None:
    (found,) = with_boxes([hand(200, 300)], [box(203, 298, 0.8)], no_check, no_look)
    assert isinstance(found, HandLandmarks)
    assert found.detection_score == pytest.approx(0.8)


def test_a_box_alone_becomes_a_hand_with_the_landmarks_of_a_closer_look() -> None:
    asked: list[CloseView] = []

    def look(views: list[CloseView]) -> list[list[HandLandmarks]]:
        asked.extend(views)
        return [[hand(404, 300, votes=1)], [hand(401, 300, votes=1), hand(700, 300, votes=1)]]

    boxes = [box(200, 300, 0.9), box(400, 300, 0.3)]
    first, second = with_boxes([hand(200, 300)], boxes, close_up(NONE), look)
    assert isinstance(second, HandLandmarks)
    assert first.detection_score == pytest.approx(0.9)
    assert second.detection_score == pytest.approx(0.3)
    assert second.votes == 2
    assert second.points[0, 0] == pytest.approx(401)
    assert len(asked) == 2
    assert all(view.reach > 140 for view in asked)


def test_what_a_closer_look_sees_elsewhere_is_not_taken() -> None:
    def look(views: list[CloseView]) -> list[list[HandLandmarks]]:
        return [[hand(200, 300, votes=1)], [hand(700, 300, votes=1)]]

    boxes = [box(200, 300, 0.9), box(400, 300, LOOK)]
    assert len(with_boxes([hand(200, 300)], boxes, close_up(0.5), look)) == 1


@pytest.mark.parametrize(("score", "count"), [(SURE - 0.01, 0), (SURE, 1)])
def test_where_the_finder_is_not_sure_both_looks_must_see_the_hand(
    score: float, count: int
) -> None:
    def look(views: list[CloseView]) -> list[list[HandLandmarks]]:
        return [[hand(400, 300, votes=1)], []]

    found = with_boxes([], [box(400, 300, score)], close_up(0.5), look)
    assert len(found) == count
    assert all(isinstance(one, HandLandmarks) for one in found)


def test_a_sure_box_is_a_hand_without_landmarks() -> None:
    sure, unsure = box(400, 300, SURE), box(700, 300, SURE - 0.01)
    seen = [box(200, 300, 0.95), sure, unsure]
    first, second = with_boxes([hand(200, 300)], seen, close_up(0.5), nothing)
    assert isinstance(first, HandLandmarks)
    assert second is sure


def test_where_the_close_up_shows_no_hand_nobody_looks() -> None:
    assert with_boxes([], [box(400, 300, 0.95)], close_up(NONE / 2), no_look) == []


@pytest.mark.parametrize(("close", "count"), [(NONE / 2, 0), (NONE, 1)])
def test_a_hand_of_mediapipe_alone_needs_a_close_up_that_shows_one(
    close: float, count: int
) -> None:
    found = with_boxes([hand(200, 300)], [], close_up(close), no_look)
    assert [one.detection_score for one in found] == [pytest.approx(close)] * count


def test_a_close_up_is_taken_of_the_hand_and_its_wrist() -> None:
    asked: list[np.ndarray] = []

    def check(corners: np.ndarray) -> float:
        asked.append(corners)
        return 0.9

    with_boxes([hand(200, 300)], [], check, no_look)
    points = hand(200, 300).points
    (corners,) = asked
    assert (corners[:2] < points.min(0)).all()
    assert (corners[2:] > points.max(0)).all()


def test_mediapipes_doubtful_hand_goes_where_a_closer_look_finds_the_same() -> None:
    def look(views: list[CloseView]) -> list[list[HandLandmarks]]:
        return [[hand(430, 300)], [hand(430, 300)]]

    (found,) = with_boxes([hand(400, 300)], [box(460, 300, 0.9)], close_up(0.5), look)
    assert isinstance(found, HandLandmarks)
    assert found.points[0, 0] == 430
    # Without the closer look, it stays beside the box.
    assert len(with_boxes([hand(400, 300)], [box(460, 300, 0.9)], close_up(0.5), nothing)) == 2


@given(
    angle=st.floats(-np.pi, np.pi),
    x=st.floats(-50, 700),
    y=st.floats(-50, 700),
    longest=st.floats(5, 900),
)
@settings(max_examples=80, deadline=None)
def test_closer_looks_show_the_box_with_the_wrist_below(
    angle: float, x: float, y: float, longest: float
) -> None:
    wrist = np.array([np.cos(angle), np.sin(angle)], np.float32)
    corners = np.array([x - longest / 2, y - longest / 4, x + longest / 2, y + longest / 4])
    for view in close_views(HandBox(corners.astype(np.float32), 0.5, 0.5, wrist)):
        matrix, side = view.matrix(640, 480)
        middle = matrix[:, :2] @ [x, y] + matrix[:, 2]
        np.testing.assert_allclose(middle, (side - 1) / 2, atol=0.1)
        towards = matrix[:, :2] @ wrist
        np.testing.assert_allclose(towards / np.linalg.norm(towards), [0, 1], atol=1e-3)
        assert np.linalg.norm(towards) * longest < side / 1.5
