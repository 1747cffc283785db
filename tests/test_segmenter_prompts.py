from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from red_hands import ColorModel, draw_photo, is_red
from stub_stages import BACKGROUND, SKIN, StubLandmarker, StubModel, box_around, disc, found, iou

from handseg.errors import ImageError
from handseg.landmarks.anatomy import WRIST_END, draw_skeleton, hand_size
from handseg.models.region import Region
from handseg.pipeline.predict import batch_prompts
from handseg.prompts import IGNORED, POSITIVE, PromptRecipe
from handseg.segmenter import HandSegmenter


class TestOwnPrompts:
    CENTRE, RADIUS = (210.0, 140.0), 55.0

    @pytest.fixture(scope="class")
    @staticmethod
    def scene() -> tuple[np.ndarray, np.ndarray]:
        return disc(300, 400, TestOwnPrompts.CENTRE, TestOwnPrompts.RADIUS)

    def test_box(self, scene: tuple[np.ndarray, np.ndarray]) -> None:
        photo, mask = scene
        box = box_around(self.CENTRE, self.RADIUS)
        (hand,) = HandSegmenter(StubModel()).segment(photo, boxes=box)
        assert iou(hand.mask, mask) > 0.97
        np.testing.assert_allclose(hand.box, box, atol=1)
        assert hand.landmarks is None
        assert hand.handedness is None
        assert hand.handedness_score is None
        assert 0 < hand.predicted_iou < 1

    def test_reach_the_model_in_its_own_pixels(self, scene: tuple[np.ndarray, np.ndarray]) -> None:
        photo, _ = scene
        model = StubModel()
        recipe = PromptRecipe(region_margin=0.5)
        segmenter = HandSegmenter(model, recipe)
        box = [100, 50, 200, 130]
        segmenter.segment(photo, boxes=box, points=[[110, 60], [300, 5]], labels=[1, 0])
        (batch,) = model.batches
        region = Region.around(np.array(box), 0.5)
        expected = region.to_crop(np.array([[100, 50], [200, 130], [110, 60], [300, 5]]), 128)
        assert batch.boxes is not None
        np.testing.assert_allclose(batch.boxes, [expected[:2].ravel()])
        np.testing.assert_allclose(batch.points, [expected[2:]])
        np.testing.assert_array_equal(batch.labels, [[1, 0]])
        assert batch.masks is None

    def test_points_alone_take_the_whole_photo(self, scene: tuple[np.ndarray, np.ndarray]) -> None:
        photo, mask = scene
        model = StubModel(input_size=256, mask_size=128)
        (hand,) = HandSegmenter(model).segment(photo, points=[self.CENTRE])
        assert iou(hand.mask, mask) > 0.95
        assert model.batches[0].boxes is None

    def test_landmarks(self, scene: tuple[np.ndarray, np.ndarray], open_hand: np.ndarray) -> None:
        photo, mask = scene
        model = StubModel()
        segmenter = HandSegmenter(model, PromptRecipe(skeleton=True))
        landmarks = open_hand * 0.5 + [210, 180]
        (hand,) = segmenter.segment(photo, landmarks=landmarks)
        assert iou(hand.mask, mask) > 0.97
        np.testing.assert_array_equal(hand.landmarks, landmarks)
        assert (hand.handedness, hand.handedness_score) == (None, None)
        (batch,) = model.batches
        assert batch.points.shape == (1, 26, 2)
        assert batch.boxes is not None
        assert batch.masks is not None
        prompts = segmenter.recipe.prompts(landmarks, 300, 400)
        region = Region.around(prompts.roi_box, 0.25)
        in_mask = region.to_crop(landmarks, 64)
        np.testing.assert_array_equal(batch.masks[0], draw_skeleton(in_mask, 64))

    def test_forearm_is_cut_where_landmarks_show_it(self, open_hand: np.ndarray) -> None:
        # An arm as wide as the palm, from the fingertips down to the frame.
        photo = np.full((400, 300, 3), BACKGROUND, np.uint8)
        photo[90:, 120:190] = SKIN
        landmarks = open_hand * 0.7 + [155, 220]
        segmenter = HandSegmenter(StubModel())
        found_hands = {300: [found(landmarks)]}
        (own,) = segmenter.segment(photo, landmarks=landmarks)
        (seen,) = HandSegmenter(StubModel(), None, StubLandmarker(found_hands)).segment(photo)
        end = 220 + WRIST_END * hand_size(landmarks)
        for hand in (own, seen):
            assert hand.mask[100:250, 125:185].all()
            assert hand.box[3] == pytest.approx(end, abs=8)  # the palm's axis is slightly tilted
        (boxed,) = segmenter.segment(photo, boxes=[120, 90, 190, 330])
        assert boxed.mask[325, 125:185].all()

    def test_click_into_a_hole_counts_more_than_filling_holes(self, open_hand: np.ndarray) -> None:
        landmarks = open_hand + np.array([150, 220])
        photo = np.full((300, 300, 3), BACKGROUND, np.uint8)
        photo[20:260, 60:260] = SKIN
        holes = [(150, 180), (150, 90)]  # on the palm and across the middle finger
        for x, y in holes:
            photo[y - 8 : y + 8, x - 8 : x + 8] = BACKGROUND
        segmenter = HandSegmenter(StubModel())
        (hand,) = segmenter.segment(photo, landmarks=landmarks, holes="fill")
        assert [bool(hand.mask[y, x]) for x, y in holes] == [True, True]
        (hand,) = segmenter.segment(
            photo, landmarks=landmarks, points=[holes[0]], labels=[0], holes="fill"
        )
        assert [bool(hand.mask[y, x]) for x, y in holes] == [False, True]

    def test_outline_of_a_clicked_hand_is_a_share_of_the_hand(self) -> None:
        photo, mask = draw_photo((500, 500, 60, 60), size=(1000, 1000))
        segmenter = HandSegmenter(ColorModel(is_red), PromptRecipe(outline=0.1))
        boxed = segmenter.segment(photo, boxes=box_around((500, 500), 60))
        clicked = segmenter.segment(photo, points=[[500, 500]], finder=False)
        for hands in (boxed, clicked):
            assert np.sqrt(hands[0].area / mask.sum()) * 60 == pytest.approx(66, abs=1.5)

    def test_landmarks_of_a_hand_far_larger_than_the_photo(self, open_hand: np.ndarray) -> None:
        photo, _ = disc(40, 40, (20, 20), 10)
        segmenter = HandSegmenter(StubModel(), PromptRecipe(skeleton=True))
        with pytest.raises(ValueError, match="landmarks must show a hand in the photo"):
            segmenter.segment(photo, landmarks=open_hand * 1e5 + 20, points=[[9, 9]], holes="fill")

    def test_one_hand_for_each_box(self) -> None:
        centres = [(80.0, 80.0), (250.0, 90.0), (120.0, 220.0)]
        photo, masks = disc(300, 400, (0, 0), 0)[0], []
        for centre in centres:
            _, mask = disc(300, 400, centre, 40)
            photo[mask] = SKIN
            masks.append(mask)
        boxes = [box_around(centre, 40) for centre in centres]
        hands = HandSegmenter(StubModel()).segment(photo, boxes=boxes)
        assert [iou(hand.mask, mask) > 0.95 for hand, mask in zip(hands, masks, strict=True)]
        assert iou(hands.mask, np.logical_or.reduce(masks)) > 0.95

    def test_no_boxes_are_an_empty_result(self) -> None:
        photo, _ = disc(200, 200, (80, 100), 40)
        found = HandSegmenter(StubModel()).segment(photo, boxes=np.zeros((0, 4)))
        assert len(found) == 0
        assert found.mask.shape == (200, 200)
        assert not found.mask.any()

    def test_hand_cut_by_the_frame(self) -> None:
        photo, mask = disc(200, 200, (5, 190), 60)
        (hand,) = HandSegmenter(StubModel()).segment(photo, boxes=[0, 130, 65, 199])
        assert iou(hand.mask, mask) > 0.97
        assert hand.mask.shape == (200, 200)

    def test_island_that_no_point_names_is_dropped(self) -> None:
        photo, mask = disc(200, 200, (80, 100), 40)
        _, other = disc(200, 200, (140, 100), 8)
        photo[other] = SKIN
        segmenter = HandSegmenter(StubModel())
        (hand,) = segmenter.segment(photo, boxes=[40, 60, 150, 140])
        assert iou(hand.mask, mask) > 0.95
        assert not hand.mask[other].any()
        (hand,) = segmenter.segment(photo, boxes=[40, 60, 150, 140], points=[[140, 100]])
        assert hand.mask[other].mean() > 0.7
        (hand,) = segmenter.segment(
            photo, boxes=[40, 60, 150, 140], points=[[140, 100]], labels=[0]
        )
        assert not hand.mask[other].any()

    def test_nothing_at_the_box(self) -> None:
        photo, _ = disc(200, 200, (30, 30), 10)
        (hand,) = HandSegmenter(StubModel()).segment(photo, boxes=[120, 120, 180, 180])
        assert hand.area == 0
        assert not hand.mask.any()
        np.testing.assert_array_equal(hand.box, [120, 120, 180, 180])

    @pytest.mark.parametrize(
        ("prompts", "message"),
        [
            ({"labels": [1]}, "labels need points"),
            ({"boxes": [0, 0, 5]}, "boxes"),
            ({"points": [[500, 5]]}, "points must lie in the photo of 400 x 300 px"),
            ({"max_hands": 0}, "max_hands"),
        ],
    )
    def test_wrong_prompts(
        self, prompts: dict[str, Any], message: str, scene: tuple[np.ndarray, np.ndarray]
    ) -> None:
        with pytest.raises(ValueError, match=message):
            HandSegmenter(StubModel()).segment(scene[0], **prompts)

    def test_wrong_image(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match=r"absent\.jpg"):
            HandSegmenter(StubModel()).segment(tmp_path / "absent.jpg", boxes=[0, 0, 5, 5])


