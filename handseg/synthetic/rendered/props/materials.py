"""Materials drawn at random: plastics, metals, wood, leather, glass and skin-coloured ones."""

from __future__ import annotations

import colorsys

import numpy as np

from handseg.synthetic.rendered.props import textures
from handseg.synthetic.rendered.scene import Color, Material

_TONES = np.array(
    [
        (246, 237, 228),
        (243, 218, 200),
        (234, 200, 172),
        (222, 178, 145),
        (204, 152, 118),
        (173, 118, 86),
        (130, 88, 62),
        (96, 65, 50),
        (58, 42, 36),
    ]
)
"""Skin tones from light to dark, sRGB."""

_METALS: tuple[Color, ...] = (
    (0.78, 0.78, 0.78),
    (0.86, 0.85, 0.83),
    (0.55, 0.56, 0.58),
    (0.90, 0.75, 0.45),
    (0.80, 0.55, 0.42),
)


def skin_color(rng: np.random.Generator) -> Color:
    """Draw a skin tone, light ones as likely as dark ones."""
    place = rng.uniform(0, len(_TONES) - 1.001)
    i = int(place)
    mixed = _TONES[i] + (place - i) * (_TONES[i + 1] - _TONES[i])
    red, green, blue = np.clip(mixed / 255 + rng.normal(0, 0.015, 3), 0.02, 1)
    return float(red), float(green), float(blue)


def any_color(rng: np.random.Generator) -> Color:
    """Draw a colour of manufactured objects: black, white, grey or, mostly, a hue."""
    draw = rng.random()
    if draw < 0.3:
        grey = float(rng.choice([0.04, 0.09, 0.3, 0.55, 0.8, 0.9]))
        return grey, grey, grey
    saturation, value = rng.uniform(0.3, 0.95), rng.uniform(0.25, 0.95)
    return colorsys.hsv_to_rgb(rng.random(), saturation, value)


def plastic(rng: np.random.Generator, color: Color | None = None) -> Material:
    """Smooth or matt plastic."""
    return Material(color or any_color(rng), roughness=float(rng.uniform(0.15, 0.6)))


def metal(rng: np.random.Generator, color: Color | None = None) -> Material:
    """Steel, dark metal, brass or copper, polished or brushed."""
    color = color or _METALS[rng.choice(len(_METALS), p=[0.4, 0.3, 0.15, 0.1, 0.05])]
    return Material(color, roughness=float(rng.uniform(0.12, 0.4)), metallic=1.0)


def rubber(rng: np.random.Generator, color: Color | None = None) -> Material:
    """Dull, slightly rough rubber."""
    return Material(color or any_color(rng), roughness=0.8, bump=0.0001, bump_scale=0.001)


def glass(rng: np.random.Generator, clear: bool = False) -> Material:
    """Clear or tinted glass."""
    tint = np.ones(3) if clear or rng.random() < 0.6 else rng.uniform(0.35, 0.95, 3)
    color = (float(tint[0]), float(tint[1]), float(tint[2]))
    return Material(color, roughness=0.02, transmission=1.0)


def printed(rng: np.random.Generator, texture: np.ndarray, gloss: bool | None = None) -> Material:
    """Paper, card or foil with a picture."""
    gloss = bool(rng.random() < 0.5) if gloss is None else gloss
    return Material(texture=texture, roughness=0.25 if gloss else 0.75)


def wood(rng: np.random.Generator) -> Material:
    """Raw or varnished wood."""
    return Material(texture=textures.wood(rng), roughness=float(rng.uniform(0.3, 0.7)))


def skin_like(rng: np.random.Generator) -> Material:
    """A material that could be mistaken for skin: plain, leather, wood or beige plastic."""
    kind = rng.choice(["skin", "leather", "wood", "plastic"], p=[0.4, 0.25, 0.2, 0.15])
    if kind == "leather":
        picture = textures.leather(rng, skin_color(rng))
        return Material(texture=picture, roughness=0.5, bump=0.0001, bump_scale=0.0015)
    if kind == "wood":
        return wood(rng)
    if kind == "plastic":
        return plastic(rng, skin_color(rng))
    return Material(skin_color(rng), roughness=float(rng.uniform(0.4, 0.6)))
