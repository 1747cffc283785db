"""The options of `segment()` and the commands as query parameters: types, meaning, checks."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from typing_extensions import Self

from handseg.measure import parse_scale
from handseg.pipeline.options import Holes, SegmentOptions
from handseg.results import Edge
from handseg.results.overlay import parse_color

MOST_HANDS = 10
MOST_POINTS = 100
"""Per hand."""


def _json(*examples: str) -> WithJsonSchema:
    """Describe a parameter that is JSON."""
    schema = {"type": "string", "contentMediaType": "application/json"}
    return WithJsonSchema({**schema, "examples": list(examples)})


def _lists(name: str, dimensions: int) -> PlainValidator:
    """Parse JSON lists of numbers with `dimensions` for one hand, and one more for several."""
    return PlainValidator(partial(_parse_lists, name=name, dimensions=dimensions))


def _parse_lists(text: str, name: str, dimensions: int) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):  # Too large numbers become infinite.
            numbers = np.asarray(np.asarray(json.loads(text), np.float64), np.float32)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{name} must be lists of numbers in JSON, got {text!r:.80}") from error
    several = numbers.ndim == dimensions + 1
    if several and len(numbers) > MOST_HANDS:
        raise ValueError(f"{name} must be for at most {MOST_HANDS} hands, got {len(numbers)}")
    return numbers


def _check_color(color: str) -> str:
    parse_color(color, "background")
    return color


def _check_scale(scale: list[str]) -> list[str]:
    try:
        if scale:  # FastAPI may check an empty list where none was given.
            parse_scale(scale)
    except ValueError as error:
        raise ValueError(f"scale: {error}") from error
    return scale


class Query(BaseModel):
    """Parameters of all paths: the options of `segment()`."""

    model_config = ConfigDict(extra="forbid")

    max_hands: Annotated[
        int,
        Field(
            ge=1, le=MOST_HANDS, description="Maximum number of hands; the most confident are kept."
        ),
    ] = 4
    finder: Annotated[
        bool,
        Field(description="Use the hand finder to look again for hands that MediaPipe misses."),
    ] = True
    forearm: Annotated[
        bool | None,
        Field(
            description="true includes a bare forearm, false ends the mask at the wrist. Default: "
            "as in the model's recipe."
        ),
    ] = None
    holes: Annotated[
        Holes,
        Field(
            description="fill: include coins, rings and watches on the hand; gaps between fingers "
            "stay open."
        ),
    ] = "keep"
    objects: Annotated[
        bool,
        Field(
            description="Also segment held objects, which are then excluded from the hands' masks. "
            "Experimental; the server must have been started with --objects."
        ),
    ] = False
    boxes: Annotated[
        Any,
        _lists("boxes", 1),
        _json("[120, 80, 420, 450]", "[[120, 80, 420, 450], [0, 90, 110, 300]]"),
        Field(
            description="Boxes of the hands, instead of detecting them: x0, y0, x1, y1 in px of "
            "the upright photo, as JSON. A list of lists for several hands.",
        ),
    ] = None
    points: Annotated[
        Any,
        _lists("points", 2),
        _json("[[300, 300], [400, 90]]"),
        Field(
            description=f"Points x, y in px, as JSON: a list for one hand, a list of lists for "
            f"several; at most {MOST_POINTS} per hand. With boxes or landmarks, or alone.",
        ),
    ] = None
    labels: Annotated[
        Any,
        _lists("labels", 1),
        _json("[1, 0]"),
        Field(
            description="Label of each point, as JSON: 1 on the hand, 0 off it. Default: all are "
            "on the hand.",
        ),
    ] = None
    landmarks: Annotated[
        Any,
        _lists("landmarks", 2),
        _json(),
        Field(
            description="21 landmarks x, y in px for each hand, in MediaPipe's order, as JSON, "
            "instead of detecting hands."
        ),
    ] = None

    @model_validator(mode="after")
    def _few_points(self) -> Self:
        if self.points is not None and self.points.ndim >= 2:
            count = self.points.shape[-2]
            if count > MOST_POINTS:
                raise ValueError(f"points must be at most {MOST_POINTS} per hand, got {count}")
        return self

    def options(self) -> SegmentOptions:
        """Return the options for `segment()`."""
        names = SegmentOptions.__annotations__
        return {name: getattr(self, name) for name in names}  # type: ignore[return-value]


class CutoutQuery(Query):
    """Additional parameters of cut-outs."""

    edge: Annotated[
        Edge,
        Field(
            description="soft; hard: each pixel in or out; or matte: as soft as the edge in the "
            "photo."
        ),
    ] = "soft"
    background: Annotated[
        Annotated[str, AfterValidator(_check_color)] | None,
        Field(
            description='Colour of the background instead of transparency: a CSS name or "#rrggbb" '
            '("#" is %23 in a URL).',
            examples=["white", "#00b140"],
        ),
    ] = None


class NumbersQuery(Query):
    """Additional parameters of the numbers: a scale for measuring fingers."""

    scale: Annotated[
        list[str],
        AfterValidator(_check_scale),
        Field(
            description="Measure fingers, with this object on the palm or beside the hand: a coin "
            "by name or diameter, or card (bank card size, ID-1). Give it twice for two coins, "
            "which are checked against each other.",
            examples=[["2 euro"], ["US quarter"], ["23.25mm"], ["card"]],
        ),
    ] = []
    mm_per_px: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=False, description="Scale at the fingers, instead of `scale`."),
    ] = None
    fit: Annotated[
        Literal["fitted", "loose"],
        Field(description="How the ring should fit; loose adds 0.4 mm to its diameter."),
    ] = "fitted"

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        if self.scale and self.mm_per_px is not None:
            raise ValueError("give either scale or mm_per_px")
        return self

    def how(self) -> dict[str, Any] | None:
        """Return the scale for `measure_hand`; None if none was given."""
        if not self.scale:
            return None if self.mm_per_px is None else {"mm_per_px": self.mm_per_px}
        return {"scale": self.scale}
