"""Segmenter stages that see only colour and find only what they are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import pytest

from handseg.landmarks import HandBox, HandLandmarker, HandLandmarks
from handseg.prompts import PromptBatch
from handseg.results import Hand

SKIN = (230, 60, 40)
BACKGROUND = (30, 90, 200)


class StubEmbeddings:
    """The crops themselves as embeddings."""

    def __init__(self, crops: np.ndarray) -> None:
        self.crops = crops

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, rows: slice | np.ndarray) -> StubEmbeddings:
        return StubEmbeddings(self.crops[rows])


@dataclass
class StubModel:
    """Takes pixels with more red than blue for hand, and records its prompts.

    `certainty` is the predicted IoU; None takes the brightness.
    """

    input_size: int = 128
    mask_size: int = 64
    batches: list[PromptBatch] = field(default_factory=list)
    encoded: int = 0
    certainty: float | None = None

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
        scores = crops.mean(axis=(1, 2, 3)) / 255
        if self.certainty is not None:
            scores[:] = self.certainty
        return np.stack(logits), scores

    def save_pretrained(self, folder: Any) -> None:
        raise NotImplementedError


class StubLandmarker(HandLandmarker):
    """Returns given landmarks, by the photo's width."""

    max_hands = 10

    def __init__(self, hands: dict[int, list[HandLandmarks]]) -> None:
        self.hands = hands
        self.closed = 0

    def find(self, image: np.ndarray, finder: bool = True) -> list[HandLandmarks]:
        return self.hands.get(image.shape[1], [])

    def suspect(self, image: np.ndarray) -> list[HandBox]:
        return []

    def close(self) -> None:
        self.closed += 1


def disc(
    height: int, width: int, centre: tuple[float, float], radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a photo of a skin-coloured disc, and its mask."""
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


def assert_same(one: Hand, other: Hand, tolerance: int = 0) -> None:
    assert one.offset == other.offset
    assert one.image_shape == other.image_shape
    np.testing.assert_allclose(one.patch.astype(int), other.patch, atol=tolerance)
    np.testing.assert_array_equal(one.box, other.box)
    assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-5)
    np.testing.assert_array_equal(one.landmarks, other.landmarks)
    assert (one.handedness, one.handedness_score) == (other.handedness, other.handedness_score)
