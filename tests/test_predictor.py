from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_models import FAMILIES, save_tiny_model, tiny_model

import handseg
from handseg import api
from handseg.errors import ImageError, ModelError
from handseg.models import carried
from handseg.models.transformers_sam import TransformersMaskModel
from handseg.pipeline import ENCODER_BATCH, batch_prompts
from handseg.predictor import HandSegmenter
from handseg.prompts import (
    IGNORED,
    POSITIVE,
    HandLandmarker,
    HandLandmarks,
    PromptBatch,
    PromptRecipe,
    draw_skeleton,
)
from handseg.prompts.anatomy import WRIST_END, hand_size
from handseg.regions import Region
from handseg.results import Hand

torch.set_num_threads(1)

SKIN = (230, 60, 40)
BACKGROUND = (30, 90, 200)


class StubEmbeddings:
    """The crops themselves."""

    def __init__(self, crops: np.ndarray) -> None:
        self.crops = crops

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, rows: slice | np.ndarray) -> StubEmbeddings:
        return StubEmbeddings(self.crops[rows])


@dataclass
class StubModel:
    """Takes for hand what is redder than it is blue, and notes what it was asked."""

    input_size: int = 128
    mask_size: int = 64
    batches: list[PromptBatch] = field(default_factory=list)
    encoded: int = 0

    def encode(self, crops: np.ndarray) -> StubEmbeddings:
        self.encoded += len(crops)
        assert crops.shape[1:] == (self.input_size, self.input_size, 3)
        assert crops.dtype == np.uint8
        return StubEmbeddings(crops)

    def decode(self, embeddings: Any, prompts: PromptBatch) -> tuple[np.ndarray, np.ndarray]:
        assert len(embeddings) == len(prompts)
        self.batches.append(prompts)
        crops = embeddings.crops.astype(np.float32)
        size = (self.mask_size, self.mask_size)
        redness = (crops[..., 0] - crops[..., 2]) / 30
        logits = [cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in redness]
        return np.stack(logits), crops.mean(axis=(1, 2, 3)) / 255

    def save_pretrained(self, folder: Any) -> None:
        raise NotImplementedError


class StubLandmarker(HandLandmarker):
    """Gives what it is told to, by the photo's width."""

    max_hands = 10

    def __init__(self, hands: dict[int, list[HandLandmarks]]) -> None:
        self.hands = hands
        self.closed = 0

    def detect(self, image: np.ndarray) -> list[HandLandmarks]:
        return self.hands.get(image.shape[1], [])

    def close(self) -> None:
        self.closed += 1


def disc(
    height: int, width: int, centre: tuple[float, float], radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """A photo of a skin-coloured disc, and its mask."""
    y, x = np.mgrid[:height, :width]
    mask = np.hypot(x - centre[0], y - centre[1]) <= radius
    photo = np.where(mask[..., None], SKIN, BACKGROUND).astype(np.uint8)
    return photo, mask


def box_around(centre: tuple[float, float], radius: float) -> list[float]:
    x, y = centre
    return [x - radius, y - radius, x + radius, y + radius]


def found(points: np.ndarray, handedness: str = "right", score: float = 0.9) -> HandLandmarks:
    return HandLandmarks(points.astype(np.float32), handedness, score)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def name_base(adapter: Path, base: str) -> None:
    """Write into the adapter's configuration which model it belongs to."""
    config = adapter / "adapter_config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {"base_model_name_or_path": base}))


def assert_same(one: Hand, other: Hand, tolerance: int = 0) -> None:
    assert one.offset == other.offset
    assert one.image_shape == other.image_shape
    np.testing.assert_allclose(one.patch.astype(int), other.patch, atol=tolerance)
    np.testing.assert_array_equal(one.box, other.box)
    assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-5)
    np.testing.assert_array_equal(one.landmarks, other.landmarks)
    assert (one.handedness, one.score) == (other.handedness, other.score)


