"""Where the masks of a data set end, measured against the edges that are seen and the wrist."""

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
"""Hands that are measured, spread evenly over the data: the median of so many hardly moves."""

_PAST = 0.05
"""Share of a mask's area past the wrist from which on it shows more than the hand: in sets whose
masks end at the wrist nine in ten have less."""
_NEAR = 0.05  # Hand sizes: contours that are further apart are another thing's.


def measure_outline(
    segmenter: HandSegmenter,
    hands: Sequence[TrainingHand],
    progress: Callable[[Iterable[TrainingHand]], Iterable[TrainingHand]] = iter,
) -> float:
    """How far outside the photo's edges the masks of `hands` are drawn, in hand sizes.

    The value for `PromptRecipe.outline`: the median over hands of the mean distance between the
    true contour and one that follows the edges. Hands without landmarks are passed over; 0 where
    none is left.
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
    """How many masks show more than the hand to its wrist, and how many were looked at."""
    chosen = _spread(hands)
    past = 0
    for hand in progress(chosen):
        rows, columns = np.nonzero(hand.load()[1])
        assert hand.landmarks is not None
        beyond = past_wrist(np.stack([columns, rows], axis=1), hand.landmarks)
        past += bool(len(beyond)) and float(beyond.mean()) > _PAST
    return past, len(chosen)


def _spread(hands: Sequence[TrainingHand]) -> list[TrainingHand]:
    """At most `MOST_HANDS` of those with landmarks."""
    seen = [hand for hand in hands if hand.landmarks is not None]
    count = min(len(seen), MOST_HANDS)
    return [seen[place] for place in np.linspace(0, len(seen) - 1, count).astype(int)]
