"""Hands that hold objects, and a segmenter that finds them without a model."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from handseg.io.images import load_image
from handseg.results import HandSegmentation
from handseg.results.hand import Hand


def make_hand(
    mask: np.ndarray, held: np.ndarray | None = None, landmarks: Any = None, **fields: Any
) -> Hand:
    """Make a hand from a photo's `mask` (H, W) bool, with a held object if given."""
    rows, columns = np.nonzero(mask)
    box = [columns.min(), rows.min(), columns.max(), rows.max()] if len(rows) else [0, 0, 0, 0]
    fields = {"predicted_iou": 0.8, **fields}
    hand = Hand.from_alpha(
        mask, (0, 0), mask.shape, prompt_box=np.array(box), landmarks=landmarks, **fields
    )
    if held is None:
        return hand
    return dataclasses.replace(hand, object_patch=held.astype(np.uint8) * 255)


def rectangle(shape: tuple[int, int], x: int, y: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[y : y + height, x : x + width] = True
    return mask


class HoldingSegmenter:
    """Finds one hand without landmarks at a fixed place in each photo, and its object if asked."""

    def check_objects(self) -> None:
        pass

    def warm_up(self) -> None:
        pass

    def __init__(self) -> None:
        self.options: list[dict[str, Any]] = []

    def __enter__(self) -> HoldingSegmenter:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def segment(self, image: Any, **options: Any) -> HandSegmentation:
        self.options.append(options)
        image = load_image(image)
        shape = image.shape[:2]
        held = rectangle(shape, 50, 20, 30, 10) if options.get("objects") else None
        return HandSegmentation(image, (make_hand(rectangle(shape, 20, 20, 30, 40), held),))
