from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.landmarks import HandBox
from handseg.prompts import NEGATIVE, POSITIVE, HandPrompts, PromptRecipe
from handseg.prompts.user import user_prompts

HEIGHT, WIDTH = 100, 200
BOX = [20, 30, 60, 80]
RECIPE = PromptRecipe()


def own(recipe: PromptRecipe = RECIPE, **prompts: Any) -> list[HandPrompts]:
    return user_prompts(HEIGHT, WIDTH, recipe, **prompts)


@pytest.fixture(scope="module")
def small_hand(open_hand: np.ndarray) -> np.ndarray:
    return (open_hand * 0.3 + [100, 70]).astype(np.float32)


class TestBoxes:
    @pytest.mark.parametrize("boxes", [BOX, [BOX], np.array(BOX, np.int64), (20.0, 30.0, 60, 80)])
    def test_one_in_any_form(self, boxes: Any) -> None:
        (hand,) = own(boxes=boxes)
        np.testing.assert_array_equal(hand.box, BOX)
        assert hand.box is not None
        assert hand.box.dtype == np.float32
        np.testing.assert_array_equal(hand.roi_box, BOX)
        assert hand.points.shape == (0, 2)
        assert hand.labels.shape == (0,)
        assert hand.landmarks is None

    def test_several_keep_their_order(self) -> None:
        other = [100, 10, 150, 90]
        hands = own(boxes=[BOX, other])
        np.testing.assert_array_equal(np.array([hand.box for hand in hands]), [BOX, other])

    @pytest.mark.parametrize("boxes", [[], np.zeros((0, 4)), np.zeros(0), torch.zeros(0, 4)])
    def test_none_are_no_hands(self, boxes: Any) -> None:
        assert own(boxes=boxes) == []
        assert own(landmarks=np.zeros((0, 21, 2))) == []

    def test_tensors_that_learn_are_taken_as_they_are(self) -> None:
        learning = torch.tensor([BOX], dtype=torch.float32, requires_grad=True)
        (hand,) = own(boxes=learning)
        (other,) = own(boxes=[learning[0]])
        np.testing.assert_array_equal(hand.box, BOX)
        np.testing.assert_array_equal(other.box, BOX)

    def test_are_clipped_to_the_photo(self) -> None:
        (hand,) = own(boxes=[-5, -8, 300, 50])
        np.testing.assert_array_equal(hand.box, [0, 0, 199, 50])

    def test_do_not_depend_on_the_recipe(self) -> None:
        (hand,) = own(PromptRecipe(box=False, skeleton=True), boxes=BOX)
        np.testing.assert_array_equal(hand.box, BOX)
        assert hand.landmarks is None

    @given(
        st.tuples(*[st.floats(-300, 500, width=32)] * 4),
    )
    @settings(deadline=None)
    def test_lie_in_the_photo_or_are_refused(self, box: tuple[float, ...]) -> None:
        try:
            (hand,) = own(boxes=box)
        except ValueError as error:
            assert "boxes must be xyxy" in str(error)  # noqa: PT017
            return
        assert hand.box is not None
        x0, y0, x1, y1 = hand.box
        assert 0 <= x0 < x1 <= WIDTH - 1
        assert 0 <= y0 < y1 <= HEIGHT - 1

    @pytest.mark.parametrize(
        "boxes",
        [
            [60, 30, 20, 80],  # x1 < x0
            [20, 80, 60, 30],  # y1 < y0
            [20, 30, 20, 80],  # no width
            [300, 30, 400, 80],  # to the right of the photo
            [20, -40, 60, -10],  # above it
            [BOX, [60, 30, 20, 80]],  # the second is wrong
        ],
    )
    def test_without_an_inside_are_refused(self, boxes: Any) -> None:
        with pytest.raises(ValueError, match="boxes must be xyxy with x1 > x0"):
            own(boxes=boxes)