class TestBatchPrompts:
    def test_pads_nothing_and_keeps_order(self, open_hand: np.ndarray) -> None:
        recipe = PromptRecipe(skeleton=True)
        prompts = [
            recipe.prompts(open_hand * scale + [x, 200], 300, 400)
            for scale, x in ((0.5, 100), (0.8, 350))
        ]
        regions = [Region.around(one.roi_box, 0.25) for one in prompts]
        batch = batch_prompts(prompts, regions, 128, 32)
        assert batch.boxes is not None
        assert batch.masks is not None
        assert batch.masks.shape == (2, 32, 32)
        for row, (one, region) in enumerate(zip(prompts, regions, strict=True)):
            np.testing.assert_array_equal(batch.points[row], region.to_crop(one.points, 128))
            np.testing.assert_array_equal(batch.labels[row], one.labels)
            corners = region.to_crop(one.roi_box.reshape(2, 2), 128)
            np.testing.assert_array_equal(batch.boxes[row], corners.ravel())
        assert (batch.labels == IGNORED).any()
        assert (batch.labels == POSITIVE).any()

    def test_without_box_and_skeleton(self, open_hand: np.ndarray) -> None:
        prompts = PromptRecipe(box=False).prompts(open_hand + 200, 300, 400)
        batch = batch_prompts([prompts], [Region(0, 0, 300)], 64, 16)
        assert batch.boxes is None
        assert batch.masks is None
