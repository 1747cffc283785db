"""Hands by a network that labels whole photos: no landmarks, no prompts, no regions."""

from __future__ import annotations

import numpy as np

from handseg.hand import Hand
from handseg.models.semantic import SemanticModel

_STEEPNESS = 4.0


def label_photo(model: SemanticModel, image: np.ndarray) -> list[Hand]:
    """What `model` calls hand in `image` (H, W, 3) uint8 RGB, as one `Hand`; none if nothing is.

    Such a network tells hand from background, not one hand from another. The mask is where its
    probability, resized to the photo, is at least one half, and the alpha rises `_STEEPNESS` times
    as fast there. `predicted_iou` is the IoU to be expected if the probabilities are true.
    """
    hand = model.probabilities(image)[0]
    mask = hand >= 0.5
    if not mask.any():
        return []
    height, width = mask.shape
    expected = float(hand[mask].sum() / (np.count_nonzero(mask) + hand[~mask].sum()))
    return [
        Hand.from_alpha(
            np.clip(0.5 + _STEEPNESS * (hand - 0.5), 0, 1),
            (0, 0),
            (height, width),
            prompt_box=np.array([0, 0, width - 1, height - 1], np.float32),
            predicted_iou=expected,
        )
    ]
