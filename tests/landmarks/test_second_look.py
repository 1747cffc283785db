from __future__ import annotations

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


def no_look(views: object) -> list[list[HandLandmarks]]:
    raise AssertionError("it looked again")


def test_where_both_see_the_same_nobody_looks_again() -> None:
    (found,) = with_boxes([hand(200, 300)], [box(203, 298, 0.8)], no_look)
    assert isinstance(found, HandLandmarks)
    assert found.detection_score == pytest.approx(0.8)


def test_a_box_alone_becomes_a_hand_with_the_landmarks_of_a_closer_look() -> None:
    asked: list[CloseView] = []

    def look(views: list[CloseView]) -> list[list[HandLandmarks]]:
        asked.extend(views)
        return [[hand(404, 300, votes=1)], [hand(401, 300, votes=1), hand(700, 300, votes=1)]]

    first, second = with_boxes([hand(200, 300)], [box(200, 300, 0.9), box(400, 300, 0.3)], look)
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
    assert len(with_boxes([hand(200, 300)], boxes, look)) == 1


@pytest.mark.parametrize(("score", "count"), [(SURE - 0.01, 0), (SURE, 1)])
def test_where_the_finder_is_not_sure_both_looks_must_see_the_hand(
    score: float, count: int
) -> None:
    def look(views: list[CloseView]) -> list[list[HandLandmarks]]:
        return [[hand(400, 300, votes=1)], []]

    found = with_boxes([], [box(400, 300, score)], look)
    assert len(found) == count
    assert all(isinstance(one, HandLandmarks) for one in found)


def test_a_sure_box_is_a_hand_without_landmarks() -> None:
    sure, unsure = box(400, 300, SURE), box(700, 300, SURE - 0.01)
    seen = [box(200, 300, 0.95), sure, unsure]
    first, second = with_boxes([hand(200, 300)], seen, nothing)
    assert isinstance(first, HandLandmarks)
    assert second is sure


def test_what_mediapipe_sees_and_the_finder_does_not_is_no_hand() -> None:
    hands = [hand(200, 300, votes=1), hand(500, 300, votes=2)]
    (found,) = with_boxes(hands, [box(500, 300, NONE)], nothing)
    assert isinstance(found, HandLandmarks)
    np.testing.assert_array_equal(found.points, hands[1].points)


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