class TestOwnPrompts:
    CENTRE, RADIUS = (210.0, 140.0), 55.0

    @pytest.fixture(scope="class")
    def scene(self) -> tuple[np.ndarray, np.ndarray]:
        return disc(300, 400, self.CENTRE, self.RADIUS)

    def test_box(self, scene: tuple[np.ndarray, np.ndarray]) -> None:
        photo, mask = scene
        box = box_around(self.CENTRE, self.RADIUS)
        (hand,) = HandSegmenter(StubModel()).segment(photo, boxes=box)
        assert iou(hand.mask, mask) > 0.97
        np.testing.assert_allclose(hand.box, box, atol=1)
        assert hand.landmarks is None
        assert hand.handedness is None
        assert hand.score is None
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
        assert (hand.handedness, hand.score) == (None, None)
        (batch,) = model.batches
        assert batch.points.shape == (1, 26, 2)
        assert batch.boxes is not None
        assert batch.masks is not None
        prompts = segmenter.recipe.prompts(landmarks, 300, 400)
        region = Region.around(prompts.extent, 0.25)
        in_mask = region.to_crop(landmarks, 64)
        np.testing.assert_array_equal(batch.masks[0], draw_skeleton(in_mask, 64))

    def test_forearm_is_cut_where_landmarks_show_it(self, open_hand: np.ndarray) -> None:
        # An arm as wide as the palm, from the finger tips down to the frame.
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
            assert hand.box[3] == pytest.approx(end, abs=8)  # the palm's axis is a little oblique
        (boxed,) = segmenter.segment(photo, boxes=[120, 90, 190, 330])
        assert boxed.mask[325, 125:185].all()

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


@pytest.fixture
def make(
    open_hand: np.ndarray,
) -> Callable[[int, int], tuple[np.ndarray, list[HandLandmarks], list[np.ndarray]]]:
    def make(width: int, count: int) -> Any:
        photo, hands, masks = np.full((240, width, 3), BACKGROUND, np.uint8), [], []
        for place in range(count):
            centre = (70 + 120 * place, 130)
            radius = 24 + 2 * place + (width - 400)
            _, mask = disc(240, width, centre, radius)
            photo[mask] = SKIN
            hand = open_hand * 0.4 + [centre[0], centre[1] + 25]
            hands.append(found(hand, "left" if place % 2 else "right", 0.9 - 0.1 * place))
            masks.append(mask)
        return photo, hands, masks

    return make


