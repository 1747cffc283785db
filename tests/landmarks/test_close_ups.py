from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.landmarks.close_ups import PAD, REACH, SIDE, CloseUp

place = st.floats(-200, 900)
length = st.floats(2, 700)


@given(x=place, y=place, width=length, height=length)
@settings(max_examples=60, deadline=None)
def test_a_box_lies_in_the_middle_of_its_close_up(
    x: float, y: float, width: float, height: float
) -> None:
    box = np.array([x, y, x + width, y + height])
    view = CloseUp.of(box)
    inside = view.inward(box)
    np.testing.assert_allclose((inside[:2] + inside[2:]) / 2, (SIDE - 1) / 2, atol=1e-2)
    assert (inside[2:] - inside[:2]).max() == pytest.approx(SIDE / REACH, rel=1e-3)


@pytest.mark.parametrize("side", [12, 45, 90, 400])
def test_the_close_up_shows_what_lies_in_the_box(side: int) -> None:
    image = np.full((1300, 1400, 3), 20, np.uint8)
    image[440 : 440 + side, 500 : 500 + side] = 220
    view = CloseUp.of(np.array([500, 440, 500 + side - 1, 440 + side - 1]))
    rows, columns = np.nonzero(view.pixels(image)[..., 0] > 120)
    found = [columns.min(), rows.min(), columns.max(), rows.max()]
    edges = view.inward(np.array([499.5, 439.5, 499.5 + side, 439.5 + side]))
    wanted = edges + np.array([0.5, 0.5, -0.5, -0.5])
    np.testing.assert_allclose(found, wanted, atol=1.1)


def test_outside_the_photo_it_is_grey() -> None:
    pixels = CloseUp.of(np.array([-60, -60, 10, 10])).pixels(np.zeros((80, 80, 3), np.uint8))
    assert (pixels[0, 0] == PAD).all()
    assert (pixels[-1, -1] == 0).all()
