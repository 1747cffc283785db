from __future__ import annotations

import cv2
import numpy as np
import pytest

from handseg.data.schema import Labels
from handseg.landmarks import HandLandmarker
from handseg.prepare.checks import check_labels
from handseg.prepare.thresholds import Thresholds

SCENE = "2_pic00174"
LIMITS = Thresholds()


@pytest.fixture
def image(photos: dict[str, np.ndarray]) -> np.ndarray:
    return photos[SCENE]


@pytest.fixture
def mask(photo_masks: dict[str, np.ndarray]) -> np.ndarray:
    return photo_masks[SCENE].copy()


def kinds(texts: list[str]) -> list[str]:
    return [text.partition(":")[0] for text in texts]


def test_good_pairs_pass_untouched(
    photos: dict[str, np.ndarray], photo_masks: dict[str, np.ndarray], landmarker: HandLandmarker
) -> None:
    for stem, photo in photos.items():
        verdict = check_labels(photo, Labels(photo_masks[stem]), LIMITS, landmarker)
        assert not verdict.faults
        assert not verdict.repairs
        assert verdict.mask is photo_masks[stem]
        assert verdict.measured["landmarks_on_mask"] > 0.8
        assert verdict.measured["filled"] > 0.75
        assert verdict.measured["surplus"] < 0.6


def test_a_bare_forearm_and_elbow_are_no_fault(
    image: np.ndarray, mask: np.ndarray, landmarker: HandLandmarker
) -> None:
    whole = mask.astype(np.uint8)
    arm = np.array([(372, 262), (415, 252), (450, 330), (470, 360), (420, 372), (385, 320)])
    cv2.fillPoly(whole, [arm], 1)
    verdict = check_labels(image, Labels(whole > 0), LIMITS, landmarker)
    assert not verdict.faults


def test_the_arms_of_one_hand_are_not_taken_for_the_other(
    image: np.ndarray, mask: np.ndarray, landmarker: HandLandmarker
) -> None:
    """Two hands that point at each other."""
    whole = mask.astype(np.uint8)
    arm = np.array([(372, 262), (415, 252), (450, 330), (470, 360), (420, 372), (385, 320)])
    cv2.fillPoly(whole, [arm], 1)
    both = np.concatenate([np.rot90(image, 2), image])
    masks = np.concatenate([np.rot90(whole, 2), whole]) > 0
    assert len(landmarker.detect(both)) == 2
    verdict = check_labels(both, Labels(masks), LIMITS, landmarker)
    assert not verdict.faults
    assert verdict.measured["surplus"] < 0.6


def test_specks_and_pinholes_are_mended(image: np.ndarray, mask: np.ndarray) -> None:
    before = mask.copy()
    mask[50:54, 50:54] = True
    mask[180:182, 350:353] = False
    verdict = check_labels(image, Labels(mask), LIMITS, None)
    np.testing.assert_array_equal(verdict.mask, before)
    assert verdict.repairs == ["specks dropped: 1, 16 px", "pinholes filled: 1, 6 px"]
    assert verdict.measured["dropped_px"] == 16
    assert verdict.measured["filled_px"] == 6
    assert not verdict.faults


def test_true_gaps_and_what_opens_to_the_frame_stay(image: np.ndarray) -> None:
    mask = np.zeros(image.shape[:2], bool)
    mask[100:400, :300] = True
    mask[200:210, 100:110] = False  # 100 px of 90,000: a gap
    mask[100:103, 0:2] = False  # in the corner of mask and frame
    verdict = check_labels(image, Labels(mask), LIMITS, None)
    np.testing.assert_array_equal(verdict.mask, mask)
    assert not verdict.repairs


