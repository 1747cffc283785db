"""A hand of a photo, with the visitor's prompts and corrections."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from handseg.app.brush import Stroke
from handseg.prompts.user import UserPrompts
from handseg.results import Hand


@dataclass(frozen=True)
class HandEntry:
    """A hand's prompts, and the strokes painted over the model's mask.

    Entries of a photo are equal if they give the same mask: the rank determines the found hand.

    Attributes:
        found: the hand as it was found; None if the visitor added it.
        rank: its rank among the findings, the surest is 0; None if the visitor added it.
        box: (4,) xyxy px, drawn by the visitor, or of a hand that only the hand finder saw; it
            replaces the landmarks.
        points: x, y px, clicked by the visitor.
        labels: 1 for a point on the hand, 0 for one off it.
        strokes: brush strokes, in painting order.
    """

    found: Hand | None = field(default=None, compare=False)
    rank: int | None = None
    box: tuple[float, float, float, float] | None = None
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    strokes: tuple[Stroke, ...] = ()

    @property
    def landmarks(self) -> np.ndarray | None:
        """(21, 2) x, y px, MediaPipe's; None if it found none."""
        return None if self.found is None else self.found.landmarks

    def prompts(self) -> UserPrompts:
        """Return the prompts as `segment` takes them."""
        values: UserPrompts = {}
        if self.box is not None:
            values["boxes"] = [self.box]
        elif self.landmarks is not None:
            values["landmarks"] = [self.landmarks]
        if self.points:
            values["points"], values["labels"] = [self.points], [self.labels]
        return values

    def with_strokes(self, count: int) -> HandEntry:
        """Return the same hand with only the first `count` strokes."""
        return replace(self, strokes=self.strokes[:count])
