"""The bundled weights on the licensed photos."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from handseg.segmenter import HandSegmenter

STEMS = ("2_pic00174", "2_pic00212", "35_pic00033", "3_pic00043")


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("stem", STEMS)
def test_finds_the_hand(
    stem: str,
    segmenter: HandSegmenter,
    photos: dict[str, np.ndarray],
    photo_masks: dict[str, np.ndarray],
) -> None:
    result = segmenter.segment(photos[stem])
    (hand,) = result
    assert iou(result.mask, photo_masks[stem]) > 0.9
    assert hand.landmarks is not None
    assert hand.handedness == ("left" if stem == "35_pic00033" else "right")
    assert 0.5 < hand.predicted_iou <= 1.05


@pytest.mark.parametrize("stem", STEMS[:3])  # the fourth is hard to find as it is
def test_finds_a_turned_hand(
    stem: str,
    segmenter: HandSegmenter,
    photos: dict[str, np.ndarray],
    photo_masks: dict[str, np.ndarray],
) -> None:
    for quarters in (1, 2, 3):
        result = segmenter.segment(np.rot90(photos[stem], quarters))
        assert iou(result.mask, np.rot90(photo_masks[stem], quarters)) > 0.85


def test_of_paths_in_a_batch(
    segmenter: HandSegmenter, photo_folder: Path, photo_masks: dict[str, np.ndarray]
) -> None:
    paths = [photo_folder / "images" / f"{stem}.jpg" for stem in STEMS]
    for stem, result in zip(STEMS, segmenter.segment_batch(paths), strict=True):
        assert iou(result.mask, photo_masks[stem]) > 0.9


def test_a_box_of_your_own(
    segmenter: HandSegmenter,
    photos: dict[str, np.ndarray],
    photo_masks: dict[str, np.ndarray],
) -> None:
    for stem in STEMS:
        rows, columns = (np.flatnonzero(photo_masks[stem].any(axis)) for axis in (1, 0))
        box = [columns[0], rows[0], columns[-1], rows[-1]]
        (hand,) = segmenter.segment(photos[stem], boxes=box)
        assert iou(hand.mask, photo_masks[stem]) > 0.85


def test_cutout_is_transparent_outside(
    segmenter: HandSegmenter,
    photos: dict[str, np.ndarray],
    photo_masks: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    stem, file = "35_pic00033", tmp_path / "hand.png"
    result = segmenter.segment(photos[stem])
    result.cutout().save(file)
    picture = Image.open(file)
    assert picture.mode == "RGBA"
    pixels, mask = np.asarray(picture), photo_masks[stem].astype(np.uint8)
    assert not pixels[cv2.dilate(mask, np.ones((81, 81))) == 0].any()
    # The hand points up; the end of the wrist is a convention.
    (hand,) = result
    assert hand.landmarks is not None
    core = cv2.erode(mask, np.ones((15, 15))) > 0
    core[int(hand.landmarks[0, 1]) :] = False
    assert (pixels[core, 3] == 255).all()
    np.testing.assert_array_equal(pixels[core, :3], photos[stem][core])


def test_no_hand(segmenter: HandSegmenter, no_hand: np.ndarray) -> None:
    result = segmenter.segment(no_hand)
    assert len(result) == 0
    assert not result.mask.any()
    assert np.asarray(result.cutout()).max() == 0


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_masks_on_a_gpu(
    dtype: str | None, segmenter: HandSegmenter, photos: dict[str, np.ndarray]
) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    with HandSegmenter.from_pretrained(device="cuda", dtype=dtype) as on_gpu:
        for found, photo in zip(
            on_gpu.segment_batch(photos.values()), photos.values(), strict=True
        ):
            assert iou(found.mask, segmenter.segment(photo).mask) > 0.98
