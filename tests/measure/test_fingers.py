"""Fingers of known size, painted with exact edges."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handseg.errors import MeasurementError
from handseg.measure import FINGERS, coins, find_coin, measure_hand
from handseg.results import Hand, HandSegmentation

WIDTHS = {"thumb": 62.0, "index": 54.0, "middle": 57.0, "ring": 52.0, "little": 46.0}
"""px"""
SHAPE = (1000, 1000)


def paint(
    landmarks: np.ndarray, coin: tuple[float, float, float] | None = None
) -> HandSegmentation:
    """Paint straight fingers with round tips along the landmarks; a coin is x, y, radius."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    outside = np.full(SHAPE, np.inf, np.float32)  # Signed distance to the contour, px.
    for name, joints in FINGERS.items():
        for start, end in pairwise(landmarks[list(joints)]):
            bone = end - start
            along = ((x - start[0]) * bone[0] + (y - start[1]) * bone[1]) / (bone @ bone)
            along = np.clip(along, 0, 1)
            reach = np.hypot(x - start[0] - along * bone[0], y - start[1] - along * bone[1])
            outside = np.minimum(outside, reach - WIDTHS[name] / 2)
    alpha = (255 * np.clip(0.5 - outside, 0, 1)).round().astype(np.uint8)
    palm = cv2.convexHull(np.rint(landmarks[[0, 1, 2, 5, 9, 13, 17]]).astype(np.int32))
    cv2.fillConvexPoly(alpha, palm, 255)
    photo = np.full((*SHAPE, 3), (60, 90, 70), np.uint8)
    skin = np.full((*SHAPE, 3), (205, 160, 140), np.uint8)
    photo = cv2.blendLinear(skin, photo, alpha / np.float32(255), 1 - alpha / np.float32(255))
    if coin is not None:
        column, row, radius = coin
        cover = np.clip(radius + 0.5 - np.hypot(x - column, y - row), 0, 1)
        metal = np.full((*SHAPE, 3), (150, 140, 110), np.uint8)
        cv2.circle(metal, (round(column), round(row)), round(0.7 * radius), (190, 190, 195), -1)
        photo = cv2.blendLinear(metal, photo, cover, 1 - cover)
    hand = Hand.from_alpha(
        alpha, (0, 0), SHAPE, prompt_box=np.array([0, 0, 9, 9]), predicted_iou=1.0,
        landmarks=landmarks.astype(np.float32), handedness="right", handedness_score=1.0,
    )  # fmt: skip
    return HandSegmentation(photo, (hand,))


@pytest.fixture
def landmarks(open_hand: np.ndarray) -> np.ndarray:
    """An open hand, 330 px from wrist to knuckle, with spread fingers."""
    points = open_hand.astype(float) * 3.3 + [430, 880]
    for name, lean in (("index", 0.14), ("middle", 0.02), ("ring", -0.12), ("little", -0.3)):
        knuckle = points[FINGERS[name][0]]
        steps = np.linalg.norm(points[list(FINGERS[name])] - knuckle, axis=1)
        along = np.array([np.sin(lean), -np.cos(lean)])
        points[list(FINGERS[name])] = knuckle + steps[:, None] * along
    return points


@pytest.mark.parametrize("degrees", [-14, -7, 7, 14])
def test_lengths_hardly_depend_on_where_the_tip_s_landmark_is(
    landmarks: np.ndarray, degrees: float
) -> None:
    """A last bone that is off leaves a finger at its side, before its end."""
    result = paint(landmarks)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = landmarks.copy()
    for joints in FINGERS.values():
        before, last = joints[-2:]
        bone = landmarks[last] - landmarks[before]
        turned[last] = landmarks[before] + np.array([[cos, -sin], [sin, cos]]) @ bone
    (hand,) = result.hands
    other = HandSegmentation(result.image, (replace(hand, landmarks=turned.astype(np.float32)),))
    for one, off in zip(measure_hand(result), measure_hand(other), strict=True):
        assert off.reason == ""
        assert off.length_px == pytest.approx(one.length_px, rel=0.01), one.name


