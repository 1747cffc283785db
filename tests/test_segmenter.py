from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from red_hands import draw_photo, red_segmenter
from red_network import red_labeller
from stub_stages import BACKGROUND, SKIN, StubLandmarker, StubModel, assert_same, disc, found, iou

from handseg.errors import ImageError
from handseg.landmarks import HandLandmarks
from handseg.landmarks.anatomy import WRIST_END, hand_size
from handseg.pipeline.predict import ENCODER_BATCH
from handseg.pipeline.semantic import SemanticSegmenter
from handseg.prompts import PromptRecipe
from handseg.segmenter import HandSegmenter


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
            assert (hand.handedness, hand.handedness_score) == (mark.handedness, mark.score)
            assert iou(hand.mask, mask) > 0.9
        np.testing.assert_array_equal(result.image, photo)

    def test_results_may_be_changed(self, make: Any) -> None:
        photo, hands, _ = make(400, 1)
        embedded = HandSegmenter(StubModel(), None, StubLandmarker({400: hands})).embed(photo)
        (first,) = embedded.segment()
        assert first.landmarks is not None
        before = first.landmarks.copy()
        first.landmarks[:] = 0
        (second,) = embedded.segment()
        np.testing.assert_array_equal(second.landmarks, before)

    def test_at_most_max_hands(self, make: Any) -> None:
        photo, hands, _ = make(400, 3)
        segmenter = HandSegmenter(StubModel(), None, StubLandmarker({400: hands}))
        assert [hand.handedness_score for hand in segmenter.segment(photo, max_hands=2)] == [
            0.9,
            0.8,
        ]
        (batch,) = segmenter.segment_batch([photo], max_hands=1)
        assert [hand.handedness_score for hand in batch] == [0.9]

    def test_more_than_the_landmarker_finds_is_refused(self, make: Any) -> None:
        photo, hands, _ = make(400, 1)
        landmarker = StubLandmarker({400: hands})
        landmarker.max_hands = 2
        segmenter = HandSegmenter(StubModel(), None, landmarker)
        assert len(segmenter.segment(photo, max_hands=2)) == 1
        with pytest.raises(
            ValueError, match="max_hands must be at most 2 for this landmarker, got 3"
        ):
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

    @pytest.mark.parametrize(
        ("images", "named"),
        [
            ("hand.jpg", "'hand.jpg'"),
            (Path("hand.jpg"), "hand"),
            (b"\xff\xd8", "bytes"),
            (np.zeros((40, 30, 3), np.uint8), r"one of shape \(40, 30, 3\)"),
        ],
    )
    def test_a_batch_is_more_than_one_image(self, images: Any, named: str) -> None:
        with pytest.raises(TypeError, match=f"images must be several images.*{named}.*use segment"):
            HandSegmenter(StubModel()).segment_batch(images)

    def test_a_model_is_not_taken_by_its_name(self) -> None:
        with pytest.raises(TypeError, match=r"use from_pretrained\('facebook/sam-vit-base'\)"):
            HandSegmenter("facebook/sam-vit-base")  # type: ignore[arg-type]

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
        assert iou(arm[: end - 3], without[: end - 3]) > 0.95  # at a coarser resolution

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
    """A photo prompted several times: like `segment`, but encoded once."""

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
        # In reverse order, each hand still gets the embedding of its own region.
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


class TestClosing:
    def test_with_block_closes_its_own_landmarker(self) -> None:
        landmarker = StubLandmarker({})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("handseg.segmenter.HandLandmarker", lambda finder: landmarker)
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


class TestResolution:
    """The photo's resolution (dpi) from its file."""

    def test_is_that_of_the_upright_file(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        path = tmp_path / "photo.jpg"
        pixels, _ = draw_photo((80, 60, 40, 25))
        for size in ((160, 120), (5200, 3900)):  # The latter is searched while being decoded.
            photo = Image.fromarray(pixels).resize(size)
            photo.save(path, dpi=(300, 150), exif=exif)
            for source in (path, path.read_bytes(), Image.open(path)):
                assert red_segmenter().segment(source).dpi == (150, 300)
            (batched,) = red_segmenter().segment_batch([path])
            assert batched.dpi == (150, 300)
        with SemanticSegmenter(red_labeller()) as segmenter:
            assert segmenter.segment(path).dpi == (150, 300)

    def test_is_none_where_none_is_told(self) -> None:
        assert red_segmenter().segment(draw_photo((80, 60, 40, 25))[0]).dpi is None
