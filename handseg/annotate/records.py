"""Records of frames: the COCO entry, joint confidences, and values for the review."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

from handseg.annotate.frames import Frame
from handseg.landmarks.anatomy import hand_size
from handseg.postprocess.cleanup import cut_at_wrist
from handseg.results import HandSegmentation
from handseg.results.hand import Hand, window

if TYPE_CHECKING:
    from handseg.pipeline.embedded import EmbeddedPhoto
    from handseg.prompts import PromptRecipe

Record: TypeAlias = dict[str, Any]
"""The JSON-serialisable record of a frame; see `make_record`. It has an `index`."""

OFF_MASK, OFF_PHOTO = 0.5, 0.1
"""Factors on the confidence of joints outside the mask, and outside the photo. Chosen, not
measured: a joint outside the mask is hidden or misplaced, a joint outside the photo is a guess."""
_JITTER = 0.05  # Hand sizes: a joint this close to the mask still counts as on it.


def failed_record(frame: Frame, why: str) -> Record:
    return {"index": frame.index, "error": why}


def make_record(
    frame: Frame,
    time: float | None,
    result: HandSegmentation,
    agreements: list[float | None],
    without_mask: int,
) -> Record:
    """Make a frame's JSON-serialisable record.

    Args:
        frame: the frame.
        time: seconds, or None.
        result: its hands, all with non-empty masks.
        agreements: of each hand, see `agreement`.
        without_mask: number of further hands found, with empty masks.
    """
    entry = result.to_coco(frame.index + 1, file_name=frame.image)
    return {
        "index": frame.index,
        "time": time,
        **entry,
        "joint_confidences": [joint_confidences(hand) for hand in result],
        "agreements": agreements,
        "without_mask": without_mask,
    }


def joint_confidences(hand: Hand) -> list[float] | None:
    """Return a confidence in 0..1 for each of the 21 landmarks; None if the hand has none.

    MediaPipe gives no confidence for single joints. This is the hand's score (1 if it has none),
    times `OFF_PHOTO` for a joint outside the photo, or times `OFF_MASK` for a joint inside the
    photo that is farther from the mask than a twentieth of the hand size.
    """
    points = hand.landmarks
    if points is None:
        return None
    height, width = hand.image_shape
    inside = ((points >= -0.5) & (points < (width - 0.5, height - 0.5))).all(axis=1)
    on_mask = np.array([_near_mask(hand, point) for point in points])
    factors = np.where(inside, np.where(on_mask, 1.0, OFF_MASK), OFF_PHOTO)
    score = 1.0 if hand.handedness_score is None else hand.handedness_score
    return (score * factors).round(4).tolist()


def _near_mask(hand: Hand, point: np.ndarray) -> bool:
    """Whether the mask has a pixel within the jitter around `point` (x, y px of the photo)."""
    assert hand.landmarks is not None
    reach = max(1.0, _JITTER * hand_size(hand.landmarks))
    x, y = point - np.array(hand.offset)
    left, top = (max(0, int(np.ceil(value - reach))) for value in (x, y))
    right, bottom = (max(0, int(np.floor(value + reach)) + 1) for value in (x, y))
    rows, columns = np.nonzero(hand.patch[top:bottom, left:right] >= 128)
    return bool((np.hypot(columns + left - x, rows + top - y) <= reach).any())


def agreement(
    photo: EmbeddedPhoto, hand: Hand, recipe: PromptRecipe, wider: float = 1.3
) -> float | None:
    """Measure how much a hand's mask depends on the prompts: its IoU, 0..1, with the mask from only
    a box, `wider` times the recipe's, which shows the model more of the photo.

    This takes one more encoding. In the same region, handseg-lite gives nearly the same mask for
    any prompts, right or wrong: `benchmarks/compare_doubts.py`.

    None if the hand has no landmarks, which the box is made from.
    """
    if hand.landmarks is None:
        return None
    box = recipe.prompts(hand.landmarks, *hand.image_shape).roi_box.reshape(2, 2)
    centre = box.mean(axis=0)
    box = (box - centre) * wider + centre
    (other,) = photo.segment(boxes=box.reshape(4), forearm=recipe.forearm > 0)
    patch = other.patch.copy()
    if recipe.forearm == 0:  # With landmarks, the mask was cut there.
        cut_at_wrist(patch, hand.landmarks - np.array(other.offset, np.float32))
    return mask_iou(hand.patch, hand.offset, patch, other.offset)


def mask_iou(
    one: np.ndarray, offset: tuple[int, int], other: np.ndarray, other_offset: tuple[int, int]
) -> float:
    """Compute the IoU of two alphas (h, w) uint8, cut at half, at offsets (x, y) in a photo."""
    low = np.minimum(offset, other_offset)
    high = np.maximum(np.add(offset, one.shape[::-1]), np.add(other_offset, other.shape[::-1]))
    width, height = high - low
    canvases = np.zeros((2, height, width), bool)
    for canvas, patch, place in zip(canvases, (one, other), (offset, other_offset), strict=True):
        x, y = np.subtract(place, low).tolist()
        canvas[window(patch, (x, y))] = patch >= 128
    union = np.count_nonzero(canvases[0] | canvases[1])
    return round(np.count_nonzero(canvases[0] & canvases[1]) / union, 4) if union else 0.0


def thumbnail(result: HandSegmentation, side: int) -> np.ndarray:
    """Draw the overlay with its longer side at most `side` px, (h, w, 3) uint8 RGB."""
    height, width = result.image.shape[:2]
    factor = min(1.0, side / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(result.image, size, interpolation=cv2.INTER_AREA)
    hands = tuple(_shrunk(hand, factor, size) for hand in result)
    return np.asarray(HandSegmentation(small, hands).overlay())


def _shrunk(hand: Hand, factor: float, size: tuple[int, int]) -> Hand:
    """Shrink `hand` to a photo of `size` (width, height), accurate to a pixel."""
    height, width = hand.patch.shape
    to = max(1, round(width * factor)), max(1, round(height * factor))
    x, y = (round(value * factor) for value in hand.offset)
    return Hand.from_alpha(
        cv2.resize(hand.patch, to, interpolation=cv2.INTER_AREA),
        (x, y),
        size[::-1],
        prompt_box=hand.box * factor,
        predicted_iou=hand.predicted_iou,
        landmarks=None if hand.landmarks is None else hand.landmarks * factor,
        handedness=hand.handedness,
        handedness_score=hand.handedness_score,
        detection_score=hand.detection_score,
    )


def with_masks(result: HandSegmentation) -> HandSegmentation:
    """Return `result` without hands with empty masks, which cannot be annotated."""
    return replace(result, hands=tuple(hand for hand in result if hand.area))


def label_picture(result: HandSegmentation) -> np.ndarray:
    """Number the hands' pixels, (H, W) uint8: 0 off the hands, 1 on the first, 2 on the second. A
    pixel that two hands cover belongs to the first of them."""
    labels = np.zeros(result.image.shape[:2], np.uint8)
    for number, hand in reversed(list(enumerate(result, 1))):
        labels[window(hand.patch, hand.offset)][hand.patch >= 128] = number
    return labels