class TestWidths:
    def test_are_those_that_were_painted(self, landmarks: np.ndarray) -> None:
        measured = measure_hand(paint(landmarks), mm_per_px=0.25)
        for finger in measured:
            assert finger.reason == ""
            assert finger.width_px == pytest.approx(WIDTHS[finger.name], rel=0.004)
            assert finger.width_mm == pytest.approx(0.25 * finger.width_px)
            joints = landmarks[list(FINGERS[finger.name])]
            bones = np.linalg.norm(np.diff(joints, axis=0), axis=1).sum()
            assert finger.length_px == pytest.approx(bones + WIDTHS[finger.name] / 2, abs=0.5)
            assert finger.length_mm == pytest.approx(0.25 * finger.length_px)
        assert measured["ring"].name == "ring"
        assert measured.mm_per_px == 0.25

    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],  # the fixture is not changed
    )
    @given(
        turn=st.floats(-180, 180),
        shift=st.tuples(st.floats(0, 1), st.floats(0, 1)),
        seed=st.integers(0, 1000),
    )
    def test_hardly_depend_on_the_pose_and_on_the_landmarks_errors(
        self, landmarks: np.ndarray, turn: float, shift: tuple[float, float], seed: int
    ) -> None:
        middle = np.array(SHAPE[::-1]) / 2
        angle = np.radians(turn)
        rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        placed = (landmarks - landmarks.mean(0)) @ rotation + middle + shift
        result = paint(placed)
        noisy = placed + np.random.default_rng(seed).normal(0, 4, placed.shape)
        hand = replace(result.hands[0], landmarks=noisy.astype(np.float32))
        measured = measure_hand(HandSegmentation(result.image, (hand,)))
        for name in ("index", "middle", "ring"):
            assert measured[name].width_px == pytest.approx(WIDTHS[name], rel=0.01)
            assert np.isnan(measured[name].width_mm)

    def test_refuses_a_bent_finger(self, landmarks: np.ndarray) -> None:
        tip = FINGERS["index"][-1]
        landmarks[tip - 1 : tip + 1] = landmarks[tip - 2] + [[40, -10], [70, 20]]
        measured = measure_hand(paint(landmarks), mm_per_px=1)
        assert "bent by" in measured["index"].reason
        assert np.isnan(measured["index"].width_mm)
        assert measured["middle"].reason == ""

    def test_refuses_a_finger_that_points_at_the_camera(self, landmarks: np.ndarray) -> None:
        first, *others = FINGERS["ring"]
        bone = landmarks[others[0]] - landmarks[first]
        landmarks[others[1:]] = landmarks[others[0]] + np.array([[0.15], [0.3]]) * bone
        assert "camera" in measure_hand(paint(landmarks))["ring"].reason

    def test_refuses_fingers_that_touch(self, landmarks: np.ndarray) -> None:
        for one, other in zip(FINGERS["middle"], FINGERS["ring"], strict=True):
            landmarks[other] = landmarks[one] + [-50, 0]
        measured = measure_hand(paint(landmarks))
        assert "neighbour" in measured["middle"].reason
        assert "neighbour" in measured["ring"].reason
        assert measured["index"].reason == ""

    def test_refuses_what_is_hidden_or_cut(self, landmarks: np.ndarray) -> None:
        result = paint(landmarks)
        hand = result.hands[0]
        alpha = hand.alpha
        x, y = np.rint(landmarks[FINGERS["index"][2]]).astype(int)
        alpha[: y + 20, x - 40 : x + 40] = 0
        hidden = Hand.from_alpha(
            alpha, (0, 0), SHAPE, prompt_box=hand.box, predicted_iou=1.0, landmarks=hand.landmarks
        )
        measured = measure_hand(HandSegmentation(result.image, (hidden,)))
        assert "not on the mask" in measured["index"].reason
        measured = measure_hand(paint(landmarks - [0, landmarks[FINGERS["middle"][-1]][1] - 5]))
        assert "edge" in measured["middle"].reason
        measured = measure_hand(paint(landmarks - [0, landmarks[FINGERS["middle"][-1]][1] + 5]))
        assert "outside" in measured["middle"].reason

    def test_are_drawn(self, landmarks: np.ndarray) -> None:
        result = paint(landmarks, (430, 720, 40.0))
        measured = measure_hand(result, scale="1 euro")
        before = np.asarray(result.overlay())
        after = np.asarray(measured.overlay())
        assert (after == (255, 0, 255)).all(-1).sum() > 200
        assert after.shape == before.shape


