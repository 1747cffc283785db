"""Hands by a network that labels whole photos: no landmarks, no prompts, no regions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handseg.errors import ModelError
from handseg.models.semantic.config import OBJECT
from handseg.models.semantic.model import SemanticModel
from handseg.results.hand import Hand, shrink_to_photo

_STEEPNESS = 4.0


def check_labels_objects(model: SemanticModel) -> None:
    """Raise ModelError if `model` has no output for what hands hold."""
    if OBJECT not in model.classes:
        raise ModelError(f"objects: this model labels {', '.join(model.classes)} alone")


def label_photo(model: SemanticModel, image: np.ndarray, objects: bool = False) -> list[Hand]:
    """What `model` calls hand in `image` (H, W, 3) uint8 RGB, as one `Hand`; none if nothing is.

    Such a network tells hand from background, not one hand from another. The mask is where its
    probability, resized to the photo, is at least one half, and the alpha rises `_STEEPNESS` times
    as fast there. `predicted_iou` is the IoU to be expected if the probabilities are true. With
    `objects`, the hand holds what the model calls object.

    Raises:
        ModelError: if `objects` are asked for and the model has no output for them.
    """
    if objects:
        check_labels_objects(model)
    probabilities = model.probabilities(image)
    hand = probabilities[0]
    mask = hand >= 0.5
    if not mask.any():
        return []
    height, width = mask.shape
    expected = float(hand[mask].sum() / (np.count_nonzero(mask) + hand[~mask].sum()))
    found = Hand.from_alpha(
        _alpha(hand),
        (0, 0),
        (height, width),
        prompt_box=np.array([0, 0, width - 1, height - 1], np.float32),
        predicted_iou=expected,
    )
    if not objects:
        return [found]
    held = probabilities[model.classes.index(OBJECT)]
    patch, offset = shrink_to_photo(_alpha(held), (0, 0), (height, width))
    return [replace(found, object_patch=patch, object_offset=offset)]


def _alpha(probability: np.ndarray) -> np.ndarray:
    return np.clip(0.5 + _STEEPNESS * (probability - 0.5), 0, 1)
