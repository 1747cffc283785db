from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from made_hands import LANDMARKS, SOFT, make_disc, make_hand, make_photo, rgba
from pycocotools import mask as coco_mask

from handseg.results import Hand, HandSegmentation


class TestSegmentation:
    def test_is_a_collection_of_hands(self, two_hands: HandSegmentation) -> None:
        assert len(two_hands) == 2
        assert tuple(two_hands) == two_hands.hands
        assert HandSegmentation(two_hands.image, list(two_hands)).hands == two_hands.hands  # type: ignore[arg-type]

    def test_is_indexed_like_its_hands(self, two_hands: HandSegmentation) -> None:
        one, other = two_hands.hands
        assert two_hands[0] is one
        assert two_hands[-1] is two_hands[np.int64(1)] is other
        assert two_hands[1:] == (other,)
        assert two_hands[::-1] == tuple(reversed(two_hands)) == (other, one)
        assert one in two_hands
        with pytest.raises(IndexError):
            two_hands[2]
        with pytest.raises(IndexError):
            HandSegmentation(two_hands.image)[0]

    def test_joins_hands_by_their_largest_alpha(self, two_hands: HandSegmentation) -> None:
        one, other = two_hands.hands
        assert (one.mask & other.mask).sum() == 0
        assert two_hands.alpha.dtype == np.float32
        np.testing.assert_array_equal(two_hands.alpha, np.maximum(one.alpha, other.alpha))
        assert two_hands.mask.dtype == bool
        np.testing.assert_array_equal(two_hands.mask, one.mask | other.mask)

    def test_says_what_it_holds_in_a_line(self, two_hands: HandSegmentation) -> None:
        assert str(two_hands) == "2 hands, 8 x 6: left 0.75, hand"
        assert repr(two_hands) == "<HandSegmentation: 2 hands, 8 x 6: left 0.75, hand>"
        right = make_hand(SOFT, handedness="right", handedness_score=0.955)
        assert str(HandSegmentation(make_photo(), [right])) == "1 hand, 8 x 6: right 0.95"  # type: ignore[arg-type]
        assert str(HandSegmentation(make_photo())) == "0 hands, 8 x 6"

    def test_rejects_what_is_no_photo_or_of_another(self) -> None:
        for image in (np.zeros((6, 8), np.uint8), np.zeros((6, 8, 3), np.float32)):
            with pytest.raises(ValueError, match=r"image must be .* uint8 RGB, got"):
                HandSegmentation(image)
        with pytest.raises(ValueError, match=r"hands\[1\] must be .*\(6, 8\), got \(8, 6\)"):
            HandSegmentation(make_photo(), (make_hand(SOFT), make_hand(SOFT, shape=(8, 6))))


class TestOutlineSvg:
    def test_lies_on_the_photo_with_its_holes_open(self) -> None:
        ring = np.maximum(make_disc(120, (60, 50), 40) - make_disc(120, (60, 50), 15), 0)
        small = make_disc(120, (20, 100), 12)
        made = HandSegmentation(
            make_photo((120, 120)), tuple(make_hand(one, shape=(120, 120)) for one in (ring, small))
        )
        root = ElementTree.fromstring(made.outline_svg())
        assert (root.get("width"), root.get("height")) == ("120", "120")
        assert root.get("viewBox") == "0 0 120 120"
        assert root.get("fill-rule") == "evenodd"
        paths = [path.get("d", "") for path in root]
        assert [path.count("M") for path in paths] == [2, 1]
        for path, hand in zip(paths, made, strict=True):
            loops = [
                np.array([pair.split(",") for pair in loop[:-1].split(" ")], np.float64)
                for loop in path.split("M")[1:]
            ]
            for loop, polygon in zip(loops, hand.contours(), strict=True):
                np.testing.assert_allclose(loop, polygon + 0.5, atol=0.006)
            # Painted 16 times as large, pixel centres are where SVG has them.
            canvas = np.zeros((120 * 16, 120 * 16), np.uint8)
            cv2.fillPoly(canvas, [np.rint(loop * 16).astype(np.int32) for loop in loops], 1)
            painted = canvas[8::16, 8::16] > 0
            assert np.count_nonzero(painted != hand.mask) <= 0.01 * hand.area

    def test_without_hands_is_an_empty_picture(self) -> None:
        root = ElementTree.fromstring(HandSegmentation(make_photo()).outline_svg())
        assert root.get("viewBox") == "0 0 8 6"
        assert not list(root)


