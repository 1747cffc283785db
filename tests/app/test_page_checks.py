from __future__ import annotations

import numpy as np
import pytest

from handseg.app import checks
from handseg.results import Hand

PHOTO = (60, 80)
LANDMARKS = np.full((21, 2), 25.0, np.float32)


def make(
    x: int = 20,
    y: int = 20,
    landmarks: np.ndarray | None = LANDMARKS,
    predicted_iou: float = 0.95,
    detection_score: float | None = 0.95,
    side: int = 15,
) -> Hand:
    return Hand.from_alpha(
        np.ones((side, side), bool),
        (x, y),
        PHOTO,
        prompt_box=np.array([x, y, x + 5, y + 5], np.float32),
        predicted_iou=predicted_iou,
        landmarks=landmarks,
        detection_score=detection_score,
    )


def say(hand: Hand, *others: Hand, prompted: bool = True) -> str:
    return checks.in_words(hand, [hand, *others], prompted)


def test_a_hand_that_nothing_speaks_against_looks_right() -> None:
    assert say(make()) == "looks right"
    assert say(make(detection_score=None)) == "looks right"
    assert say(make(), make(40)) == "looks right"


@pytest.mark.parametrize(
    ("hand", "reason"),
    [
        (make(landmarks=None), "found without landmarks, look at the wrist"),
        (make(detection_score=0.5), "it hardly looks like a hand"),
        (make(predicted_iou=0.8), "the outline is unsure"),
        (make(side=0), "nothing of it was cut out"),
    ],
)
def test_a_reason_to_check(hand: Hand, reason: str) -> None:
    assert say(hand) == f"**check this hand**: {reason}"


def test_reasons_are_listed() -> None:
    said = say(make(landmarks=None, predicted_iou=0.8))
    assert said.endswith("look at the wrist; the outline is unsure")


@pytest.mark.parametrize("place", [(0, 20), (20, 0), (65, 20), (20, 45), (70, 50)])
def test_the_photo_s_edge_is_told(place: tuple[int, int]) -> None:
    assert say(make(*place)) == "**check this hand**: cut by the photo's edge"
    assert say(make(64, 44)) == "looks right"


def test_hands_that_overlap_are_told_both() -> None:
    one, other = make(), make(30)
    for hand, beside in ((one, other), (other, one)):
        assert say(hand, beside).endswith("it overlaps another hand, look where they meet")
    assert say(one, make(35)) == "looks right"  # They touch.


def test_a_model_that_labels_photos_is_not_asked_for_what_it_lacks() -> None:
    hand = make(landmarks=None, predicted_iou=0.7, detection_score=None)
    assert say(hand, prompted=False) == "looks right"
