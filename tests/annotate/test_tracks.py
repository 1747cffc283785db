from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_hands import make_hand
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.annotate.tracks import GAP, Tracker
from handseg.results import HandSegmentation

SHAPE = (300, 600)


def hand_at(
    open_hand: np.ndarray, x: float, y: float, side: str | None = "right", marks: bool = True
) -> dict[str, Any]:
    """Make the annotation of a small hand with its wrist at x, y px."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    mask = (abs(columns - x) < 30) & (rows > y - 80) & (rows < y + 10)
    landmarks = open_hand * 0.5 + (x, y) if marks else None
    hand = make_hand(mask, landmarks=landmarks, handedness=side, handedness_score=0.9)
    image = np.zeros((*SHAPE, 3), np.uint8)
    return HandSegmentation(image, (hand,)).to_coco()["annotations"][0]


@pytest.fixture
def tracker() -> Tracker:
    return Tracker()


@pytest.mark.parametrize("marks", [True, False])
def test_two_moving_hands_keep_their_numbers(
    tracker: Tracker, open_hand: np.ndarray, marks: bool
) -> None:
    for frame in range(10):
        hands = [
            hand_at(open_hand, 100 + 15 * frame, 150, "left", marks),
            hand_at(open_hand, 450 - 12 * frame, 160, "right", marks),
        ]
        swapped = frame % 2
        numbers = tracker.step(frame, hands[::-1] if swapped else hands)
        assert numbers == ([2, 1] if swapped else [1, 2])


def test_hands_that_cross_keep_their_numbers(tracker: Tracker, open_hand: np.ndarray) -> None:
    for frame in range(21):
        hands = [
            hand_at(open_hand, 150 + 15 * frame, 150, "left"),
            hand_at(open_hand, 450 - 15 * frame, 170, "right"),
        ]
        assert tracker.step(frame, hands) == [1, 2]


def test_a_wrong_side_now_and_then_changes_nothing(tracker: Tracker, open_hand: np.ndarray) -> None:
    for frame in range(12):
        side = "left" if frame % 4 == 3 else "right"
        assert tracker.step(frame, [hand_at(open_hand, 100 + 5 * frame, 150, side)]) == [1]


@pytest.mark.parametrize(("missed", "expected"), [(1, 1), (GAP, 1), (GAP + 1, 2)])
def test_short_gaps_are_survived(
    tracker: Tracker, open_hand: np.ndarray, missed: int, expected: int
) -> None:
    tracker.step(0, [hand_at(open_hand, 100, 150)])
    for frame in range(1, 1 + missed):
        assert tracker.step(frame, []) == []
    assert tracker.step(1 + missed, [hand_at(open_hand, 120, 150)]) == [expected]


def test_frames_that_failed_are_a_gap_too(tracker: Tracker, open_hand: np.ndarray) -> None:
    assert tracker.step(0, [hand_at(open_hand, 100, 150)]) == [1]
    assert tracker.step(GAP + 1, [hand_at(open_hand, 110, 150)]) == [1]
    assert tracker.step(2 * GAP + 3, [hand_at(open_hand, 110, 150)]) == [2]


def test_far_away_is_another_hand(tracker: Tracker, open_hand: np.ndarray) -> None:
    assert tracker.step(0, [hand_at(open_hand, 100, 150)]) == [1]
    assert tracker.step(1, [hand_at(open_hand, 400, 150)]) == [2]
    assert tracker.step(2, [hand_at(open_hand, 100, 150)]) == [1]


def test_cut_begins_anew(tracker: Tracker, open_hand: np.ndarray) -> None:
    tracker.step(0, [hand_at(open_hand, 100, 150)])
    tracker.cut()
    assert tracker.step(1, [hand_at(open_hand, 100, 150)]) == [2]


places = st.lists(
    st.tuples(st.integers(60, 540), st.integers(90, 280), st.sampled_from(["left", "right", None])),
    max_size=4,
)


@settings(deadline=None, max_examples=40)
@given(frames=st.lists(places, min_size=1, max_size=6), data=st.data())
def test_numbers_are_unique_in_a_frame_and_do_not_depend_on_order(
    frames: list, data: st.DataObject, open_hand: np.ndarray
) -> None:
    one, other = Tracker(), Tracker()
    partners: dict[int, int] = {}
    for frame, hands in enumerate(frames):
        notes = [hand_at(open_hand, *hand) for hand in dict.fromkeys(hands)]
        order = data.draw(st.permutations(range(len(notes))))
        first = one.step(frame, notes)
        second = other.step(frame, [notes[index] for index in order])
        assert len(set(first)) == len(first)
        for place, index in enumerate(order):
            assert partners.setdefault(first[index], second[place]) == second[place]
    assert len(set(partners.values())) == len(partners)