class TestCoco:
    def test_round_trip(self, two_hands: HandSegmentation) -> None:
        entry = json.loads(json.dumps(two_hands.to_coco(7, 30, file_name="a.jpg")))
        assert entry["image"] == {"id": 7, "width": 8, "height": 6, "file_name": "a.jpg"}
        assert [note["id"] for note in entry["annotations"]] == [30, 31]
        for note, hand in zip(entry["annotations"], two_hands, strict=True):
            assert (note["image_id"], note["category_id"], note["iscrowd"]) == (7, 1, 0)
            np.testing.assert_array_equal(coco_mask.decode(note["segmentation"]), hand.mask)
            assert note["area"] == hand.area
            assert note["score"] == hand.predicted_iou
        assert [note["bbox"] for note in entry["annotations"]] == [[2, 2, 3, 1], [0, 3, 3, 2]]

    def test_says_which_keypoints_lie_in_the_photo(self, two_hands: HandSegmentation) -> None:
        first, second = two_hands.to_coco()["annotations"]
        keypoints = np.reshape(first["keypoints"], (21, 3))
        np.testing.assert_allclose(keypoints[:, :2], LANDMARKS, atol=0.006)
        inside = (LANDMARKS[:, 0] >= -0.5) & (LANDMARKS[:, 0] < 7.5)
        np.testing.assert_array_equal(keypoints[:, 2], np.where(inside, 2, 1))
        assert first["num_keypoints"] == 21
        assert (second["keypoints"], second["num_keypoints"]) == ([0] * 63, 0)

    def test_what_is_held_follows_the_hands(self) -> None:
        held = np.full((2, 3), 255, np.uint8)
        hands = [
            dataclasses.replace(make_hand(SOFT, (2, 1)), object_patch=patch, object_offset=(4, 3))
            for patch in (np.zeros((0, 0), np.uint8), held)
        ]
        left = dataclasses.replace(hands[1], handedness="left", handedness_score=0.75)
        entry = HandSegmentation(make_photo(), (hands[0], left)).to_coco(3, first_annotation_id=10)
        entry = json.loads(json.dumps(entry))
        assert [(note["id"], note["category_id"]) for note in entry["annotations"]] == [
            (10, 1), (11, 1), (12, 2),
        ]  # fmt: skip
        assert entry["annotations"][1]["handedness"] == "left"
        assert entry["annotations"][1]["handedness_score"] == 0.75
        note = entry["annotations"][2]
        assert (note["held_by"], note["image_id"], note["area"]) == (11, 3, 6)
        assert note["bbox"] == [4, 3, 3, 2]
        assert "keypoints" not in note
        np.testing.assert_array_equal(coco_mask.decode(note["segmentation"]), left.object_mask)

    def test_file_name_is_left_out_when_there_is_none(self, two_hands: HandSegmentation) -> None:
        assert "file_name" not in two_hands.to_coco()["image"]


class TestSupervision:
    def test_round_trip(self, two_hands: HandSegmentation) -> None:
        sv = pytest.importorskip("supervision")
        detections = two_hands.to_supervision()
        assert len(detections) == 2
        np.testing.assert_array_equal(detections.xyxy, sv.mask_to_xyxy(detections.mask))
        np.testing.assert_array_equal(detections.mask, [hand.mask for hand in two_hands])
        np.testing.assert_allclose(detections.confidence, [0.9, 0.5])
        np.testing.assert_array_equal(detections.class_id, [0, 0])
        assert detections[detections.data["handedness"] == "left"].xyxy.tolist() == [[2, 2, 4, 2]]

    def test_says_what_to_install(
        self, two_hands: HandSegmentation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "supervision", None)
        with pytest.raises(ImportError, match="pip install supervision"):
            two_hands.to_supervision()


def test_to_dict_survives_json(two_hands: HandSegmentation) -> None:
    summary = json.loads(json.dumps(two_hands.to_dict()))
    assert (summary["width"], summary["height"]) == (8, 6)
    first, second = summary["hands"]
    landmarks = first.pop("landmarks")
    np.testing.assert_allclose(landmarks, LANDMARKS, atol=0.006)
    assert first == {
        "box": [2, 2, 4, 2], "handedness": "left", "handedness_score": 0.75, "predicted_iou": 0.9,
        "detection_score": None, "area": 3
    }  # fmt: skip
    assert (second["landmarks"], second["handedness"], second["handedness_score"]) == (
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    "hands",
    [(), (make_hand(np.zeros((3, 3), bool)),)],
    ids=["no hand", "a hand with an empty mask"],
)
def test_nothing_segmented_is_a_result_like_any_other(
    hands: tuple[Hand, ...], tmp_path: Path
) -> None:
    result = HandSegmentation(make_photo(), hands)
    assert bool(result) == bool(hands)
    assert not result.mask.any()
    assert not result.alpha.any()
    assert result.mask.shape == result.alpha.shape == (6, 8)
    for crop in (False, True):
        picture = rgba(result, crop=crop)
        assert picture.shape == (6, 8, 4)
        assert not picture.any()
    assert (np.asarray(result.composite("white")) == 255).all()
    assert result.overlay().size == (8, 6)
    assert result.contours() == [[] for _ in hands]
    annotations = result.to_coco()["annotations"]
    assert [note["area"] for note in annotations] == [0 for _ in hands]
    json.dumps(annotations)
    assert len(result.to_dict()["hands"]) == len(hands)
    result.save(tmp_path / "empty.png")
    assert (tmp_path / "empty.png").exists()
    pytest.importorskip("supervision")
    assert len(result.to_supervision()) == len(hands)
