"""Hands that only the finder sees: found, cut out and counted with those with landmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stub_stages import BACKGROUND, SKIN, StubLandmarker, StubModel, box_around, disc, found, iou

from handseg.data.image_mask import find_pairs
from handseg.landmarks import HandBox, HandFinder, HandLandmarker, HandLandmarks
from handseg.pipeline.embedded import LEAST_IOU
from handseg.pipeline.held_objects import ObjectStage
from handseg.prompts import PromptRecipe
from handseg.segmenter import HandSegmenter

PLACES = [(70, 120), (220, 110), (370, 130)]
DOWN = np.array([0, 1], np.float32)


@pytest.fixture
def scene(open_hand: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], list]:
    """Three discs: the middle one is found with landmarks, the others only by boxes."""
    photo, masks = np.full((240, 450, 3), BACKGROUND, np.uint8), []
    for place in PLACES:
        masks.append(disc(240, 450, place, 30)[1])
        photo[masks[-1]] = SKIN
    first, last = (
        HandBox(np.array(box_around(place, 34), np.float32), score, right, DOWN)
        for place, score, right in ((PLACES[0], 0.9, 0.75), (PLACES[2], 0.6, 0.1))
    )
    return photo, masks, [first, found(open_hand * 0.4 + [220, 135]), last]


def segmenter_of(hands: list, recipe: PromptRecipe | None = None, **more: object) -> HandSegmenter:
    model = StubModel(certainty=0.9)
    return HandSegmenter(model, recipe, StubLandmarker({450: hands}), **more)  # type: ignore[arg-type]


def test_a_box_in_which_the_model_sees_no_hand_is_none(scene: tuple) -> None:
    photo, _, hands = scene
    model = StubModel(certainty=LEAST_IOU - 0.01)
    (hand,) = HandSegmenter(model, None, StubLandmarker({450: hands})).segment(photo)
    assert hand.landmarks is not None
    (asked_for,) = HandSegmenter(model).segment(photo, boxes=hands[0].box)
    assert asked_for.predicted_iou < LEAST_IOU


def test_boxes_become_hands_without_landmarks(scene: tuple) -> None:
    photo, masks, hands = scene
    result = segmenter_of(hands).segment(photo)
    assert [hand.landmarks is None for hand in result] == [True, False, True]
    assert [hand.detection_score for hand in result] == [
        pytest.approx(0.9),
        None,
        pytest.approx(0.6),
    ]
    assert [hand.handedness for hand in result] == ["right", "right", "left"]
    assert result.hands[2].handedness_score == pytest.approx(0.9)
    for hand, mask in zip(result, masks, strict=True):
        assert iou(hand.mask, mask) > 0.9
    entry = result.to_dict()["hands"][0]
    assert entry["landmarks"] is None
    assert entry["detection_score"] == pytest.approx(0.9)


def test_a_batch_gives_the_same(scene: tuple) -> None:
    photo, _, hands = scene
    segmenter = segmenter_of(hands)
    one, (other, empty) = segmenter.segment(photo), segmenter.segment_batch([photo, photo[:, :99]])
    assert not len(empty)
    for hand, same in zip(one, other, strict=True):
        np.testing.assert_array_equal(hand.mask, same.mask)


@pytest.mark.parametrize("recipe", [PromptRecipe(box=False), PromptRecipe(skeleton=True)])
def test_recipes_without_a_box_or_with_bones_take_boxes_too(
    scene: tuple, recipe: PromptRecipe
) -> None:
    photo, masks, hands = scene
    for hand, mask in zip(segmenter_of(hands, recipe).segment(photo), masks, strict=True):
        assert iou(hand.mask, mask) > 0.9


def test_a_forearm_is_looked_for_where_the_wrist_is() -> None:
    hand = np.array([100, 100, 160, 180], np.float32)
    recipe = PromptRecipe(forearm=2.0)
    for wrist, wanted in (((0, 1), [100, 100, 160, 260]), ((-1, 0), [20, 100, 160, 180])):
        prompts = recipe.box_prompts(hand, np.array(wrist, np.float32), 400, 400)
        np.testing.assert_allclose(prompts.roi_box, wanted)
    with pytest.raises(ValueError, match="box must show a hand"):
        recipe.box_prompts(hand - 500, DOWN, 400, 400)


def test_boxes_outside_of_the_photo_are_passed_over(scene: tuple) -> None:
    photo, _, hands = scene
    hands.append(HandBox(np.array([900, 10, 990, 90], np.float32), 0.9, 0.9, DOWN))
    assert len(segmenter_of(hands).segment(photo)) == 3


def test_without_landmarks_a_hand_holds_nothing(scene: tuple) -> None:
    photo, _, hands = scene
    stage = ObjectStage(StubModel(), PromptRecipe(positives=("grip",), negatives=()))
    result = segmenter_of(hands, load_objects=lambda: stage).segment(photo, objects=True)
    assert result.hands[0].object_mask is not None
    assert not result.hands[0].object_mask.any()


def test_the_option_asks_for_mediapipe_alone(scene: tuple) -> None:
    photo, _, hands = scene

    class Landmarker(StubLandmarker):
        def find(self, image: np.ndarray, finder: bool = True) -> list:
            return hands if finder else hands[1:2]

    embedded = HandSegmenter(StubModel(certainty=0.9), None, Landmarker({})).embed(photo)
    assert [len(embedded.segment(finder=finder)) for finder in (True, False, True)] == [3, 1, 3]


def test_mediapipe_alone_is_what_a_landmarker_without_finder_gives(photo_folder: Path) -> None:
    image = find_pairs(photo_folder)[0].load()[0]
    with HandLandmarker() as alone, HandLandmarker(finder=HandFinder()) as both:
        (one,), (other,), (third,) = alone.find(image), both.find(image, False), both.find(image)
    assert isinstance(one, HandLandmarks)
    assert isinstance(other, HandLandmarks)
    assert isinstance(third, HandLandmarks)
    np.testing.assert_array_equal(one.points, other.points)
    np.testing.assert_array_equal(one.points, third.points)
    assert one.detection_score is None
    assert third.detection_score is not None
    assert third.detection_score > 0.5


def test_a_doubtful_box_takes_no_hands_place(scene: tuple) -> None:
    photo, masks, hands = scene
    model = StubModel(certainty=LEAST_IOU - 0.01)
    segmenter = HandSegmenter(model, None, StubLandmarker({450: hands}))
    (hand,) = segmenter.segment(photo, max_hands=1)
    assert iou(hand.mask, masks[1]) > 0.9
    (sure,) = segmenter_of(hands).segment(photo, max_hands=1)
    assert iou(sure.mask, masks[0]) > 0.9
    one, other = segmenter_of(hands).segment_batch([photo, photo], max_hands=2)
    assert len(one) == len(other) == 2


def test_points_on_hands_that_the_finder_sees_or_not(scene: tuple) -> None:
    photo, masks, hands = scene

    class Landmarker(StubLandmarker):
        def suspect(self, image: np.ndarray) -> list[HandBox]:
            return hands[:1]

    segmenter = HandSegmenter(StubModel(), None, Landmarker({}))
    first, second = segmenter.segment(photo, points=[[PLACES[0]], [PLACES[1]]])
    assert iou(first.mask, masks[0]) > 0.9
    assert second.mask[masks[1]].mean() > 0.95


def test_a_hand_of_which_only_the_forearm_is_in_the_photo_holds_nothing(
    open_hand: np.ndarray,
) -> None:
    photo, _ = disc(240, 450, (220, 20), 15)
    stage = ObjectStage(StubModel(), PromptRecipe(positives=("grip",), negatives=()))
    segmenter = HandSegmenter(StubModel(), load_objects=lambda: stage)
    above = open_hand * 0.4 + [220, -40]
    (hand,) = segmenter.segment(photo, landmarks=above, forearm=True, objects=True)
    assert hand.object_mask is not None
    assert not hand.object_mask.any()
