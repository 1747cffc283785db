from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from posed_hands import POSES, placed

from handseg.landmarks.anatomy import JOINTS, PALM, draw_skeleton, hand_size, palm_axis
from handseg.models.bundled import LITE_OBJECT_FOLDER
from handseg.models.region import Region
from handseg.prompts import IGNORED, NEGATIVE, POSITIVE, PromptRecipe
from handseg.prompts.recipe import HandPrompts

HEIGHT, WIDTH = 480, 640


EVERYTHING = PromptRecipe(skeleton=True)


OBJECT = PromptRecipe(
    positives=("beyond_tips", "grip"),
    negatives=("palm", "joints"),
    box_reach=0.5,
    skeleton=True,
    region_margin=0.4,
)


def fist(hand: np.ndarray) -> np.ndarray:
    """Return `hand` with the fingers bent so far that the tips are on the palm."""
    bent = hand.copy()
    for knuckle in (5, 9, 13, 17):
        tip = hand[knuckle] * 0.55
        bent[knuckle + 1 : knuckle + 4] = [hand[knuckle] * 1.05, hand[knuckle] * 0.8, tip]
    bent[4] = hand[5] * 0.5
    return bent


def count_of(prompts: HandPrompts, label: int) -> int:
    return int((prompts.labels == label).sum())