class TestFoundHands:
    """Photos of width 400, 401, ...: discs under the palms that a stub landmarker reports."""

    def test_carry_their_landmarks(self, make: Any) -> None:
        photo, hands, masks = make(400, 2)
        result = HandSegmenter(StubModel(), None, StubLandmarker({400: hands})).segment(photo)
        assert len(result) == 2
        for hand, mark, mask in zip(result, hands, masks, strict=True):
            np.testing.assert_array_equal(hand.landmarks, mark.points)
            assert (hand.handedness, hand.score) == (mark.handedness, mark.score)
            assert iou(hand.mask, mask) > 0.9
        np.testing.assert_array_equal(result.image, photo)

    def test_at_most_max_hands(self, make: Any) -> None:
        photo, hands, _ = make(400, 3)
        segmenter = HandSegmenter(StubModel(), None, StubLandmarker({400: hands}))
        assert [hand.score for hand in segmenter.segment(photo, max_hands=2)] == [0.9, 0.8]
        (batch,) = segmenter.segment_batch([photo], max_hands=1)
        assert [hand.score for hand in batch] == [0.9]

    def test_more_than_the_landmarker_finds_is_refused(self, make: Any) -> None:
        photo, hands, _ = make(400, 1)
        landmarker = StubLandmarker({400: hands})
        landmarker.max_hands = 2
        segmenter = HandSegmenter(StubModel(), None, landmarker)
        assert len(segmenter.segment(photo, max_hands=2)) == 1
        with pytest.raises(ValueError, match="max_hands is 3, but the landmarker finds 2"):
            segmenter.segment(photo, max_hands=3)

    def test_hand_outside_of_the_photo_is_passed_over(self, make: Any) -> None:
        photo, hands, _ = make(400, 1)
        lost = found(hands[0].points - 5000)
        segmenter = HandSegmenter(StubModel(), None, StubLandmarker({400: [lost, *hands]}))
        assert len(segmenter.segment(photo)) == 1

    def test_no_hand_is_an_empty_result(self, make: Any) -> None:
        photo, _, _ = make(400, 0)
        model = StubModel()
        segmenter = HandSegmenter(model, None, StubLandmarker({}))
        result = segmenter.segment(photo)
        assert not result
        assert result.hands == ()
        assert not result.mask.any()
        assert [len(one) for one in segmenter.segment_batch([photo, photo])] == [0, 0]
        assert segmenter.segment_batch([]) == []
        assert model.batches == []

    def test_batch_is_what_photos_give_one_by_one(self, make: Any) -> None:
        counts = [3, 0, 2, 3, 1]
        scenes = [make(400 + index, count) for index, count in enumerate(counts)]
        marks = {400 + index: scene[1] for index, scene in enumerate(scenes)}
        segmenter = HandSegmenter(StubModel(), None, StubLandmarker(marks))
        together = segmenter.segment_batch(scene[0] for scene in scenes)
        assert [len(one) for one in together] == counts
        for result, (photo, _, masks) in zip(together, scenes, strict=True):
            np.testing.assert_array_equal(result.image, photo)
            alone = segmenter.segment(photo)
            for hand, expected, mask in zip(result, alone, masks, strict=True):
                assert_same(hand, expected)
                assert iou(hand.mask, mask) > 0.9

    def test_regions_go_through_the_model_in_chunks(self, make: Any) -> None:
        scenes = [make(400 + index, 3) for index in range(6)]
        marks = {400 + index: scene[1] for index, scene in enumerate(scenes)}
        model = StubModel()
        segmenter = HandSegmenter(model, None, StubLandmarker(marks))
        segmenter.segment_batch([scene[0] for scene in scenes])
        sizes = [len(batch) for batch in model.batches]
        assert sum(sizes) == 18
        assert max(sizes) == ENCODER_BATCH
        assert len(sizes) == -(-18 // ENCODER_BATCH)

    def test_batch_checks_max_hands(self) -> None:
        with pytest.raises(ValueError, match="max_hands"):
            HandSegmenter(StubModel()).segment_batch([], max_hands=0)

    def test_unreadable_photo_in_a_batch_is_named(self, make: Any, tmp_path: Path) -> None:
        photo, _, _ = make(400, 0)
        segmenter = HandSegmenter(StubModel(), None, StubLandmarker({}))
        with pytest.raises(ImageError, match=r"absent\.png"):
            segmenter.segment_batch([photo, tmp_path / "absent.png"])


class TestWhatBelongsToTheHand:
    """A red palm with a forearm, and a blue coin that the stub model leaves out."""

    @pytest.fixture
    def scene(self, open_hand: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        landmarks = open_hand * 0.6 + [150, 160]
        image = np.full((400, 300, 3), BACKGROUND, np.uint8)
        cv2.fillConvexPoly(image, cv2.convexHull(np.rint(landmarks).astype(np.int32)), SKIN)
        cv2.rectangle(image, (130, 140), (175, 399), SKIN, -1)
        centre = landmarks[[0, 5, 17]].mean(0)
        cv2.circle(image, np.rint(centre).astype(int).tolist(), 9, BACKGROUND, -1)
        return image, landmarks

    def test_forearm_is_taken_in_or_cut(self, scene: tuple[np.ndarray, np.ndarray]) -> None:
        image, landmarks = scene
        with HandSegmenter(StubModel()) as segmenter:  # type: ignore[arg-type]
            as_it_is, without, arm = (
                segmenter.segment(image, landmarks=landmarks, forearm=value).mask
                for value in (None, False, True)
            )
        np.testing.assert_array_equal(as_it_is, without)
        size = hand_size(landmarks)
        end = round(landmarks[0, 1] + WRIST_END * size)
        assert not without[end + 3 :].any()
        assert arm[end + 3 : round(end + 1.2 * size), 150].all()
        assert iou(arm[: end - 3], without[: end - 3]) > 0.95  # it is seen more coarsely

    def test_the_recipe_decides_where_nothing_is_said(
        self, scene: tuple[np.ndarray, np.ndarray]
    ) -> None:
        image, landmarks = scene
        recipe = PromptRecipe(forearm=1.0)
        with HandSegmenter(StubModel(), recipe) as segmenter:  # type: ignore[arg-type]
            arm, same, without = (
                segmenter.segment(image, landmarks=landmarks, forearm=value).mask
                for value in (None, True, False)
            )
        np.testing.assert_array_equal(arm, same)
        assert arm.sum() > without.sum()

    def test_what_lies_on_the_palm_is_filled_when_asked(
        self, scene: tuple[np.ndarray, np.ndarray]
    ) -> None:
        image, landmarks = scene
        x, y = np.rint(landmarks[[0, 5, 17]].mean(0)).astype(int)
        with HandSegmenter(StubModel()) as segmenter:  # type: ignore[arg-type]
            kept = segmenter.segment(image, landmarks=landmarks).mask
            filled = segmenter.segment(image, landmarks=landmarks, holes="fill").mask
        assert not kept[y, x]
        assert filled[y - 9 : y + 10, x - 9 : x + 10].all()
        assert (filled | ~kept).all()

    def test_a_batch_takes_the_same_options(self, make: Any) -> None:
        image, hands, _ = make(400, 1)
        segmenter = HandSegmenter(StubModel(), None, StubLandmarker({400: hands}))
        (one,) = segmenter.segment_batch([image], forearm=True, holes="fill")
        np.testing.assert_array_equal(
            one.mask, segmenter.segment(image, forearm=True, holes="fill").mask
        )

    def test_unknown_holes_are_named(self) -> None:
        with HandSegmenter(StubModel()) as segmenter:  # type: ignore[arg-type]
            photo = np.zeros((40, 40, 3), np.uint8)
            with pytest.raises(ValueError, match="holes must be 'keep' or 'fill', got 'all'"):
                segmenter.segment(photo, boxes=[0, 0, 9, 9], holes="all")  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="holes must be"):
                segmenter.segment_batch([photo], holes="all")  # type: ignore[arg-type]

    def test_outline_of_the_recipe_moves_the_contour(
        self, scene: tuple[np.ndarray, np.ndarray]
    ) -> None:
        image, landmarks = scene
        row = round(landmarks[0, 1]) + 5  # across the arm's straight sides
        widths = []
        for outline in (-0.05, 0.0, 0.05):
            recipe = PromptRecipe(outline=outline)
            with HandSegmenter(StubModel(), recipe) as segmenter:  # type: ignore[arg-type]
                mask = segmenter.segment(image, landmarks=landmarks, holes="fill").mask
            widths.append(mask[row].sum())
        step = 2 * 0.05 * hand_size(landmarks)
        assert np.diff(widths) == pytest.approx([step, step], abs=2)


class TestEmbed:
    """A photo that is prompted several times: as `segment`, without encoding again."""

    @pytest.fixture
    def two_hands(self, make: Any) -> tuple[HandSegmenter, np.ndarray]:
        photo, marks, _ = make(400, 2)
        return HandSegmenter(StubModel(), None, StubLandmarker({400: marks})), photo

    def test_gives_what_segment_gives(self, two_hands: tuple[HandSegmenter, np.ndarray]) -> None:
        segmenter, photo = two_hands
        embedded = segmenter.embed(photo)
        np.testing.assert_array_equal(embedded.image, photo)
        for prompts in (
            {},
            {"boxes": [[10, 20, 150, 160]]},
            {"points": [[[80, 90], [5, 5]]], "labels": [[1, 0]]},
            {"max_hands": 1},
        ):
            expected = segmenter.segment(photo, **prompts)
            for _ in range(2):
                result = embedded.segment(**prompts)
                assert len(result) == len(expected) > 0
                for one, other in zip(result, expected, strict=True):
                    assert_same(one, other)

    def test_encodes_a_region_once(self, two_hands: tuple[HandSegmenter, np.ndarray]) -> None:
        segmenter, photo = two_hands
        embedded = segmenter.embed(photo)
        first, second = embedded.segment()
        assert segmenter.model.encoded == 2
        embedded.segment(max_hands=1)
        corrected = embedded.segment(
            landmarks=[second.landmarks, first.landmarks],
            points=[[first.box[:2]], [second.box[:2]]],
            labels=[[0], [0]],
        )
        assert segmenter.model.encoded == 2
        # The other way round: each hand gets the embedding of its own region.
        for one, other in zip(corrected, (second, first), strict=True):
            np.testing.assert_array_equal(one.mask, other.mask)
        embedded.segment(points=[[photo.shape[1] / 2, photo.shape[0] / 2]])
        assert segmenter.model.encoded == 3
        embedded.segment(points=[[5, 5], [9, 9]])
        assert segmenter.model.encoded == 3

    def test_looks_for_hands_once(self, two_hands: tuple[HandSegmenter, np.ndarray]) -> None:
        segmenter, photo = two_hands
        embedded = segmenter.embed(photo)
        assert len(embedded.segment()) == 2
        segmenter.landmarker.hands.clear()
        assert len(embedded.segment()) == 2

    def test_checks_what_it_is_given(self, two_hands: tuple[HandSegmenter, np.ndarray]) -> None:
        segmenter, photo = two_hands
        with pytest.raises(ImageError, match="absent"):
            segmenter.embed("absent.jpg")
        with pytest.raises(ValueError, match="max_hands"):
            segmenter.embed(photo).segment(max_hands=0)
        with pytest.raises(ValueError, match="labels need points"):
            segmenter.embed(photo).segment(labels=[1])


class TestBatchPrompts:
    def test_pads_nothing_and_keeps_order(self, open_hand: np.ndarray) -> None:
        recipe = PromptRecipe(skeleton=True)
        prompts = [
            recipe.prompts(open_hand * scale + [x, 200], 300, 400)
            for scale, x in ((0.5, 100), (0.8, 350))
        ]
        regions = [Region.around(one.extent, 0.25) for one in prompts]
        batch = batch_prompts(prompts, regions, 128, 32)
        assert batch.boxes is not None
        assert batch.masks is not None
        assert batch.masks.shape == (2, 32, 32)
        for row, (one, region) in enumerate(zip(prompts, regions, strict=True)):
            np.testing.assert_array_equal(batch.points[row], region.to_crop(one.points, 128))
            np.testing.assert_array_equal(batch.labels[row], one.labels)
            corners = region.to_crop(one.extent.reshape(2, 2), 128)
            np.testing.assert_array_equal(batch.boxes[row], corners.ravel())
        assert (batch.labels == IGNORED).any()
        assert (batch.labels == POSITIVE).any()

    def test_without_box_and_skeleton(self, open_hand: np.ndarray) -> None:
        prompts = PromptRecipe(box=False).prompts(open_hand + 200, 300, 400)
        batch = batch_prompts([prompts], [Region(0, 0, 300)], 64, 16)
        assert batch.boxes is None
        assert batch.masks is None


class TestRealFamilies:
    """Tiny random models: nothing to see, but every shape and path is the real one."""

    @pytest.fixture(scope="class")
    def photo(self) -> np.ndarray:
        noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
        return cv2.resize(noise, (160, 120), interpolation=cv2.INTER_CUBIC)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_every_kind_of_prompt(
        self, family: str, photo: np.ndarray, open_hand: np.ndarray
    ) -> None:
        segmenter = HandSegmenter(TransformersMaskModel(tiny_model(family)))
        landmarks = open_hand * 0.3 + [80, 80]
        cases: list[tuple[int, dict[str, Any]]] = [
            (2, {"boxes": [[20, 20, 90, 100], [50, 10, 150, 110]]}),
            (1, {"points": [[50, 50], [100, 100]], "labels": [1, 0]}),
            (1, {"boxes": [20, 20, 90, 100], "points": [[50, 50]]}),
            (1, {"landmarks": landmarks}),
            (1, {"landmarks": landmarks, "points": [[5, 5]], "labels": [0]}),
        ]
        for count, prompts in cases:
            result = segmenter.segment(photo, **prompts)
            assert len(result) == count
            for hand in result:
                assert hand.alpha.shape == (120, 160)
                assert np.isfinite(hand.predicted_iou)

    @pytest.mark.parametrize("options", [{"box": False}, {"skeleton": True}, {"positives": ()}])
    @pytest.mark.parametrize("family", FAMILIES)
    def test_every_kind_of_recipe(
        self, family: str, options: dict[str, Any], photo: np.ndarray, open_hand: np.ndarray
    ) -> None:
        model = TransformersMaskModel(tiny_model(family))
        segmenter = HandSegmenter(model, PromptRecipe(**options))
        (hand,) = segmenter.segment(photo, landmarks=open_hand * 0.3 + [80, 80])
        (default,) = HandSegmenter(model).segment(photo, landmarks=open_hand * 0.3 + [80, 80])
        assert hand.alpha.shape == (120, 160)
        assert hand.predicted_iou != default.predicted_iou

    def test_batch_is_what_photos_give_one_by_one(
        self, photo: np.ndarray, open_hand: np.ndarray
    ) -> None:
        photos = [photo, photo[::-1, :150], photo[:, :140]]
        marks = {
            shot.shape[1]: [
                found(open_hand * (0.2 + 0.04 * index) + [50 + 8 * index, 70]) for index in range(3)
            ]
            for shot in photos
        }
        # Hands that the frame cuts have fewer points than others.
        marks[150][1] = found(open_hand * 0.3 + [140, 30])
        model = TransformersMaskModel(tiny_model("edgetam"))
        segmenter = HandSegmenter(model, None, StubLandmarker(marks))
        together = segmenter.segment_batch(photos)
        for shot, result in zip(photos, together, strict=True):
            for hand, expected in zip(result, segmenter.segment(shot), strict=True):
                assert_same(hand, expected, tolerance=1)


class TestFromPretrained:
    MODEL = PromptRecipe(positives=("palm",))
    ADAPTER = PromptRecipe(positives=("tips",))
    ARGUMENT = PromptRecipe(positives=("joints",))

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        save_tiny_model("edgetam", tmp_path / "model")
        return tmp_path / "model"

    @pytest.fixture
    def adapter(self, tmp_path: Path) -> Path:
        import peft

        decoder = tiny_model("edgetam").mask_decoder
        config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"])
        peft.get_peft_model(decoder, config).save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter"

    def load(self, name: Any, adapter: Any = None, **options: Any) -> HandSegmenter:
        return HandSegmenter.from_pretrained(name, adapter, "cpu", **options)

    def test_save_and_load(self, model: Path, tmp_path: Path, open_hand: np.ndarray) -> None:
        recipe = PromptRecipe(box_reach=0.3, negatives=("wrist",), region_margin=0.4)
        first = self.load(model, recipe=recipe)
        first.save_pretrained(tmp_path / "new" / "folder")
        second = self.load(tmp_path / "new" / "folder")
        assert second.recipe == recipe
        photo = np.random.default_rng(1).integers(0, 256, (120, 160, 3), np.uint8)
        landmarks = open_hand * 0.3 + [80, 80]
        (one,) = first.segment(photo, landmarks=landmarks)
        (other,) = second.segment(photo, landmarks=landmarks)
        assert_same(one, other)

    def test_merged_adapter_is_saved(self, model: Path, adapter: Path, tmp_path: Path) -> None:
        self.ADAPTER.save(adapter)
        self.load(model, adapter).save_pretrained(tmp_path / "merged")
        assert self.load(tmp_path / "merged").recipe == self.ADAPTER

    def test_recipe_default(self, model: Path, adapter: Path) -> None:
        assert self.load(model).recipe == PromptRecipe()
        assert self.load(model, adapter).recipe == PromptRecipe()

    def test_recipe_of_the_model(self, model: Path, adapter: Path) -> None:
        self.MODEL.save(model)
        assert self.load(model).recipe == self.MODEL
        assert self.load(str(model), str(adapter)).recipe == self.MODEL

    def test_recipe_of_the_adapter_comes_first(self, model: Path, adapter: Path) -> None:
        self.MODEL.save(model)
        self.ADAPTER.save(adapter)
        assert self.load(model, adapter).recipe == self.ADAPTER

    @pytest.mark.parametrize("with_own", [True, False])
    def test_recipe_where_the_adapter_names_its_base(
        self, with_own: bool, model: Path, adapter: Path
    ) -> None:
        name_base(adapter, str(model))
        self.MODEL.save(model)
        if with_own:
            self.ADAPTER.save(adapter)
        assert self.load(adapter).recipe == (self.ADAPTER if with_own else self.MODEL)

    def test_adapter_of_the_carried_model(
        self, model: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.MODEL.save(model)
        name_base(adapter, "handseg-lite")
        monkeypatch.setattr(carried, "LITE_FOLDER", model)
        assert self.load(adapter).recipe == self.MODEL

    def test_adapter_on_an_adapter(self, adapter: Path) -> None:
        with pytest.raises(ModelError, match="is an adapter itself"):
            self.load(adapter, adapter)

    def test_recipe_argument_comes_first(self, model: Path, adapter: Path, tmp_path: Path) -> None:
        self.MODEL.save(model)
        self.ADAPTER.save(adapter)
        self.ARGUMENT.save(tmp_path)
        file = tmp_path / "mine.yaml"
        file.write_text("positives: [joints]\n")
        for argument in (self.ARGUMENT, tmp_path, str(file)):
            assert self.load(model, adapter, recipe=argument).recipe == self.ARGUMENT

    def test_missing_recipe_is_named(self, model: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"absent\.yaml"):
            self.load(model, recipe=tmp_path / "absent.yaml")

    def test_broken_recipe_beside_the_model_is_named(self, model: Path) -> None:
        (model / "prompt_recipe.json").write_text("{")
        with pytest.raises(ValueError, match=r"prompt_recipe\.json"):
            self.load(model)

    def test_missing_model(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="absent"):
            self.load(tmp_path / "absent")

    def test_dtype_reaches_the_model(self, model: Path) -> None:
        segmenter = self.load(model, dtype="bfloat16")
        (hand,) = segmenter.segment(np.zeros((50, 60, 3), np.uint8), boxes=[5, 5, 40, 40])
        assert np.isfinite(hand.predicted_iou)
        assert isinstance(segmenter.model, TransformersMaskModel)
        assert segmenter.model.model.dtype == torch.bfloat16


class TestClosing:
    def test_with_block_closes_its_own_landmarker(self) -> None:
        landmarker = StubLandmarker({})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("handseg.predictor.HandLandmarker", lambda: landmarker)
            with HandSegmenter(StubModel()) as segmenter:
                assert segmenter.landmarker is landmarker
                assert landmarker.closed == 0
            assert landmarker.closed == 1
            segmenter.close()
            assert landmarker.closed == 1
            nothing = np.zeros((1, 1, 3), np.uint8)
            with pytest.raises(ZeroDivisionError), HandSegmenter(StubModel()) as segmenter:
                1 / len(segmenter.segment(nothing))
            assert landmarker.closed == 2

    def test_leaves_the_callers_landmarker_open(self) -> None:
        landmarker = StubLandmarker({})
        with HandSegmenter(StubModel(), None, landmarker) as segmenter:
            assert segmenter.landmarker is landmarker
        assert landmarker.closed == 0
        assert segmenter.landmarker is landmarker

    def test_opens_again_when_used_again(self, photos: dict[str, np.ndarray]) -> None:
        photo = photos["2_pic00174"]
        segmenter = HandSegmenter(StubModel())
        with segmenter:
            (first,) = segmenter.segment(photo)
            once = segmenter.landmarker
        with segmenter:
            (second,) = segmenter.segment(photo)
            assert segmenter.landmarker is not once
        assert_same(first, second)

    def test_own_prompts_need_no_landmarker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(self: HandSegmenter) -> None:
            raise AssertionError("the landmarker was asked for")

        monkeypatch.setattr(HandSegmenter, "landmarker", property(fail))
        photo, _ = disc(100, 100, (50, 50), 20)
        assert len(HandSegmenter(StubModel()).segment(photo, boxes=[30, 30, 70, 70])) == 1


class TestModule:
    def test_import_takes_nothing_heavy(self) -> None:
        code = (
            "import sys, handseg; dir(handseg); "
            "heavy = {'torch', 'transformers', 'mediapipe', 'cv2', 'numpy', 'PIL', 'peft'}; "
            "print(sorted(heavy & set(sys.modules)))"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == "[]"

    def test_every_name_is_there(self) -> None:
        for name in handseg.__all__:
            assert getattr(handseg, name) is not None
            assert name in dir(handseg)
        assert handseg.HandSegmenter is HandSegmenter

    def test_unknown_name(self) -> None:
        with pytest.raises(AttributeError, match="module 'handseg' has no attribute 'segmnt'"):
            _ = handseg.segmnt

    def test_segment_makes_one_segmenter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[HandSegmenter] = []
        registered: list[Callable[[], None]] = []

        def from_pretrained() -> HandSegmenter:
            made.append(HandSegmenter(StubModel()))
            return made[-1]

        monkeypatch.setattr(api.HandSegmenter, "from_pretrained", from_pretrained)
        monkeypatch.setattr(api.atexit, "register", registered.append)
        api.default_segmenter.cache_clear()
        try:
            photo, mask = disc(200, 200, (90, 110), 40)
            for _ in range(2):
                (hand,) = handseg.segment(photo, boxes=[50, 70, 130, 150])
                assert iou(hand.mask, mask) > 0.95
            assert len(made) == 1
            assert registered == [made[0].close]
            with pytest.raises(ValueError, match="boxes"):
                handseg.segment(photo, boxes=[1])
        finally:
            api.default_segmenter.cache_clear()

    def test_lite_is_the_carried_model(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save_tiny_model("edgetam", tmp_path)
        PromptRecipe(box_reach=0.4).save(tmp_path)
        monkeypatch.setattr(carried, "LITE_FOLDER", tmp_path)
        assert HandSegmenter.from_pretrained(device="cpu").recipe.box_reach == 0.4
        named = HandSegmenter.from_pretrained("handseg-lite", device="cpu")
        assert named.recipe.box_reach == 0.4


def test_an_adapter_on_the_hub_brings_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    from handseg.finetune.adapter import save_adapter
    from handseg.finetune.lora import LoraSettings, add_lora

    base = HandSegmenter.from_pretrained(device="cpu", backend="torch")
    recipe = PromptRecipe(forearm=3.0)
    model = add_lora(base.model.model, LoraSettings(rank=1))  # type: ignore[attr-defined]
    save_adapter(model, tmp_path / "hub", base="handseg-lite", recipe=recipe, card="")
    asked: list[str] = []

    def snapshot_download(name: str, **options: Any) -> str:
        asked.append(name)
        if name == "no/such":
            raise OSError("404")
        return str(tmp_path / "hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    tuned = HandSegmenter.from_pretrained(adapter="someone/forearm", device="cpu")
    assert asked == ["someone/forearm"]
    assert tuned.recipe == recipe
    with pytest.raises(ModelError, match=r"no/such: not a PEFT adapter"):
        HandSegmenter.from_pretrained(adapter="no/such", device="cpu")
