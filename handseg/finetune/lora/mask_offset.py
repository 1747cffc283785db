"""Measure where a data set's masks end, relative to visible edges and the wrist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from handseg.evaluation.metrics import outward_distances
from handseg.finetune.lora.hands import TrainingHand
from handseg.landmarks.anatomy import hand_size, past_wrist
from handseg.prompts.recipe import OUTLINE_LIMIT
from handseg.segmenter import HandSegmenter

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_HANDS = 48
"""Hands to measure, spread evenly over the data; the median hardly changes with more."""

_PAST = 0.05
"""Share of a mask's area past the wrist at which it shows more than the hand. In data sets whose
masks end at the wrist, nine masks in ten have less."""
_NEAR = 0.05  # Hand sizes: contours further apart belong to something else.


def measure_outline(
    segmenter: HandSegmenter,
    hands: Sequence[TrainingHand],
    progress: Callable[[Iterable[TrainingHand]], Iterable[TrainingHand]] = iter,
) -> float:
    """Measure how far outside the photo's edges the masks of `hands` are drawn, in hand sizes.

    The value for `PromptRecipe.outline`: the median over hands of the mean distance between the
    ground-truth contour and one that follows the edges. Skips hands without landmarks; 0 if none
    is left.
    """
    plain = HandSegmenter(segmenter.model, replace(segmenter.recipe, outline=0.0))
    offsets = []
    for hand in progress(_spread(hands)):
        image, truth = hand.load()
        predicted = plain.segment(image, landmarks=hand.landmarks).mask
        if not (predicted.any() and truth.any()):
            continue
        assert hand.landmarks is not None
        away = -outward_distances(predicted, truth) / hand_size(hand.landmarks)
        near = away[np.abs(away) < _NEAR]
        if len(near):
            offsets.append(float(near.mean()))
    if not offsets:
        return 0.0
    return float(np.clip(np.median(offsets), -OUTLINE_LIMIT, OUTLINE_LIMIT))


def count_past_wrist(
    hands: Sequence[TrainingHand],
    progress: Callable[[Iterable[TrainingHand]], Iterable[TrainingHand]] = iter,
) -> tuple[int, int]:
    """Count the masks that extend past the wrist, and the masks examined."""
    chosen = _spread(hands)
    past = 0
    for hand in progress(chosen):
        rows, columns = np.nonzero(hand.load()[1])
        assert hand.landmarks is not None
        beyond = past_wrist(np.stack([columns, rows], axis=1), hand.landmarks)
        past += bool(len(beyond)) and float(beyond.mean()) > _PAST
    return past, len(chosen)


def _spread(hands: Sequence[TrainingHand]) -> list[TrainingHand]:
    """Return at most `MOST_HANDS` hands with landmarks, evenly spread."""
    seen = [hand for hand in hands if hand.landmarks is not None]
    count = min(len(seen), MOST_HANDS)
    return [seen[place] for place in np.linspace(0, len(seen) - 1, count).astype(int)]
