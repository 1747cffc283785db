from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.finetune.lora.augment import Augmentation, plain_view, varied_view
from handseg.finetune.lora.hands import TrainingHand
from handseg.landmarks import HandLandmarker
from handseg.models.region import FILL
from handseg.models.torch_common import TorchEmbeddings
from handseg.prompts import IGNORED, PromptBatch, PromptRecipe
from handseg.segmenter import HandSegmenter
from handseg.synthetic.sample import Sample

SIZE = 128
STILL = Augmentation(mirror=0, rotation=0, zoom=0, stretch=0, color=0, camera=0, jitter=0)
MOVING = replace(STILL, mirror=0.5, rotation=25, zoom=0.2, stretch=0.1)


@dataclass
class Photo:
    image: np.ndarray
    mask: np.ndarray
    id: str = "photo"

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        return self.image, self.mask

    def digest(self) -> str:
        return self.id


@pytest.fixture(scope="module")
def hand(
    photos: dict[str, np.ndarray], photo_masks: dict[str, np.ndarray], landmarker: HandLandmarker
) -> TrainingHand:
    image = photos["2_pic00174"]
    return TrainingHand(Photo(image, photo_masks["2_pic00174"]), landmarker.detect(image)[0].points)


def drawn_hand(landmarks: np.ndarray, height: int = 500, width: int = 700) -> TrainingHand:
    """Draw a photo whose red channel is its mask, so that both must move together."""
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(landmarks.astype(np.int32)), 255)
    mask = cv2.dilate(mask, np.ones((15, 15), np.uint8))
    image = np.full((height, width, 3), 90, np.uint8)
    image[..., 0] = mask
    return TrainingHand(Photo(image, mask > 0), landmarks)


@pytest.fixture(scope="module")
def drawn(open_hand: np.ndarray) -> TrainingHand:
    return drawn_hand(open_hand * 1.5 + [350, 380])


class Watcher:
    """Stands in for a model: keeps its inputs from the predictor."""

    input_size, mask_size = SIZE, SIZE // 4

    def encode(self, crops: np.ndarray) -> TorchEmbeddings:
        self.crops = crops
        return TorchEmbeddings({})

    def decode(self, embeddings: object, prompts: PromptBatch) -> tuple[np.ndarray, np.ndarray]:
        self.prompts = prompts
        return np.zeros((1, SIZE // 4, SIZE // 4), np.float32), np.zeros(1, np.float32)


@pytest.mark.parametrize("recipe", [PromptRecipe(), PromptRecipe(forearm=2, skeleton=True)])
def test_the_plain_view_is_what_the_predictor_shows_the_model(
    hand: TrainingHand, landmarker: HandLandmarker, recipe: PromptRecipe
) -> None:
    watcher = Watcher()
    image, _ = hand.load()
    HandSegmenter(watcher, recipe, landmarker).segment(image, landmarks=hand.landmarks)  # type: ignore[arg-type]
    view = plain_view(hand, recipe, SIZE)
    np.testing.assert_array_equal(view.image, watcher.crops[0])
    assert watcher.prompts.boxes is not None
    np.testing.assert_allclose(view.box, watcher.prompts.boxes[0], atol=1e-3)
    np.testing.assert_array_equal(view.labels, watcher.prompts.labels[0])
    there = view.labels != IGNORED
    np.testing.assert_allclose(view.points[there], watcher.prompts.points[0][there], atol=1e-3)
    if recipe.skeleton:
        assert watcher.prompts.masks is not None
        np.testing.assert_array_equal(view.skeleton, watcher.prompts.masks[0])


def check(view: Sample) -> None:
    """Check that mask and image agree, points are on the right side and the outside is filled."""
    inside, outside = (
        cv2.erode(where.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        for where in (view.valid, ~view.valid)
    )
    red = view.image[..., 0] / 255
    assert np.abs(red - view.alpha)[inside].mean() < 0.02
    assert (view.image[outside] == FILL).all()
    assert (view.alpha[~view.valid] == 0).all()
    x, y = np.round(view.points[view.labels == 1]).astype(int).T
    seen = (x >= 1) & (y >= 1) & (x < SIZE - 1) & (y < SIZE - 1)
    assert view.alpha[y[seen], x[seen]].mean() > 0.9


def test_the_plain_view_shows_mask_and_photo_alike(drawn: TrainingHand) -> None:
    check(plain_view(drawn, PromptRecipe(), SIZE))


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_mask_photo_and_prompts_move_together(drawn: TrainingHand, seed: int) -> None:
    view = varied_view(drawn, PromptRecipe(), SIZE, MOVING, np.random.default_rng(seed))
    check(view)
    assert view.alpha.max() > 0.99


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_so_they_do_where_the_prompts_come_from_the_mask(drawn: TrainingHand, seed: int) -> None:
    hand = TrainingHand(drawn.photo, None)
    view = varied_view(hand, PromptRecipe(), SIZE, MOVING, np.random.default_rng(seed))
    check(view)
    rows, columns = np.nonzero(view.alpha > 0.5)
    assert np.abs(view.box - [columns.min(), rows.min(), columns.max(), rows.max()]).max() < 3


def test_without_variation_it_is_the_plain_view(drawn: TrainingHand) -> None:
    plain = plain_view(drawn, PromptRecipe(), SIZE)
    still = varied_view(drawn, PromptRecipe(), SIZE, STILL, np.random.default_rng(0))
    assert np.abs(plain.image.astype(int) - still.image).mean() < 2
    assert np.abs(plain.alpha - still.alpha).mean() < 0.01
    np.testing.assert_allclose(plain.box, still.box, atol=0.5)


def test_large_photos_are_not_aliased(open_hand: np.ndarray) -> None:
    """Stripes finer than the view's pixels must turn grey, as they do for the predictor."""
    hand = drawn_hand(open_hand * 12 + [2000, 2600], 3000, 4000)
    image, mask = hand.load()
    image[:, ::2] = 0
    image[:, 1::2] = 255
    fine = TrainingHand(Photo(image, mask), hand.landmarks)
    view = varied_view(fine, PromptRecipe(), SIZE, STILL, np.random.default_rng(0))
    inside = view.image[view.valid]
    assert np.abs(inside.astype(int) - 127).mean() < 10


def test_a_view_repeats_with_its_seed_and_differs_from_the_next(hand: TrainingHand) -> None:
    one, same, other = (
        varied_view(hand, PromptRecipe(), SIZE, Augmentation(), np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.points, same.points)
    assert (one.image != other.image).any()


@pytest.mark.parametrize(
    ("options", "word"),
    [({"views": 0}, "views"), ({"mirror": 1.5}, "mirror"), ({"rotation": -1}, "rotation")],
)
def test_wrong_settings_are_named(options: dict, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Augmentation(**options)