class TestPoints:
    def test_are_on_the_hand_by_default(self) -> None:
        (hand,) = own(points=[[50, 60], [70, 80], [90, 10]])
        np.testing.assert_array_equal(hand.points, [[50, 60], [70, 80], [90, 10]])
        assert hand.points.dtype == np.float32
        np.testing.assert_array_equal(hand.labels, [POSITIVE] * 3)
        assert hand.labels.dtype == np.int64
        assert hand.box is None

    def test_alone_let_the_model_look_at_the_whole_photo(self) -> None:
        (hand,) = own(points=[[50, 60]])
        np.testing.assert_array_equal(hand.roi_box, [0, 0, WIDTH - 1, HEIGHT - 1])

    def test_with_labels(self) -> None:
        points = [[[50, 60], [70, 80]], [[10, 20], [30, 40]]]
        first, second = own(points=points, labels=[[1, 0], [0, 1]])
        np.testing.assert_array_equal(first.labels, [POSITIVE, NEGATIVE])
        np.testing.assert_array_equal(second.labels, [NEGATIVE, POSITIVE])
        np.testing.assert_array_equal(second.points, points[1])

    def test_labels_of_one_set_may_be_flat_and_bool(self) -> None:
        (hand,) = own(points=[[50, 60], [70, 80]], labels=[True, False])
        np.testing.assert_array_equal(hand.labels, [POSITIVE, NEGATIVE])
        assert hand.labels.dtype == np.int64

    def test_go_with_boxes(self) -> None:
        boxes = [BOX, [100, 10, 150, 90]]
        hands = own(boxes=boxes, points=[[[50, 60]], [[120, 50]]], labels=[[1], [0]])
        np.testing.assert_array_equal(np.array([hand.box for hand in hands]), boxes)
        np.testing.assert_array_equal(np.array([hand.roi_box for hand in hands]), boxes)
        assert [hand.points.tolist() for hand in hands] == [[[50, 60]], [[120, 50]]]
        assert [hand.labels.tolist() for hand in hands] == [[1], [0]]

    def test_come_after_those_of_landmarks(self, small_hand: np.ndarray) -> None:
        (plain,) = own(landmarks=small_hand)
        (hand,) = own(landmarks=small_hand, points=[[5, 6]], labels=[0])
        np.testing.assert_array_equal(hand.points, [*plain.points, (5, 6)])
        np.testing.assert_array_equal(hand.labels, [*plain.labels, NEGATIVE])
        np.testing.assert_array_equal(hand.box, plain.box)
        np.testing.assert_array_equal(hand.roi_box, plain.roi_box)

    def test_on_the_hand_widen_box_and_region(self, small_hand: np.ndarray) -> None:
        (hand,) = own(boxes=BOX, points=[[30, 40], [90, 20]])
        np.testing.assert_array_equal(hand.roi_box, [20, 20, 90, 80])
        np.testing.assert_array_equal(hand.box, hand.roi_box)
        (off,) = own(boxes=BOX, points=[[30, 40], [90, 20]], labels=[1, 0])
        np.testing.assert_array_equal(off.roi_box, BOX)
        found = RECIPE.prompts(small_hand, HEIGHT, WIDTH)
        (wider,) = own(landmarks=small_hand, points=[[199, 50]])
        np.testing.assert_array_equal(wider.roi_box[[0, 1, 3]], found.roi_box[[0, 1, 3]])
        assert wider.roi_box[2] == 199
        left = float(found.roi_box[0]) - 10
        (past,) = own(landmarks=small_hand, points=[[left, 50]])
        assert past.roi_box[0] < left  # skin extends past the point, as past a joint
        (boxless,) = own(PromptRecipe(box=False), landmarks=small_hand, points=[[left, 50]])
        assert boxless.box is None
        np.testing.assert_array_equal(boxless.roi_box, past.roi_box)

    def test_may_lie_on_the_frame(self) -> None:
        (hand,) = own(points=[[0, 0], [WIDTH - 1, HEIGHT - 1]])
        assert len(hand.points) == 2