class TestPrompts:
    @given(POSES)
    @settings(deadline=None)
    def test_rules_that_hold_for_every_pose(self, landmarks: np.ndarray) -> None:
        frame = np.array([WIDTH - 1, HEIGHT - 1])
        try:
            prompts = EVERYTHING.prompts(landmarks, HEIGHT, WIDTH)
        except ValueError:
            # Only hands without a whole pixel in the photo are rejected.
            assert np.any((landmarks < 0) | (landmarks > frame), axis=1).all()
            return
        assert prompts.points.shape == (26, 2)
        assert prompts.points.dtype == np.float32
        assert prompts.labels.shape == (26,)
        assert prompts.labels.dtype == np.int64
        assert set(prompts.labels) <= {POSITIVE, NEGATIVE, IGNORED}

        outside = np.any((prompts.points < 0) | (prompts.points > frame), axis=1)
        assert (prompts.labels[outside] == IGNORED).all()
        # The palm's centre, 15 joints, 5 tips, 4 gaps, the wrist: in this order.
        assert (prompts.labels[:21][~outside[:21]] == POSITIVE).all()
        assert (prompts.labels[21:] != POSITIVE).all()

        assert prompts.box is not None
        assert (prompts.box[:2] >= 0).all()
        assert (prompts.box[2:] <= frame).all()
        assert (prompts.box[2:] - prompts.box[:2] >= 1).all()
        inside = ((landmarks >= 0) & (landmarks <= frame)).all(axis=1)
        assert (landmarks[inside] >= prompts.box[:2] - 1e-3).all()
        assert (landmarks[inside] <= prompts.box[2:] + 1e-3).all()
        np.testing.assert_array_equal(prompts.roi_box, prompts.box)

    @given(fingers=npst.arrays(np.float32, (16, 2), elements=st.floats(150, 450, width=32)))
    @settings(deadline=None)
    def test_gaps_are_off_the_drawn_skeleton(
        self, fingers: np.ndarray, open_hand: np.ndarray
    ) -> None:
        landmarks = placed(open_hand, 300, 300)
        landmarks[[joint for joint in range(21) if joint not in PALM]] = fingers
        prompts = PromptRecipe(negatives=("gaps",)).prompts(landmarks, HEIGHT, WIDTH)
        drawn = draw_skeleton(landmarks, WIDTH)
        x, y = prompts.points[prompts.labels == NEGATIVE].round().astype(int).T
        assert (drawn[y, x] < 0).all()

    def test_open_hand_has_every_negative(self, open_hand: np.ndarray) -> None:
        hand = placed(open_hand, 300, 300)
        prompts = EVERYTHING.prompts(hand, HEIGHT, WIDTH)
        assert count_of(prompts, POSITIVE) == 21
        gaps = prompts.labels[21:25]
        assert gaps[0] == NEGATIVE  # between thumb and index finger
        wrist = prompts.points[25]
        assert prompts.labels[25] == NEGATIVE
        assert wrist[1] > hand[:, 1].max()
        drawn = draw_skeleton(hand, WIDTH)
        for x, y in prompts.points[prompts.labels == NEGATIVE].round().astype(int):
            assert drawn[y, x] < 0

    def test_fist_has_no_gaps(self, open_hand: np.ndarray) -> None:
        prompts = EVERYTHING.prompts(placed(fist(open_hand), 300, 300), HEIGHT, WIDTH)
        assert (prompts.labels[21:25] == IGNORED).all()

    def test_gap_over_the_palm_is_not_used(self, open_hand: np.ndarray) -> None:
        hand = placed(open_hand, 300, 300)
        # Thumb and index finger are bent so that the midpoint of their tips is the palm's centre,
        # with no bone near.
        centre = hand[0] + [-3, -71]
        hand[2:5] = hand[0] + [(35, 10), (0, 30), (-3, -41)]
        hand[6:9] = hand[0] + [(0, -150), (-3, -120), (-3, -101)]
        prompts = EVERYTHING.prompts(hand, HEIGHT, WIDTH)
        np.testing.assert_allclose(prompts.points[21], centre, atol=1e-3)
        assert prompts.labels[21] == IGNORED

    def test_cut_by_the_frame(self, open_hand: np.ndarray) -> None:
        hand = placed(open_hand, 300, 150)  # the finger tips are above the frame
        prompts = EVERYTHING.prompts(hand, HEIGHT, WIDTH)
        tips = prompts.labels[16:21]
        np.testing.assert_array_equal(tips == IGNORED, hand[[4, 8, 12, 16, 20], 1] < 0)
        assert (tips == IGNORED).any()
        assert prompts.box is not None
        assert prompts.box[1] == 0

    @pytest.mark.parametrize(("x", "y"), [(-400, 200), (2000, 200), (300, -100), (300, 900)])
    def test_outside_is_refused(self, open_hand: np.ndarray, x: float, y: float) -> None:
        with pytest.raises(ValueError, match="outside it or smaller than a pixel"):
            EVERYTHING.prompts(placed(open_hand, x, y), HEIGHT, WIDTH)

    @pytest.mark.parametrize(
        "landmarks",
        [np.zeros((20, 2)), np.zeros((21, 3)), np.full((21, 2), np.nan), np.full((21, 2), np.inf)],
    )
    def test_landmarks_must_be_21_finite_points(self, landmarks: np.ndarray) -> None:
        with pytest.raises(ValueError, match="landmarks"):
            EVERYTHING.prompts(landmarks, HEIGHT, WIDTH)

    def test_all_landmarks_in_one_place_are_no_hand(self) -> None:
        with pytest.raises(ValueError, match="smaller than a pixel"):
            EVERYTHING.prompts(np.full((21, 2), 100.0), HEIGHT, WIDTH)

    @pytest.mark.parametrize(
        ("options", "count"),
        [
            ({}, 26),
            ({"positives": ()}, 5),
            ({"positives": ("palm",), "negatives": ()}, 1),
            ({"positives": ("tips",), "negatives": ("wrist",)}, 6),
            ({"positives": ("joints",), "negatives": ("gaps",)}, 19),
            ({"positives": (), "negatives": ()}, 0),
            ({"positives": ("beyond_tips",), "negatives": ()}, 5),
            ({"positives": ("grip",), "negatives": ("palm", "joints")}, 18),
        ],
    )
    def test_groups(self, options: dict[str, Any], count: int, open_hand: np.ndarray) -> None:
        prompts = PromptRecipe(**options).prompts(placed(open_hand, 300, 300), HEIGHT, WIDTH)
        assert prompts.points.shape == (count, 2)
        assert prompts.labels.shape == (count,)
        assert count_of(prompts, POSITIVE) <= max(0, count)

    def test_box_and_skeleton_are_optional(self, open_hand: np.ndarray) -> None:
        hand = placed(open_hand, 300, 300)
        without = PromptRecipe(box=False).prompts(hand, HEIGHT, WIDTH)
        assert without.box is None
        assert not without.skeleton
        np.testing.assert_array_equal(
            without.roi_box, PromptRecipe().prompts(hand, HEIGHT, WIDTH).roi_box
        )
        drawn = PromptRecipe(skeleton=True).prompts(hand, HEIGHT, WIDTH)
        np.testing.assert_array_equal(drawn.landmarks, hand)
        assert drawn.skeleton

    def test_box_reaches_as_far_as_asked(self, open_hand: np.ndarray) -> None:
        hand = placed(open_hand, 300, 300)
        size = hand_size(hand)
        boxes = [
            PromptRecipe(box_reach=reach).prompts(hand, HEIGHT, WIDTH).roi_box
            for reach in (0.0, 0.2)
        ]
        np.testing.assert_allclose(boxes[0][:2], hand.min(axis=0), atol=1e-3)
        # Down to the end of the wrist. The reach does not move it, as the forearm is not hand.
        outwards = np.array([-1, -1, 1, 0]) * 0.2 * size
        np.testing.assert_allclose(boxes[1] - boxes[0], outwards, atol=0.03 * size)
        assert boxes[0][3] > hand[0, 1] + 0.2 * size


