"""Which hand a click or a box is for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handseg.app.aim import CLICKED, Pointer, boxed_hand, clicked_hand
from handseg.app.entries import HandEntry
from handseg.app.frame import Frame
from handseg.app.workspace import Photo
from handseg.results import Hand

HEIGHT, WIDTH = 400, 500


def hand(x0: int, y0: int, x1: int, y1: int) -> Hand:
    """Make a hand: a filled ellipse in this box."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = ((x - (x0 + x1) / 2) / ((x1 - x0) / 2)) ** 2 + (
        (y - (y0 + y1) / 2) / ((y1 - y0) / 2)
    ) ** 2 <= 1
    box = np.array([x0, y0, x1, y1], np.float32)
    alpha = inside.astype(np.uint8) * np.uint8(255)
    return Hand.from_alpha(alpha, (0, 0), (HEIGHT, WIDTH), prompt_box=box, predicted_iou=0.9)


HANDS = [hand(50, 100, 150, 300), hand(250, 100, 350, 300)]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (100, 200, 0),
        (300, 200, 1),
        (52, 102, 0),  # in its box, off the mask
        (180, 200, 0),  # near the box
        (225, 200, 1),
        (200, 200, None),
        (450, 200, None),
        (100, 20, None),
    ],
)
def test_a_click_is_about_the_hand_there(x: float, y: float, expected: int | None) -> None:
    assert clicked_hand(HANDS, x, y) == expected


def test_the_mask_counts_more_than_another_box() -> None:
    large, small = hand(0, 0, 400, 390), hand(5, 5, 45, 45)
    assert clicked_hand([large, small], 25, 25) == 1
    assert clicked_hand([small, large], 200, 200) == 1


@given(st.floats(0, WIDTH - 1), st.floats(0, HEIGHT - 1))
def test_a_click_on_a_mask_is_never_another_s(x: float, y: float) -> None:
    number = clicked_hand(HANDS, x, y)
    for index, one in enumerate(HANDS):
        if one.mask[round(y), round(x)]:
            assert number == index
    assert clicked_hand([], x, y) is None


def test_a_box_is_about_the_hand_that_it_surrounds() -> None:
    assert boxed_hand(HANDS, np.array([40, 90, 160, 310.0])) == 0
    assert boxed_hand(HANDS, np.array([240, 110, 360, 310.0])) == 1
    assert boxed_hand(HANDS, np.array([380, 50, 480, 300.0])) is None
    assert boxed_hand([], np.array([40, 90, 160, 310.0])) is None


@pytest.fixture
def photo() -> Photo:
    entries = tuple(HandEntry(rank=rank, box=(0, 0, 9, 9)) for rank in range(2))
    return Photo("a.jpg", b"", (WIDTH, HEIGHT), entries)


def point(photo: Photo, label: int, do: str = "click", **places: float) -> None:
    """Act at places in px of the photo, which is entirely visible."""
    sides = {"x": WIDTH, "y": HEIGHT}
    shares = {name: (value + 0.5) / sides[name[0]] for name, value in places.items()}
    pointer = Pointer(photo, photo.active(4), HANDS, CLICKED, label)
    pointer.act({"do": do, **shares}, Frame.whole((WIDTH, HEIGHT)))


def test_clicks_find_their_hands(photo: Photo) -> None:
    point(photo, 1, x=300, y=200)
    point(photo, 0, x=60, y=110)
    point(photo, 1, "box", x1=240, y1=90, x2=360, y2=310)
    assert photo.entries is not None
    first, second = photo.entries
    assert first.points == ((60, 110),)
    assert first.labels == (0,)
    assert second.points == ((300, 200),)
    assert second.box == (240, 90, 360, 310)


def test_a_click_far_from_all_hands_starts_one(photo: Photo) -> None:
    point(photo, 1, x=470, y=60)
    assert photo.entries is not None
    assert len(photo.entries) == 3
    assert photo.entries[2].points == ((470, 60),)


def test_a_click_off_the_hand_is_about_the_nearest(photo: Photo) -> None:
    point(photo, 0, x=470, y=60)
    assert photo.entries is not None
    assert [entry.labels for entry in photo.entries] == [(), (0,)]
