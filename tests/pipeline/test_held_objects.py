from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from red_hands import BLUE, ColorModel, blue_objects, draw_photo, is_blue, is_red, red_segmenter
from tiny_models import random_prompts, save_tiny_model

from handseg.errors import ModelError
from handseg.evaluation.metrics import compare_masks
from handseg.pipeline.held_objects import OBJECT_FOLDER, ObjectStage, ObjectWeights, find_weights
from handseg.postprocess.cleanup import drop_detached
from handseg.prompts import PromptRecipe
from handseg.results.overlay import OBJECT_COLOR
from handseg.segmenter import HandSegmenter

HAND = (80, 90, 40, 25)
HELD, APART = (slice(80, 100), slice(115, 155)), (slice(5, 20), slice(5, 30))


def photo(*objects: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
    """Draw a photo of a red hand and blue objects; return it and where the objects are."""
    image, _ = draw_photo(HAND, size=(200, 180))
    for where in objects:
        image[where] = BLUE
    return image, (image == BLUE).all(-1)


class TestSegment:
    def test_objects_are_none_unless_asked_for(self) -> None:
        result = red_segmenter().segment(photo(HELD)[0])
        assert result.hands[0].object_mask is None
        assert result.object_mask is None
        assert "object" not in result.to_dict()["hands"][0]

    def test_what_touches_the_hand_is_held(self) -> None:
        image, truth = photo(HELD, APART)
        truth[APART] = False
        result = red_segmenter().segment(image, objects=True)
        held = result.hands[0].object_mask
        assert held is not None
        assert held.shape == truth.shape
        assert held.dtype == np.bool_
        assert compare_masks(held, truth).iou > 0.93
        np.testing.assert_array_equal(result.object_mask, held)

    @pytest.mark.parametrize("objects", [(), (APART,)])
    def test_nothing_held_is_an_empty_mask(self, objects: tuple[tuple[slice, slice], ...]) -> None:
        result = red_segmenter().segment(photo(*objects)[0], objects=True)
        held = result.hands[0].object_mask
        assert held is not None
        assert not held.any()
        assert result.to_dict()["hands"][0]["object"] is None

    @pytest.mark.parametrize(("top", "held"), [(45, True), (112, False)])
    def test_what_touches_the_arm_alone_is_not_held(
        self, top: int, held: bool, open_hand: np.ndarray
    ) -> None:
        image, truth = photo((slice(top, top + 22), slice(70, 90)))
        landmarks = open_hand * 0.12 + (80, 90)  # fingers up, the wrist in the middle of the hand
        result = red_segmenter().segment(image, landmarks=landmarks, objects=True, forearm=True)
        assert result.object_mask is not None
        assert (compare_masks(result.object_mask, truth).iou > 0.9) == held
        assert result.object_mask.any() == held

    def test_no_hand_holds_nothing(self) -> None:
        image, _ = draw_photo()
        result = red_segmenter().segment(image, objects=True)
        assert result.object_mask is not None
        assert not result.object_mask.any()

    @given(
        x=st.integers(20, 150), y=st.integers(40, 140), width=st.integers(8, 60),
        height=st.integers(8, 60),
    )  # fmt: skip
    @settings(deadline=None, max_examples=25)
    def test_no_pixel_is_hand_and_object(self, x: int, y: int, width: int, height: int) -> None:
        image, _ = photo((slice(y, y + height), slice(x, x + width)))
        # The hand covers the object's centre.
        cv2.ellipse(image, (80, 90), (20, 12), 0, 0, 360, (220, 30, 30), -1)
        result = red_segmenter().segment(image, objects=True)
        for hand in result:
            assert hand.object_mask is not None
            assert not (hand.object_mask & hand.mask).any()

    @pytest.mark.parametrize("way", ["apart", "held"])
    def test_the_hand_stays_as_it_is_but_for_the_object(self, way: str) -> None:
        image, _ = photo(HELD if way == "held" else APART)
        plain, asked = (red_segmenter().segment(image, objects=on) for on in (False, True))
        assert asked.object_mask is not None
        assert asked.object_mask.any() == (way == "held")
        far = cv2.dilate(asked.object_mask.astype(np.uint8), np.ones((7, 7))) == 0
        np.testing.assert_array_equal(plain.alpha[far], asked.alpha[far])
        np.testing.assert_array_equal(plain.mask & ~asked.object_mask, asked.mask)

    def test_of_what_both_claim_the_object_has_what_it_is_sure_of(self) -> None:
        image, _ = photo(HELD)
        stage = ObjectStage(
            ColorModel(lambda crop: is_blue(crop) | is_red(crop)), blue_objects().recipe
        )
        segmenter = HandSegmenter(
            ColorModel(is_red), landmarker=red_segmenter().landmarker, load_objects=lambda: stage
        )
        (plain,), (hand,) = (segmenter.segment(image, objects=on) for on in (False, True))
        assert hand.object_mask is not None
        core = cv2.erode(plain.mask.astype(np.uint8), np.ones((9, 9))) > 0
        assert hand.object_mask[core].all()
        assert hand.mask.sum() < 0.2 * plain.mask.sum()
        assert not (hand.mask & hand.object_mask).any()

    def test_numbers(self) -> None:
        result = red_segmenter().segment(photo(HELD)[0], objects=True)
        numbers = result.to_dict()["hands"][0]["object"]
        held = result.hands[0].object_mask
        assert held is not None
        rows, columns = (np.flatnonzero(held.any(axis)) for axis in (1, 0))
        assert numbers["area"] == held.sum()
        assert numbers["box"] == [columns[0], rows[0], columns[-1], rows[-1]]

    def test_overlay_shows_objects_in_their_own_colour(self) -> None:
        image, truth = photo(HELD)
        plain, asked = (
            np.asarray(red_segmenter().segment(image, objects=on).overlay(landmarks=False))
            for on in (False, True)
        )
        core = cv2.erode(truth.astype(np.uint8), np.ones((9, 9))) > 0
        core[:, :128] = False  # the hand's box
        tinted = image[core] * 0.55 + np.array(OBJECT_COLOR) * 0.45
        np.testing.assert_allclose(asked[core], tinted, atol=3)
        np.testing.assert_array_equal(plain[core], image[core])

    def test_each_hand_has_its_own(self) -> None:
        image, _ = draw_photo((60, 90, 30, 20), (240, 90, 30, 20), size=(300, 180))
        image[80:100, 85:110] = BLUE
        result = red_segmenter().segment(image, objects=True)
        masks = {hand.box[0] < 150: hand.object_mask for hand in result}
        assert masks[True] is not None
        assert masks[False] is not None
        assert masks[True].any()
        assert not masks[False].any()
        np.testing.assert_array_equal(result.object_mask, masks[True])

    def test_batch_is_as_one_by_one(self) -> None:
        images = [photo(HELD)[0], draw_photo()[0], photo(APART)[0]]
        batch = red_segmenter().segment_batch(images, objects=True)
        for image, result in zip(images, batch, strict=True):
            alone = red_segmenter().segment(image, objects=True)
            np.testing.assert_array_equal(result.object_mask, alone.object_mask)
            np.testing.assert_array_equal(result.mask, alone.mask)
        assert red_segmenter().segment_batch(images)[0].object_mask is None


class TestPrompts:
    def test_own_landmarks_will_do(self) -> None:
        image, truth = photo(HELD)
        segmenter = red_segmenter()
        (found,) = segmenter.landmarker.detect(image)
        result = segmenter.segment(image, landmarks=found.points, objects=True)
        assert compare_masks(result.object_mask, truth).iou > 0.93

    @pytest.mark.parametrize(
        "prompts", [{"boxes": [40, 65, 120, 115]}, {"points": [[80, 90]], "labels": [1]}]
    )
    def test_boxes_and_points_alone_will_not(self, prompts: dict) -> None:
        with pytest.raises(ValueError, match="objects needs landmarks"):
            red_segmenter().segment(photo(HELD)[0], objects=True, **prompts)

    def test_embedded_photo_is_encoded_once(self) -> None:
        stage = blue_objects()
        segmenter = HandSegmenter(
            ColorModel(is_red), landmarker=red_segmenter().landmarker, load_objects=lambda: stage
        )
        embedded = segmenter.embed(photo(HELD)[0])
        masks = [embedded.segment(objects=True).object_mask for _ in range(2)]
        assert isinstance(stage.model, ColorModel)
        assert stage.model.encoded == 1
        np.testing.assert_array_equal(masks[0], masks[1])


class TestLoading:
    def test_stage_is_loaded_when_it_is_first_asked_for_and_once(self) -> None:
        loads = []

        def load() -> ObjectStage:
            loads.append(1)
            return blue_objects()

        segmenter = HandSegmenter(
            ColorModel(is_red), landmarker=red_segmenter().landmarker, load_objects=load
        )
        segmenter.segment(photo(HELD)[0])
        assert not loads
        for _ in range(2):
            segmenter.segment(photo(HELD)[0], objects=True)
        assert len(loads) == 1

    def test_a_model_without_a_stage_says_so(self) -> None:
        segmenter = HandSegmenter(ColorModel(is_blue))
        with pytest.raises(ModelError, match="object_adapter"):
            segmenter.segment(photo(HELD)[0], objects=True)
        with pytest.raises(ModelError, match="object_adapter"):
            segmenter.segment_batch([photo(HELD)[0]], objects=True)

    def test_other_bases_have_none_and_lite_has_the_bundled_one(self, tmp_path: Path) -> None:
        from handseg.models.bundled import LITE_FOLDER, LITE_OBJECT_FOLDER

        assert find_weights("facebook/sam-vit-base", None) is None
        assert find_weights(tmp_path, None) is None
        assert find_weights(LITE_FOLDER, None) == ObjectWeights(LITE_FOLDER, LITE_OBJECT_FOLDER)
        assert find_weights(LITE_FOLDER, tmp_path) == ObjectWeights(LITE_FOLDER, tmp_path)

    def test_an_adapter_without_a_recipe_is_refused(self, tmp_path: Path) -> None:
        save_tiny_model("edgetam", tmp_path / "base")
        (tmp_path / "adapter").mkdir()
        segmenter = HandSegmenter.from_pretrained(
            tmp_path / "base", object_adapter=tmp_path / "adapter"
        )
        with pytest.raises(ModelError, match=r"no prompt_recipe\.json"):
            _ = segmenter.object_stage

    def test_saved_with_the_segmenter_if_it_was_loaded(self, tmp_path: Path) -> None:
        save_tiny_model("edgetam", tmp_path / "base")
        recipe = PromptRecipe(positives=("grip",), negatives=(), box_reach=0.5)
        save_tiny_model("edgetam", tmp_path / "base" / OBJECT_FOLDER, seed=3)
        recipe.save(tmp_path / "base" / OBJECT_FOLDER)
        segmenter = HandSegmenter.from_pretrained(tmp_path / "base", device="cpu")
        segmenter.save_pretrained(tmp_path / "without")
        assert not (tmp_path / "without" / OBJECT_FOLDER).exists()
        assert segmenter.object_stage.recipe == recipe
        segmenter.save_pretrained(tmp_path / "with")
        again = HandSegmenter.from_pretrained(tmp_path / "with", device="cpu")
        assert again.object_stage.recipe == recipe
        crop = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
        prompts = random_prompts(1, 64)
        stages = [made.object_stage.model for made in (segmenter, again)]
        logits = [model.decode(model.encode(crop), prompts)[0] for model in stages]
        np.testing.assert_allclose(logits[0], logits[1], atol=1e-5)


class TestKeepTouching:
    LOGITS = np.full((40, 40), -3, np.float32)
    HAND = np.zeros((40, 40), bool)
    HAND[10:20, 10:20] = True

    def test_islands_near_the_hand_stay(self) -> None:
        logits = self.LOGITS.copy()
        touching, inside, far = np.s_[12:16, 21:26], np.s_[13:16, 11:14], np.s_[30:34, 2:6]
        for where in (touching, inside, far):
            logits[where] = 4
        kept = drop_detached(logits, self.HAND)
        assert (kept[touching] == 4).all()
        assert (kept[inside] == 4).all()
        assert (kept[far] == -4).all()
        off = logits < 0
        np.testing.assert_array_equal(kept[off], logits[off])

    @pytest.mark.parametrize("gap", range(5))
    def test_reach(self, gap: int) -> None:
        logits = self.LOGITS.copy()
        logits[12:15, 20 + gap : 25 + gap] = 1
        assert (drop_detached(logits, self.HAND, reach=2) > 0).any() == (gap < 2)

    def test_nothing_stays_nothing(self) -> None:
        np.testing.assert_array_equal(drop_detached(self.LOGITS, self.HAND), self.LOGITS)

    def test_without_a_hand_nothing_is_held(self) -> None:
        logits = np.full((20, 20), 2, np.float32)
        assert (drop_detached(logits, np.zeros((20, 20), bool)) < 0).all()