class TestHeldObjects:
    """Points on held objects."""

    def test_shipped_file_is_the_shipped_weights_recipe(self) -> None:
        root = Path(__file__).parents[2]
        assert PromptRecipe.load(root / "prompts" / "object.yaml") == OBJECT
        assert PromptRecipe.load(LITE_OBJECT_FOLDER) == OBJECT
        tuned = yaml.safe_load((root / "finetune" / "objects.yaml").read_text())
        assert PromptRecipe.from_dict(tuned["recipe"]) == OBJECT

    def test_open_hand(self, open_hand: np.ndarray) -> None:
        hand = placed(open_hand, 300, 300)
        prompts = OBJECT.prompts(hand, HEIGHT, WIDTH)
        assert count_of(prompts, POSITIVE) == 7
        assert count_of(prompts, NEGATIVE) == 16
        beyond, tips = prompts.points[:5], hand[[4, 8, 12, 16, 20]]
        # Each is equally far past its tip, on the line of the last bone.
        steps = beyond - tips
        np.testing.assert_allclose(np.linalg.norm(steps, axis=1), 0.25 * hand_size(hand), rtol=1e-3)
        bones = tips - hand[[3, 7, 11, 15, 19]]
        turn = steps[:, 0] * bones[:, 1] - steps[:, 1] * bones[:, 0]
        np.testing.assert_allclose(turn, 0, atol=0.1)
        assert ((steps * bones).sum(1) > 0).all()
        np.testing.assert_allclose(prompts.points[5], (hand[4] + hand[8]) / 2, atol=1e-3)
        np.testing.assert_allclose(prompts.points[6], (hand[4] + hand[12]) / 2, atol=1e-3)
        np.testing.assert_allclose(prompts.points[8:], hand[list(JOINTS)], atol=1e-3)

    def test_finger_towards_the_camera_has_its_point_on_the_tip(
        self, open_hand: np.ndarray
    ) -> None:
        hand = placed(open_hand, 300, 300)
        hand[7] = hand[8]
        prompts = OBJECT.prompts(hand, HEIGHT, WIDTH)
        np.testing.assert_allclose(prompts.points[1], hand[8], atol=1e-3)

    def test_points_off_the_photo_are_ignored(self, open_hand: np.ndarray) -> None:
        hand = placed(open_hand, 300, 190)  # the middle finger's tip is just inside
        prompts = OBJECT.prompts(hand, HEIGHT, WIDTH)
        assert hand[12, 1] > 0
        assert prompts.points[2, 1] < 0
        assert prompts.labels[2] == IGNORED

    @given(POSES)
    @settings(deadline=None)
    def test_mirrored_landmarks_mirror_the_points(self, landmarks: np.ndarray) -> None:
        mirrored = landmarks * [-1, 1] + [WIDTH - 1, 0]
        try:
            plain = OBJECT.prompts(landmarks, HEIGHT, WIDTH)
        except ValueError:
            return
        other = OBJECT.prompts(mirrored, HEIGHT, WIDTH)
        expected = plain.points * [-1, 1] + [WIDTH - 1, 0]
        # For bones shorter than the rounding error, the direction is arbitrary.
        tips = np.array([4, 8, 12, 16, 20])
        short = np.linalg.norm(landmarks[tips] - landmarks[tips - 1], axis=1) < 0.1
        firm = np.concatenate([~short, np.ones(len(expected) - 5, bool)])
        np.testing.assert_allclose(other.points[firm], expected[firm], atol=0.05)

    def test_box_and_region_have_room(self, open_hand: np.ndarray) -> None:
        hand = placed(open_hand, 2000, 2000)
        size = hand_size(hand)
        prompts = OBJECT.prompts(hand, 4000, 4000)
        region = Region.around(prompts.roi_box, OBJECT.region_margin)
        # An object of 2.5 hand sizes in the palm fits in.
        palm = hand[list(PALM)].mean(0)
        assert (palm - 1.25 * size > [region.x, region.y]).all()
        assert (palm + 1.25 * size < np.array([region.x, region.y]) + region.side).all()