class TestCoin:
    @pytest.mark.parametrize("radius", [31.3, 44.0, 58.7])
    def test_is_found_and_gives_the_scale(self, landmarks: np.ndarray, radius: float) -> None:
        result = paint(landmarks, (432.3, 700.6, radius))
        coin = find_coin(result.image, result.hands[0])
        np.testing.assert_allclose(coin.centre, [432.3, 700.6], atol=0.5)
        assert coin.diameter == pytest.approx(2 * radius, rel=0.005)
        assert coin.ratio > 0.99
        measured = measure_hand(result, scale="2 euro")
        scale = coins()["2 euro"] / (2 * radius)
        assert measured.mm_per_px == pytest.approx(scale, rel=0.005)
        # Fingers are further away than a coin on the palm, by some percent of the camera distance.
        raised = 1 + 14 / (max(SHAPE) * scale)
        assert measured["ring"].width_mm == pytest.approx(WIDTHS["ring"] * scale * raised, rel=0.01)
        assert measure_hand(result, scale=25.75).mm_per_px == measured.mm_per_px

    def test_ends_at_the_outer_edge_of_its_rim(self, landmarks: np.ndarray) -> None:
        result = paint(landmarks, (432.3, 700.6, 58.7))
        # Inside its rim the coin is brighter: a stronger edge than the one to the skin.
        cv2.circle(result.image, (432, 701), 54, (195, 190, 170), -1, cv2.LINE_AA)
        coin = find_coin(result.image, result.hands[0])
        assert coin.diameter == pytest.approx(2 * 58.7, rel=0.007)

    @pytest.mark.parametrize("seed", range(3))
    def test_a_rim_that_shines_like_the_skin_is_found_about_its_core(
        self, landmarks: np.ndarray, seed: int
    ) -> None:
        x, y, radius = 432.3, 700.6, 58.7
        result = paint(landmarks, (x, y, radius))
        rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
        away = np.hypot(columns - x, rows - y)
        # Darker than the skin on one side, brighter on the other, with no edge in between.
        across = (columns - x)[..., None] / np.maximum(away, 1)[..., None]
        shine = 1 + 0.2 * np.sign(across) * (np.abs(across) > 0.2)
        rim = (away > 0.72 * radius) & (away < radius)
        result.image[rim] = (shine * (205, 160, 140))[rim].round().astype(np.uint8)
        grain = np.random.default_rng(seed).normal(0, 5, result.image.shape)
        noisy = np.clip(cv2.GaussianBlur(result.image, (0, 0), 1.0) + grain, 0, 255)
        result.image[:] = noisy.astype(np.uint8)

        coin = find_coin(result.image, result.hands[0], coins()["2 euro"])

        assert coin.diameter == pytest.approx(2 * radius, rel=0.03)

    def test_refuses_a_hand_without_one(self, landmarks: np.ndarray) -> None:
        with pytest.raises(MeasurementError, match="no complete coin"):
            measure_hand(paint(landmarks), scale="1 euro")

    def test_refuses_one_that_is_seen_aslant(self, landmarks: np.ndarray) -> None:
        result = paint(landmarks)
        photo = result.image.copy()
        cv2.ellipse(photo, (430, 700), (50, 41), 20, 0, 360, (150, 140, 110), -1, cv2.LINE_AA)
        with pytest.raises(MeasurementError, match="tilted"):
            measure_hand(HandSegmentation(photo, result.hands), scale="1 euro")

    @pytest.mark.parametrize("coin", ["3 euro", -1.0, float("nan")])
    def test_says_what_a_coin_may_be(self, landmarks: np.ndarray, coin: str | float) -> None:
        with pytest.raises(ValueError, match="coin"):
            measure_hand(paint(landmarks), scale=coin)


def test_says_what_is_missing(landmarks: np.ndarray) -> None:
    result = paint(landmarks)
    with pytest.raises(MeasurementError, match="there is no hand 1"):
        measure_hand(result, 1)
    with pytest.raises(ValueError, match="not both"):
        measure_hand(result, mm_per_px=1, scale="1 euro")
    with pytest.raises(ValueError, match="mm_per_px"):
        measure_hand(result, mm_per_px=0)
    without = replace(result.hands[0], landmarks=None)
    with pytest.raises(MeasurementError, match="no landmarks"):
        measure_hand(HandSegmentation(result.image, (without,)))


def test_a_hand_without_a_mask_has_no_finger(landmarks: np.ndarray) -> None:
    empty = Hand.from_alpha(
        np.zeros(SHAPE, bool), (0, 0), SHAPE, prompt_box=np.array([0, 0, 9, 9]),
        predicted_iou=0.1, landmarks=landmarks.astype(np.float32),
    )  # fmt: skip
    photo = np.zeros((*SHAPE, 3), np.uint8)
    assert all(finger.reason for finger in measure_hand(HandSegmentation(photo, (empty,))))
