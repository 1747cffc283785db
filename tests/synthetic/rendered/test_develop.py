import cv2
import numpy as np
import pytest

from handseg.synthetic.rendered.develop import (
    develop,
    draw_background,
    highlight_gain,
    incident_light,
    to_linear,
    to_srgb,
)


def test_tones_up_to_the_shoulder_come_back_as_they_were():
    values = np.arange(0, 231, dtype=np.uint8)  # 231 is 0.8 in linear light.
    np.testing.assert_array_equal(to_srgb(to_linear(values)), values)


def test_highlights_roll_off_without_a_step():
    ramp = to_srgb(np.linspace(0, 3, 3000, dtype=np.float32)).astype(int)

    assert (np.diff(ramp) >= 0).all()
    assert np.diff(ramp).max() <= 13  # At black, where sRGB is steepest
    assert np.diff(ramp)[500:].max() <= 1
    assert ramp[-1] == 255


def test_the_light_meter_reads_what_a_white_surface_would_reflect():
    color = np.zeros((20, 20, 3), np.float32)
    hand = np.zeros((20, 20), np.float32)
    hand[5:15, 5:15] = 1
    color[hand > 0] = 0.3 * 2.5  # Skin that reflects 30 % in light of 2.5.

    light = incident_light(color, np.ones((20, 20), np.float32), {"hand0": hand}, [0.3])

    assert light == pytest.approx(2.5, rel=1e-5)


def test_highlights_on_hands_stay_below_white_and_others_do_not_count():
    color = np.random.default_rng(0).uniform(0, 4, (40, 40, 3)).astype(np.float32)
    hand = np.zeros((40, 40), np.float32)
    hand[10:30, 10:30] = 1
    color[hand == 0] *= 10

    gain = highlight_gain(color, {"hand0": np.zeros_like(hand), "hand1": hand}, 2)

    burnt = (to_srgb(gain * color)[hand > 0] == 255).any(1).mean()
    assert burnt <= 0.1
    assert (gain * color)[hand > 0].max() > 0.85
    assert highlight_gain(color, {"hand0": np.zeros_like(hand)}, 1) == np.inf


def test_without_a_hand_everything_counts_as_middle_grey():
    color = np.full((20, 20, 3), 0.4, np.float32)
    nothing = {"hand0": np.zeros((20, 20), np.float32)}

    assert incident_light(color, np.ones((20, 20), np.float32), nothing, [0.3]) == pytest.approx(2)


def test_the_background_shows_where_nothing_was_rendered():
    background = np.full((4, 4, 3), 100, np.uint8)
    alpha = np.zeros((4, 4), np.float32)
    alpha[:2] = 1
    color = np.zeros((4, 4, 3), np.float32)
    color[:2] = to_linear(np.array([200, 150, 100], np.uint8))

    image = develop(color, alpha, background, gain=1.0, behind=1.0)

    assert (image[2:] == 100).all()
    assert (image[0, 0] == [200, 150, 100]).all()


def test_backgrounds_are_drawn_from_the_seed(tmp_path):
    plain = draw_background([], 64, np.random.default_rng(3))

    assert plain[1] == "plain"
    assert plain[0].shape == (64, 64, 3)
    assert plain[0].dtype == np.uint8
    np.testing.assert_array_equal(plain[0], draw_background([], 64, np.random.default_rng(3))[0])


def test_a_photo_that_cannot_be_read_is_passed_over(tmp_path):
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.jpg"
    cv2.imwrite(str(good), np.full((30, 40, 3), 90, np.uint8))
    bad.write_bytes(b"no picture")

    names = {draw_background([bad, good], 16, np.random.default_rng(seed))[1] for seed in range(20)}

    assert names == {"good.jpg", "plain"}
    assert draw_background([bad], 16, np.random.default_rng(0))[1] == "plain"