class TestEquivariance:
    """Transforming the landmarks transforms the prompts."""

    BIG = 4000

    def points(self, landmarks: np.ndarray) -> HandPrompts:
        return EVERYTHING.prompts(landmarks, self.BIG, self.BIG)

    @given(
        scale=st.floats(0.3, 4),
        angle=st.floats(-180, 180),
        shift=st.tuples(st.floats(1500, 2500), st.floats(1500, 2500)),
        mirror=st.booleans(),
    )
    @settings(deadline=None)
    def test_similarity(
        self,
        scale: float,
        angle: float,
        shift: tuple[float, float],
        mirror: bool,
        open_hand: np.ndarray,
    ) -> None:
        sign = np.array([-1 if mirror else 1, 1], np.float32)
        plain = self.points(placed(open_hand, 0, 0) + 1000)
        moved = self.points(placed(open_hand * sign, *shift, scale, angle))
        expected = placed((plain.points - 1000) * sign, *shift, scale, angle)
        np.testing.assert_allclose(moved.points, expected, atol=0.02 * max(1, scale))
        np.testing.assert_array_equal(moved.labels, plain.labels)

    @given(quarters=st.integers(0, 3), mirror=st.booleans())
    @settings(deadline=None)
    def test_box_turns_by_quarters(
        self, quarters: int, mirror: bool, open_hand: np.ndarray
    ) -> None:
        sign = np.array([-1 if mirror else 1, 1], np.float32)
        plain = self.points(placed(open_hand, 1000, 1000)).roi_box.reshape(2, 2) - 1000
        moved = self.points(placed(open_hand * sign, 1000, 1000, 1, 90 * quarters)).roi_box
        corners = placed(plain * sign, 1000, 1000, 1, 90 * quarters)
        expected = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
        np.testing.assert_allclose(moved, expected, atol=0.01)

    @given(angle=st.floats(-180, 180), scale=st.floats(0.2, 5), mirror=st.booleans())
    @settings(deadline=None)
    def test_palm_axis_points_down_the_forearm(
        self, angle: float, scale: float, mirror: bool, open_hand: np.ndarray
    ) -> None:
        sign = np.array([-1 if mirror else 1, 1], np.float32)
        axis = palm_axis(placed(open_hand * sign, 50, 60, scale, angle))
        assert np.linalg.norm(axis) == pytest.approx(1, abs=1e-4)
        downwards = placed(np.array([[0.0, 1.0]]), 0, 0, 1, angle)[0]
        assert axis @ downwards > np.cos(np.radians(15))
