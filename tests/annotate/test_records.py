from __future__ import annotations

import numpy as np
import pytest
from fake_hands import make_hand, rectangle
from red_hands import draw_photo, red_segmenter

from handseg.annotate.records import (
    OFF_MASK,
    OFF_PHOTO,
    agreement,
    joint_confidences,
    label_picture,
    mask_iou,
    thumbnail,
    with_masks,
)
from handseg.models import MaskModel
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter

SHAPE = (100, 140)


def test_joints_are_as_sure_as_the_hand_but_for_those_that_cannot_be_seen(
    open_hand: np.ndarray,
) -> None:
    landmarks = open_hand * 0.3 + (60, 80)
    landmarks[8] = (60, -1)  # outside the photo
    landmarks[12] = (130, 50)  # off the mask
    landmarks[16] = (90, 60)  # off it, but within MediaPipe's jitter
    mask = rectangle(SHAPE, 30, 0, 60, 100)
    hand = make_hand(mask, landmarks=landmarks, handedness_score=0.8, handedness="left")
    expected = np.full(21, 0.8)
    expected[[8, 12]] = 0.8 * OFF_PHOTO, 0.8 * OFF_MASK
    np.testing.assert_allclose(joint_confidences(hand), expected, atol=1e-3)
    without_score = joint_confidences(make_hand(mask, landmarks=landmarks))
    np.testing.assert_allclose(without_score, expected / 0.8, atol=1e-3)


def test_hands_without_landmarks_have_no_joints_and_no_agreement() -> None:
    hand = make_hand(rectangle(SHAPE, 10, 10, 20, 20))
    assert joint_confidences(hand) is None
    with red_segmenter() as segmenter:
        photo = segmenter.embed(np.zeros((*SHAPE, 3), np.uint8))
        assert agreement(photo, hand, segmenter.recipe) is None


def test_what_prompts_do_not_change_agrees() -> None:
    image, _ = draw_photo((80, 60, 40, 25))
    with red_segmenter() as segmenter:
        photo = segmenter.embed(image)
        (hand,) = photo.segment()
        agreed = agreement(photo, hand, segmenter.recipe)
    assert agreed is not None
    assert 0.97 < agreed <= 1


def test_agreement_of_the_bundled_model(
    segmenter: HandSegmenter, photos: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = segmenter.embed(photos["2_pic00212"])
    (hand,) = photo.segment()
    encoded: list[int] = []
    encode = type(segmenter.model).encode

    def count(self: MaskModel, crops: np.ndarray) -> object:
        encoded.append(len(crops))
        return encode(self, crops)

    monkeypatch.setattr(type(segmenter.model), "encode", count)
    agreed = agreement(photo, hand, segmenter.recipe)
    assert agreed is not None
    assert 0.9 < agreed <= 1
    assert encoded == [1]


def test_iou_of_patches_is_that_of_whole_masks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        masks = []
        for _ in range(2):
            x, y, width, height = (int(value) for value in rng.integers(1, 50, 4))
            masks.append(rectangle(SHAPE, x, y, width, height))
        one, other = (make_hand(mask) for mask in masks)
        expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
        iou = mask_iou(one.patch, one.offset, other.patch, other.offset)
        assert iou == pytest.approx(expected, abs=1e-4)


def test_pictures_of_hands_and_of_what_they_hold() -> None:
    one, other = rectangle(SHAPE, 10, 10, 40, 40), rectangle(SHAPE, 30, 30, 40, 40)
    held = rectangle(SHAPE, 70, 50, 10, 10)
    nothing = np.zeros(SHAPE, bool)
    hands = (make_hand(one, nothing), make_hand(other, held), make_hand(nothing, nothing))
    result = with_masks(HandSegmentation(np.zeros((*SHAPE, 3), np.uint8), hands))
    assert len(result) == 2
    np.testing.assert_array_equal(label_picture(result), np.where(one, 1, np.where(other, 2, 0)))
    np.testing.assert_array_equal(result.object_mask, held)


@pytest.mark.parametrize(("shape", "size"), [((400, 600), (100, 150)), ((90, 60), (90, 60))])
def test_thumbnails_fit(shape: tuple[int, int], size: tuple[int, int]) -> None:
    height, width = shape
    mask = rectangle(shape, width // 2, height // 2, width - width // 2, height - height // 2)
    image = np.full((*shape, 3), 90, np.uint8)
    picture = thumbnail(HandSegmentation(image, (make_hand(mask),)), 150)
    assert picture.shape == (*size, 3)
    changed = (picture != 90).any(axis=2)
    assert changed[size[0] * 3 // 4, size[1] * 3 // 4]
    assert not changed[: size[0] // 4].any()