def test_a_fingertip_cut_off_by_a_ring_is_no_speck(
    image: np.ndarray, mask: np.ndarray, landmarker: HandLandmarker
) -> None:
    mask[80:84, 300:360] = False  # across two fingers, below their tips
    count, _ = cv2.connectedComponents(mask.astype(np.uint8))
    assert count > 2
    limits = Thresholds(speck=0.05)
    with_hand = check_labels(image, Labels(mask), limits, landmarker)
    assert not with_hand.faults
    assert not with_hand.repairs
    without = check_labels(image, Labels(mask), limits, None)
    assert kinds(without.repairs) == ["specks dropped"]


def test_how_much_of_the_frame_a_mask_may_cover(image: np.ndarray) -> None:
    mask = np.zeros(image.shape[:2], bool)
    verdict = check_labels(image, Labels(mask), LIMITS, None)
    assert kinds(verdict.faults) == ["mask empty"]
    mask[:, : round(0.96 * mask.shape[1])] = True
    verdict = check_labels(image, Labels(mask), LIMITS, None)
    assert verdict.faults == ["mask fills the frame: it covers 95.9% of it"]
    assert not check_labels(image, Labels(mask), Thresholds(max_coverage=0.97), None).faults


def test_a_mask_beside_the_hand_is_found_out(
    image: np.ndarray, mask: np.ndarray, landmarker: HandLandmarker
) -> None:
    moved = np.roll(mask, (120, -250), axis=(0, 1))
    verdict = check_labels(image, Labels(moved), LIMITS, landmarker)
    assert verdict.faults == ["no hand on the mask: 1 elsewhere"]


def test_a_photo_without_a_hand_is_found_out(
    no_hand: np.ndarray, landmarker: HandLandmarker
) -> None:
    mask = np.zeros(no_hand.shape[:2], bool)
    mask[100:200, 60:180] = True
    verdict = check_labels(no_hand, Labels(mask), LIMITS, landmarker)
    assert verdict.faults == ["no hand on the mask: none is found"]


def test_a_cutout_that_differs_from_its_photo_is_found_out(
    image: np.ndarray, mask: np.ndarray
) -> None:
    labels = Labels(mask, None, ("cut-out turned by 90 degrees",), {"difference": 40.0})
    verdict = check_labels(image, labels, LIMITS, None)
    assert kinds(verdict.faults) == ["cut-out of another photo"]
    assert verdict.repairs == ["mask mended: cut-out turned by 90 degrees"]


def test_a_small_hand_in_a_large_photo_is_looked_at_closer(
    photos: dict[str, np.ndarray], photo_masks: dict[str, np.ndarray], landmarker: HandLandmarker
) -> None:
    """So small that MediaPipe finds nothing in the whole photo."""
    stem = "35_pic00033"
    size = (64, 48)
    photo = np.full((1400, 1800, 3), photos[stem][5, 5], np.uint8)
    photo[600:648, 800:864] = cv2.resize(photos[stem], size, interpolation=cv2.INTER_AREA)
    mask = np.zeros(photo.shape[:2], bool)
    small = cv2.resize(photo_masks[stem].astype(np.uint8) * 255, size) > 127
    mask[600:648, 800:864] = small
    assert not landmarker.detect(photo)
    limits = Thresholds(min_coverage=0.0)
    verdict = check_labels(photo, Labels(mask), limits, landmarker)
    assert verdict.measured["landmarks_on_mask"] > 0.6
    assert not verdict.faults


@pytest.mark.parametrize(
    "values", [{"max_coverage": 1.5}, {"speck": -0.1}, {"max_difference": 300}, {"pinhole": 2}]
)
def test_thresholds_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(
        ValueError,
        match=f"{next(iter(values))} must be in 0..",
    ):
        Thresholds(**values)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_a_mask_of_no_pixels_is_empty(shape: tuple[int, int]) -> None:
    labels = Labels(np.zeros(shape, bool))
    verdict = check_labels(np.zeros((*shape, 3), np.uint8), labels, LIMITS, None)
    assert kinds(verdict.faults) == ["mask empty"]
