"""One pose of one scene, ready to render: meshes with labels, hands with joints."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from handseg.synthetic.rendered.scene import Part, View

MAX_HANDS = 6
CHANNELS = (
    *(f"hand{number}" for number in range(MAX_HANDS)),
    "core",
    "arm",
    "face",
    "skin",
    "object",
    "worn",
)
"""Channels rendered with the picture, one value per pixel. `hand0` to `hand5` cover a hand and the
near half of its forearm; `core` is fingers and palm of all hands, which no wrist line cuts; `arm`
is the rest of bare arms; `worn` is rings, watches, bracelets."""


@dataclass(frozen=True, eq=False)
class SkinLook:
    """Details painted over the skin's texture; per-vertex values are interpolated.

    Attributes:
        tint: factors on the texture, linear RGB.
        nail: (V,) float32, above 0 on nails. nail_color: sRGB and how much of it, 0..1.
        redness: (V,) float32 0..1, knuckles and fingertips.
        mark: (V,) float32 0..1, where `mark_color` is drawn as a tattoo or henna.
        specular: shininess, 0..1.
    """

    tint: tuple[float, float, float]
    nail: np.ndarray
    nail_color: tuple[float, float, float, float]
    redness: np.ndarray
    mark: np.ndarray
    mark_color: tuple[float, float, float]
    specular: float


@dataclass(frozen=True, eq=False)
class Item:
    """A part with its labels.

    Attributes:
        part: mesh and material.
        labels: by name in `CHANNELS`, one number or (V,): above 0 where the channel applies.
        skin: skin details that the material lacks, or None.
    """

    part: Part
    labels: dict[str, float | np.ndarray] = field(default_factory=dict)
    skin: SkinLook | None = None


@dataclass(frozen=True, eq=False)
class HandTruth:
    """A hand in the scene.

    Attributes:
        side: "left" or "right". person: number of its owner.
        landmarks: (21, 3) metres, world, in MediaPipe's order.
        radii: (21,) metres from each landmark to the skin around it.
        albedo: share of light that its skin reflects, 0..1 (luminance).
        notes: other facts, such as widths in mm or "gloved".
    """

    side: str
    person: int
    landmarks: np.ndarray
    radii: np.ndarray
    albedo: float
    notes: dict = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Take:
    """A pose with its views; `hands[i]` has channel `hand{i}`, `notes` go into the records."""

    items: tuple[Item, ...]
    hands: tuple[HandTruth, ...]
    views: tuple[View, ...]
    notes: dict = field(default_factory=dict)
