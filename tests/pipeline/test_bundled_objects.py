"""The bundled object adapter, end to end: real photos with cards inserted into the hands."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from handseg.cli import app
from handseg.errors import ModelError
from handseg.evaluation.metrics import compare_masks
from handseg.io.images import load_image
from handseg.landmarks.anatomy import grip, hand_size
from handseg.models.bundled import LITE_OBJECT_FOLDER
from handseg.prompts import PromptRecipe
from handseg.segmenter import HandSegmenter

STEMS = ("2_pic00174", "2_pic00212", "35_pic00033", "3_pic00043")


def with_card(
    segmenter: HandSegmenter, photo: np.ndarray, hand: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Put a red card into the photo, held behind the hand; return it and the visible card."""
    (landmarks,) = (found.points for found in segmenter.landmarker.detect(photo)[:1])
    size = hand_size(landmarks)
    corners = cv2.boxPoints((grip(landmarks).mean(0).tolist(), (1.3 * size, 0.8 * size), 30.0))
    card = np.zeros(hand.shape, np.uint8)
    cv2.fillPoly(card, [corners.astype(np.int32)], 1)
    held = (card > 0) & ~hand
    image = photo.copy()
    image[held] = (200, 40, 40)
    return image, held


_HALF = pytest.mark.xfail(
    strict=True,
    reason="IoU 0.51 since handseg-lite 1.1: the card's parts between the fingers are left out",
)


@pytest.mark.slow
@pytest.mark.parametrize("stem", [STEMS[0], pytest.param(STEMS[1], marks=_HALF), *STEMS[2:]])
def test_a_card_in_a_real_hand(
    stem: str,
    segmenter: HandSegmenter,
    photos: dict[str, np.ndarray],
    photo_masks: dict[str, np.ndarray],
) -> None:
    image, held = with_card(segmenter, photos[stem], photo_masks[stem])
    result = segmenter.segment(image, objects=True)
    (hand,) = result.hands
    assert hand.object_mask is not None
    assert not (hand.object_mask & hand.mask).any()
    assert compare_masks(hand.object_mask, held).iou > 0.55
    assert compare_masks(hand.mask, photo_masks[stem]).iou > 0.9


_FALSE = pytest.mark.xfail(
    strict=True,
    reason="a false object of some 190 px, as on 28 % of real empty hands (see the card)",
)


@pytest.mark.slow
@pytest.mark.parametrize("stem", [pytest.param(STEMS[0], marks=_FALSE), *STEMS[1:3]])
def test_an_empty_hand_holds_nothing(
    stem: str, segmenter: HandSegmenter, photos: dict[str, np.ndarray]
) -> None:
    plain, asked = (segmenter.segment(photos[stem], objects=on) for on in (False, True))
    assert asked.object_mask is not None
    assert not asked.object_mask.any()
    np.testing.assert_array_equal(plain.alpha, asked.alpha)


@pytest.mark.slow
def test_command(
    segmenter: HandSegmenter,
    photos: dict[str, np.ndarray],
    photo_masks: dict[str, np.ndarray],
    tmp_path,
) -> None:
    image, held = with_card(segmenter, photos[STEMS[0]], photo_masks[STEMS[0]])
    file = tmp_path / "card.png"
    cv2.imwrite(str(file), image[..., ::-1])
    result = CliRunner().invoke(
        app, ["segment", str(file), "--objects", "-o", str(tmp_path / "out"), "--device", "cpu"]
    )
    assert result.exit_code == 0, result.output
    written = load_image(tmp_path / "out" / "card_object.png")[..., 0] > 127
    assert compare_masks(written, held).iou > 0.55


def test_is_small_and_has_a_card() -> None:
    assert (LITE_OBJECT_FOLDER / "adapter_model.safetensors").stat().st_size < 4e6
    card = (LITE_OBJECT_FOLDER / "README.md").read_text(encoding="utf-8")
    assert "license: cc-by-sa-4.0" in card


def test_adapters_for_hands_and_for_objects_are_not_mixed_up(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"handseg-lite-object is for held objects"):
        HandSegmenter.from_pretrained(adapter=LITE_OBJECT_FOLDER, device="cpu")
    with pytest.raises(ModelError, match=r"handseg-lite-object is for held objects"):
        HandSegmenter.from_pretrained(LITE_OBJECT_FOLDER, device="cpu")
    shutil.copytree(LITE_OBJECT_FOLDER, tmp_path / "hands")
    PromptRecipe().save(tmp_path / "hands")
    with (
        HandSegmenter.from_pretrained(object_adapter=tmp_path / "hands", device="cpu") as segmenter,
        pytest.raises(ModelError, match=r"object_adapter: .*hands is for hands"),
    ):
        segmenter.check_objects()
