"""Prompts of N regions, in the form that every SAM family accepts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POSITIVE, NEGATIVE, IGNORED = 1, 0, -10
"""Point labels, as in SAM and transformers. Models ignore points labelled -10."""


@dataclass(frozen=True)
class PromptBatch:
    """Prompts in pixels of the model's input, one row per region.

    Attributes:
        points: (N, P, 2) float32 x, y.
        labels: (N, P) int64, 1 on the hand, 0 off it, -10 to pad rows with fewer than P points.
        boxes: (N, 4) float32 xyxy, or None to prompt only with points.
        masks: (N, h, w) float32 logits at the model's mask size, or None.
    """

    points: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray | None = None
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: np.ndarray) -> PromptBatch:
        """The prompts of the regions at `rows`, an integer array."""
        return PromptBatch(
            self.points[rows],
            self.labels[rows],
            None if self.boxes is None else self.boxes[rows],
            None if self.masks is None else self.masks[rows],
        )
