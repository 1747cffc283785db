"""One pose of one scene, ready to be rendered: things with labels, hands with joints."""

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
"""What is rendered beside the picture, one value a pixel. `hand0` to `hand5` cover a hand with the
near half of its forearm; `core` is fingers and palm of any hand, which no wrist line cuts; `arm` is
the rest of bare arms; `worn` are rings, watches, bracelets."""


@dataclass(frozen=True, eq=False)
class SkinLook:
    """Skin that is painted beyond its texture; per-vertex values are interpolated.

    Attributes:
        tint: factors on the texture, linear RGB.
        nail: (V,) float32, above 0 on nails. nail_color: sRGB and how much of it, 0..1.
        redness: (V,) float32 0..1, knuckles and fingertips.
        mark: (V,) float32 0..1, where `mark_color` is drawn as a tattoo or henna.
        specular: how much it shines, 0..1.
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
    """A part with what it is.

    Attributes:
        part: mesh and material.
        labels: value above 0 on what the channel names, by name in `CHANNELS`: one number, or (V,).
        skin: what the skin has beyond the material, or None.
    """

    part: Part
    labels: dict[str, float | np.ndarray] = field(default_factory=dict)
    skin: SkinLook | None = None


@dataclass(frozen=True, eq=False)
class HandTruth:
    """A hand in the scene.

    Attributes:
        side: "left" or "right". person: number of whose hand it is.
        landmarks: (21, 3) metres, world, in MediaPipe's order.
        radii: (21,) metres from each landmark to the skin around it.
        albedo: share of light that its skin reflects, 0..1 (luminance).
        notes: what else is known, as widths in mm or "gloved".
    """

    side: str
    person: int
    landmarks: np.ndarray
    radii: np.ndarray
    albedo: float
    notes: dict = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Take:
    """A pose with its views; `hands[i]` has the channel `hand{i}`, `notes` go into the records."""

    items: tuple[Item, ...]
    hands: tuple[HandTruth, ...]
    views: tuple[View, ...]
    notes: dict = field(default_factory=dict)
