"""OpenAPI schemas of the JSON answers of `HandSegmentation.to_dict` and `hand_dict`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Documented(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(_Documented):
    """Why a request was refused."""

    detail: str = Field(
        description="One line that names the parameter, what came and what was expected.",
        examples=["edge must be one of soft, hard, matte, got 'smooth'"],
    )


class Health(_Documented):
    """The server is ready for photos."""

    status: Literal["ready"]
    version: str = Field(description="Version of handseg.", examples=["0.2.0"])


class HeldObject(_Documented):
    """A held object."""

    area: int = Field(description="Pixels.")
    box: list[float] = Field(description="x0, y0, x1, y1, px.")


class FoundHand(_Documented):
    """A hand. Coordinates are x, y in px of the upright photo."""

    box: list[float] = Field(
        description="x0, y0, x1, y1, from the centre of the mask's first column and row to that of "
        "its last.",
        examples=[[241.0, 96.0, 402.0, 371.0]],
    )
    landmarks: list[list[float]] | None = Field(
        description="21 points x, y in MediaPipe's order, from the wrist over the thumb to the tip "
        "of the little finger; they may lie outside the photo. null for a hand that only the hand "
        "finder saw, and for boxes or points in the request.",
    )
    handedness: Literal["left", "right"] | None = Field(
        description="null if the request had prompts."
    )
    handedness_score: float | None = Field(description="Confidence in the handedness, 0..1.")
    detection_score: float | None = Field(
        description="Confidence of the hand finder that there is a hand, 0..1; null if it was not "
        "used."
    )
    predicted_iou: float = Field(
        description="The model's own estimate of how well its mask overlaps the hand."
    )
    area: int = Field(description="Pixels of the mask.")
    object: HeldObject | None = Field(
        None, description="Only with `objects=true`; null if the hand holds nothing."
    )


class Coin(_Documented):
    """A coin that provided the scale."""

    centre: list[float] = Field(description="x, y, px.")
    diameter_px: float
    ratio: float = Field(description="Shorter axis divided by longer axis: 1 from straight above.")
    on_hand: bool = Field(description="Whether it lies on the hand instead of beside it.")


class Finger(_Documented):
    """A finger's measures, in mm; low and high are the ends of 95 % intervals."""

    finger: Literal["thumb", "index", "middle", "ring", "little"]
    width_mm: float | None = Field(description="Width where a ring sits.", examples=[18.4])
    width_low_mm: float | None
    width_high_mm: float | None
    joint_mm: float | None = Field(description="Width at the middle joint.")
    joint_low_mm: float | None
    joint_high_mm: float | None
    length_mm: float | None = Field(description="Length from the knuckle to the tip.")
    ring_diameter_mm: float | None = Field(description="Inner diameter of a ring that fits.")
    ring_low_mm: float | None
    ring_high_mm: float | None
    ring_circumference_mm: float | None = Field(description="The size of ISO 8653.")
    ring_eu: int | None
    ring_us: float | None = Field(description="US and Canada.")
    ring_uk: str | None = Field(description="UK and Australia.")
    ring_japan: int | None
    reason: str = Field(
        description="Why the finger cannot be measured, in which case all else is null; otherwise "
        "empty.",
        examples=["it is bent"],
    )


class Measurement(_Documented):
    """The fingers of the measured hand."""

    mm_per_px: float | None
    tilt_degrees: float = Field(
        description="Angle between coin or card and the plane of the photo."
    )
    coins: list[Coin]
    card: list[list[float]] | None = Field(description="Its four corners x, y, px.")
    fingers: list[Finger]


class Numbers(_Documented):
    """The result for a photo. A photo without a hand is not an error."""

    width: int = Field(description="px of the upright photo.", examples=[640])
    height: int = Field(examples=[480])
    hands: list[FoundHand]
    measurement: Measurement | None = Field(
        None, description="Only if `scale` or `mm_per_px` was given."
    )