class TestLandmarks:
    def test_follow_the_recipe(self, small_hand: np.ndarray) -> None:
        recipe = PromptRecipe(positives=("tips",), negatives=(), skeleton=True)
        (hand,) = own(recipe, landmarks=small_hand)
        expected = recipe.prompts(small_hand, HEIGHT, WIDTH)
        for name in ("points", "labels", "box", "roi_box", "skeleton"):
            np.testing.assert_array_equal(getattr(hand, name), getattr(expected, name))

    def test_of_two_hands(self, small_hand: np.ndarray) -> None:
        hands = own(landmarks=[small_hand, small_hand + 5])
        assert len(hands) == 2
        assert hands[0].points[0, 0] + 5 == pytest.approx(hands[1].points[0, 0], abs=1e-3)

    def test_outside_are_refused(self, small_hand: np.ndarray) -> None:
        with pytest.raises(ValueError, match="outside it or smaller than a pixel"):
            own(landmarks=small_hand + 1000)


class TestRefused:
    @pytest.mark.parametrize(
        ("prompts", "message"),
        [
            ({}, "give boxes, points or landmarks"),
            ({"labels": [1]}, "labels need points"),
            ({"boxes": BOX, "labels": [1]}, "labels need points"),
            ({"landmarks": np.ones((21, 2)), "labels": [1]}, "labels need points"),
            ({"boxes": BOX, "landmarks": np.ones((21, 2))}, "boxes or landmarks, not both"),
            ({"boxes": [1, 2, 3]}, r"boxes must be \(K, 4\) finite numbers, got \(3,\)"),
            ({"boxes": np.zeros((0, 5))}, r"boxes must be \(K, 4\)"),
            ({"landmarks": np.zeros((0, 20, 2))}, r"landmarks must be \(K, 21, 2\)"),
            ({"boxes": [], "points": [[5, 5]]}, "points must be for 0 hands, got 1"),
            ({"boxes": np.zeros((1, 1, 4))}, r"boxes must be \(K, 4\)"),
            ({"boxes": [0, 0, float("nan"), 5]}, r"boxes must be \(K, 4\) finite"),
            ({"boxes": "left"}, "boxes must be numbers"),
            ({"boxes": [BOX, [1, 2]]}, "boxes must be numbers in a regular shape"),
            ({"points": []}, r"points must be \(K, P, 2\)"),
            ({"points": 5}, r"points must be \(K, P, 2\)"),
            ({"points": [3, 4]}, r"points must be \(K, P, 2\)"),
            ({"points": np.zeros((0, 2))}, r"points must be \(K, P, 2\)"),
            ({"points": np.zeros((2, 0, 2))}, r"points must be \(K, P, 2\)"),
            ({"points": np.zeros((0, 3, 2))}, r"points must be \(K, P, 2\)"),
            ({"points": [[1, 2, 3]]}, r"points must be \(K, P, 2\)"),
            ({"points": [[[1, 2]], [[1, 2], [3, 4]]]}, "points must be numbers in a regular shape"),
            ({"points": [[1, float("inf")]]}, "finite numbers"),
            ({"points": [[-1, 5]]}, "points must lie in the photo of 200 x 100 px"),
            ({"points": [[5, 99.5]]}, "points must lie in the photo"),
            ({"points": [[200, 5]]}, "points must lie in the photo"),
            ({"boxes": [BOX, BOX], "points": [[5, 5]]}, "points must be for 2 hands, got 1"),
            ({"points": [[1, 2]], "labels": [2]}, "labels must be 0 or 1"),
            ({"points": [[1, 2]], "labels": [-1]}, "labels must be 0 or 1"),
            ({"points": [[1, 2]], "labels": [0.5]}, "labels must be 0 or 1"),
            ({"points": [[1, 2]], "labels": ["1"]}, "labels must be 0 or 1"),
            ({"points": [[1, 2]], "labels": [1, 1]}, r"one per point \(1, 1\), got \[1, 1\]"),
            ({"points": [[1, 2]], "labels": 1}, "labels must be 0 or 1"),
            ({"points": [[[1, 2]], [[3, 4]]], "labels": [1, 0]}, "labels must be 0 or 1"),
            ({"points": [[[1, 2]], [[3, 4]]], "labels": [[1], [0, 1]]}, "labels must be"),
            ({"landmarks": np.ones((20, 2))}, r"landmarks must be \(K, 21, 2\)"),
            ({"landmarks": np.ones((21, 3))}, r"landmarks must be \(K, 21, 2\)"),
            ({"landmarks": np.full((21, 2), np.nan)}, "finite numbers"),
        ],
    )
    def test_with_a_reason(self, prompts: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            own(**prompts)


class TestPlaces:
    DOWN = np.array([0, 1], np.float32)
    LEFT, WHOLE = [10, 20, 60, 90], [0, 0, WIDTH - 1, HEIGHT - 1]

    def places(self) -> list[HandBox]:
        boxes = np.array([self.LEFT, [50, 10, 120, 95]], np.float32)
        return [HandBox(box, 0.1, 0.5, self.DOWN) for box in boxes]

    def test_a_point_takes_the_surest_that_holds_it(self) -> None:
        points = [[[30, 40]], [[55, 40]], [[100, 40]], [[150, 40]]]
        hands = own(points=points, places=self.places())
        boxes = [hand.roi_box.tolist() for hand in hands]
        assert boxes == [self.LEFT, self.LEFT, [50, 10, 120, 95], self.WHOLE]
        assert [hand.box is None for hand in hands] == [False, False, False, True]
        assert [hand.clicks for hand in hands] == [1] * 4
        np.testing.assert_array_equal(
            np.concatenate([hand.points for hand in hands]), np.array(points)[:, 0]
        )

    def test_the_first_point_on_the_hand_says_which(self) -> None:
        points = [[100, 40], [30, 40], [110, 50]]
        (hand,) = own(points=points, labels=[0, 1, 0], places=self.places())
        assert hand.roi_box.tolist() == self.LEFT
        (none,) = own(points=points[:1], labels=[0], places=self.places())
        assert none.roi_box.tolist() == self.WHOLE

    def test_further_points_widen_it(self) -> None:
        (hand,) = own(points=[[30, 40], [90, 40]], places=self.places())
        assert hand.roi_box.tolist() == [10, 20, 90, 90]
        assert hand.box is not None
        assert hand.box.tolist() == [10, 20, 90, 90]

    def test_boxes_and_landmarks_need_none(self, small_hand: np.ndarray) -> None:
        for prompts in ({"boxes": BOX}, {"landmarks": small_hand}):
            plain, other = own(**prompts), own(**prompts, places=self.places())
            np.testing.assert_array_equal(plain[0].roi_box, other[0].roi_box)

    def test_one_hardly_in_the_photo_is_none(self) -> None:
        edge = HandBox(np.array([-40, 20, 0.4, 60], np.float32), 0.9, 0.5, self.DOWN)
        (hand,) = own(points=[[0, 40]], places=[edge])
        assert hand.roi_box.tolist() == self.WHOLE


class OnGpu:
    """Like a tensor on a GPU, which NumPy cannot read."""

    def __init__(self, values: list) -> None:
        self.values = values

    def detach(self) -> OnGpu:
        return self

    def cpu(self) -> np.ndarray:
        return np.array(self.values)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


def test_all_prompts_may_be_on_a_gpu() -> None:
    (hand,) = own(boxes=OnGpu([BOX]), points=OnGpu([[[30, 40]]]), labels=OnGpu([[0]]))
    assert hand.labels.tolist() == [NEGATIVE]


def test_landmarks_are_copied(small_hand: np.ndarray) -> None:
    given = small_hand.copy()
    (hand,) = own(landmarks=given)
    given += 5
    np.testing.assert_array_equal(hand.landmarks, small_hand)
