"""The visible part of the photo, and conversion of its coordinates to the photo's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handseg.app.frame import NARROWEST, WIDEST, Frame

sides = st.integers(1, 6000)
shares = st.floats(0, 1)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """Draw any frame that a visitor may reach."""
    photo = draw(sides), draw(sides)
    x = sorted(draw(st.tuples(*[st.floats(0, photo[0] - 1)] * 2)))
    y = sorted(draw(st.tuples(*[st.floats(0, photo[1] - 1)] * 2)))
    frame = Frame.around(np.array([x[0], y[0], x[1], y[1]]), photo)
    for step in draw(st.lists(st.sampled_from(["closer", "wider", "moved"]), max_size=5)):
        if step == "moved":
            frame = frame.moved(draw(st.floats(-2, 2)), draw(st.floats(-2, 2)))
        else:
            frame = getattr(frame, step)()
    return frame


@given(frames(), shares, shares)
def test_every_pixel_that_is_shown_is_pointed_at_exactly(
    frame: Frame, across: float, down: float
) -> None:
    column = min(int(across * frame.width), frame.width - 1)
    row = min(int(down * frame.height), frame.height - 1)
    middle = frame.to_photo((column + 0.5) / frame.width, (row + 0.5) / frame.height)
    assert middle == pytest.approx((frame.left + column, frame.top + row), abs=1e-6)
    x, y = frame.to_photo(across, down)
    assert abs(x - frame.left - across * frame.width + 0.5) <= 0.5 + 1e-6
    assert abs(y - frame.top - down * frame.height + 0.5) <= 0.5 + 1e-6


@given(frames(), st.floats(-9, 9), st.floats(-9, 9))
def test_no_place_is_outside_of_the_photo(frame: Frame, across: float, down: float) -> None:
    x, y = frame.to_photo(across, down)
    assert 0 <= x <= frame.photo[0] - 1
    assert 0 <= y <= frame.photo[1] - 1


@given(frames())
def test_a_frame_is_a_part_of_its_photo(frame: Frame) -> None:
    for first, side, room in zip(
        (frame.left, frame.top), (frame.width, frame.height), frame.photo, strict=True
    ):
        assert min(NARROWEST, room) <= side <= room
        assert 0 <= first <= room - side


@given(frames())
def test_any_view_leads_to_the_whole_photo(frame: Frame) -> None:
    for _ in range(12):
        frame = frame.wider()
    assert frame == Frame.whole(frame.photo)


@pytest.mark.parametrize("box", [(400, 300, 500, 600), (300, 400, 700, 500), (0, 0, 90, 40)])
def test_a_hand_fills_its_view_with_room_around_it(box: tuple[float, ...]) -> None:
    frame = Frame.around(np.array(box), (1000, 1000))
    assert 1 <= frame.width / frame.height <= WIDEST + 0.01
    longer = max(box[2] - box[0], box[3] - box[1])
    assert max(frame.width, frame.height) <= 1.6 * longer
    assert frame.left <= max(0, box[0] - 0.1 * longer)
    assert frame.top <= max(0, box[1] - 0.1 * longer)
    assert frame.left + frame.width >= min(1000, box[2] + 0.1 * longer)
    assert frame.top + frame.height >= min(1000, box[3] + 0.1 * longer)


def test_moving_takes_shares_of_the_view() -> None:
    frame = Frame((1000, 800), 200, 300, 100, 50)
    assert frame.moved(0.5, -1) == Frame((1000, 800), 250, 250, 100, 50)
    assert frame.moved(-9, 99) == Frame((1000, 800), 0, 750, 100, 50)
