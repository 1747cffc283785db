"""One hand of a photo, as a visitor has told where it is and what belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from handseg.app.brush import Stroke
from handseg.landmarks import HandLandmarks
from handseg.prompts.user import UserPrompts


@dataclass(frozen=True)
class HandEntry:
    """What a hand is prompted with, and what is painted over the model's mask.

    Entries of one photo are equal if they give the same mask: landmarks go with the rank.

    Attributes:
        landmarks: what MediaPipe found; None for a hand that only the hand finder saw, or that the
            visitor has pointed at.
        rank: its place among the findings, the surest is 0; None where the visitor pointed at it.
        box: (4,) xyxy px, drawn by the visitor or the finder's; it takes the place of the
            landmarks.
        points: x, y px, clicked by the visitor.
        labels: 1 for a point on the hand, 0 for one off it.
        strokes: of the brush, in the order in which they were painted.
    """

    landmarks: HandLandmarks | None = field(default=None, compare=False)
    rank: int | None = None
    box: tuple[float, float, float, float] | None = None
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    strokes: tuple[Stroke, ...] = ()

    def prompts(self) -> UserPrompts:
        """As `segment` takes them."""
        values: UserPrompts = {}
        if self.box is not None:
            values["boxes"] = [self.box]
        elif self.landmarks is not None:
            values["landmarks"] = [self.landmarks.points]
        if self.points:
            values["points"], values["labels"] = [self.points], [self.labels]
        return values

    def with_strokes(self, count: int) -> HandEntry:
        """The same hand with only the first `count` strokes."""
        return replace(self, strokes=self.strokes[:count])
