"""Objects drawn by code to put into hands: cards, boxes, rods, balls, bottles of any look.

There are few pictures of objects, and few of those show things that people hold every day.
"""

from __future__ import annotations

import cv2
import numpy as np

from handseg.synthetic.pasted import effects

Generator = np.random.Generator

SIDE = 384
"""px: the longer side of a drawn object."""
KINDS = ("card", "rod", "ball", "vessel", "blob")


def draw_object(texture: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw an object, (SIDE, SIDE, 4) uint8 RGBA, that fills the square in one direction.

    Args:
        texture: (SIDE, SIDE, 3) uint8 RGB, used on some surfaces.
        rng: source of all random choices.
    """
    kind = str(rng.choice(KINDS, p=(0.3, 0.25, 0.15, 0.2, 0.1)))
    half, widths = _profile(kind, rng)
    shape = _silhouette(kind, half, widths, rng)
    color = rng.integers(0, 256, 3).astype(np.float32) * rng.uniform(0.15, 1)
    surface = np.full((SIDE, SIDE, 3), color, np.float32)
    look = rng.random()
    if look < 0.35:
        surface = texture.astype(np.float32)
    elif look < 0.55:
        grey = cv2.cvtColor(texture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 128
        surface *= (1 + rng.uniform(0.1, 0.7) * (grey - 1))[..., None]
    for _ in range(rng.integers(0, 4)):
        _mark(surface, half, kind, rng)
    across = np.linspace(-1, 1, SIDE, dtype=np.float32) * SIDE / 2 / max(half, 1)
    if kind in ("rod", "vessel", "ball"):
        # Round: dark along the sides, with a streak of light.
        light = rng.uniform(-0.5, 0.5)
        shade = 1 - rng.uniform(0.2, 0.7) * np.clip(np.abs(across - light), 0, 1.5) ** 2
        shade += rng.uniform(0, 0.8) * np.exp(-(((across - light) / 0.15) ** 2))
        surface *= np.clip(shade, 0.15, 2)[None, :, None]
    surface *= effects.light_gradient(SIDE, rng, 0.8)
    color_image = np.clip(surface, 0, 255).astype(np.uint8)
    return np.dstack([color_image, shape])


def _profile(kind: str, rng: Generator) -> tuple[float, np.ndarray]:
    """Return the largest half-width and the half-widths from end to end, px."""
    share = {
        "card": rng.uniform(0.4, 1.0),
        "rod": rng.uniform(0.04, 0.16),
        "ball": rng.uniform(0.8, 1.0),
        "vessel": rng.uniform(0.25, 0.8),
        "blob": rng.uniform(0.4, 1.0),
    }[kind]
    half = share * (SIDE / 2 - 4)
    along = np.linspace(-1, 1, 64)
    widths = np.ones(64)
    if kind == "ball":
        widths = np.sqrt(1 - along**2)
    elif kind == "rod":
        widths = np.interp(along, (-1, 1), rng.uniform(0.5, 1, 2))
        if rng.random() < 0.4:  # a head or a handle
            end = rng.uniform(0.1, 0.5)
            widths = np.where(along < 2 * end - 1, widths, widths * rng.uniform(0.4, 0.8))
    elif kind == "vessel":
        knots = np.sort(rng.uniform(-1, 1, 3))
        values = rng.uniform(0.45, 1, 5)
        widths = np.interp(along, [-1, *knots, 1], values)
        if rng.random() < 0.5:
            widths = cv2.GaussianBlur(widths[None], (0, 0), 4, borderType=cv2.BORDER_REPLICATE)[0]
    return half, half * widths


def _silhouette(kind: str, half: float, widths: np.ndarray, rng: Generator) -> np.ndarray:
    """Return (SIDE, SIDE) uint8, 255 on the object."""
    middle, reach = (SIDE - 1) / 2, SIDE / 2 - 4
    if kind == "blob":
        angles = np.linspace(0, 2 * np.pi, 96, endpoint=False)
        radii = np.ones(96)
        for wave in range(2, 6):
            radii += rng.normal(0, 0.25 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
        radii = np.clip(radii, 0.3, None) / radii.max()
        outline = np.stack([half * np.cos(angles), reach * np.sin(angles)], 1) * radii[:, None]
    else:
        along = np.linspace(-reach, reach, len(widths))
        right = np.stack([widths, along], 1)
        outline = np.concatenate([right, right[::-1] * [-1, 1]])
    shape: np.ndarray = np.zeros((SIDE, SIDE), np.uint8)
    points = np.round((outline + middle) * 16).astype(np.int32)
    cv2.fillPoly(shape, [points], 255, cv2.LINE_AA, shift=4)
    if kind in ("card", "vessel") and rng.random() < 0.7:  # rounded corners
        radius = max(1, int(half * rng.uniform(0.05, 0.4)))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        shape = cv2.GaussianBlur(cv2.morphologyEx(shape, cv2.MORPH_OPEN, disc), (0, 0), 0.8)
    if kind == "vessel" and rng.random() < 0.3:  # a handle
        centre = (round(middle + half), round(middle + rng.uniform(-0.3, 0.3) * reach))
        axes = (round(half * rng.uniform(0.25, 0.5)), round(reach * rng.uniform(0.25, 0.5)))
        cv2.ellipse(shape, centre, axes, 0, -90, 90, 255, max(6, round(0.16 * half)), cv2.LINE_AA)
    return shape


def _mark(surface: np.ndarray, half: float, kind: str, rng: Generator) -> None:
    """Draw a stripe, a label or a screen on `surface`, in place."""
    middle = SIDE / 2
    color = (rng.integers(0, 256, 3) * rng.uniform(0.1, 1)).tolist()
    if kind == "card" and rng.random() < 0.5:
        inset = rng.uniform(0.05, 0.2) * half
        first = (round(middle - half + inset), round(4 + inset * rng.uniform(1, 2)))
        last = (round(middle + half - inset), round(SIDE - 4 - inset * rng.uniform(1, 2)))
    else:
        start, length = rng.uniform(0, 0.9) * SIDE, rng.uniform(0.02, 0.4) * SIDE
        first, last = (0, round(start)), (SIDE - 1, round(start + length))
    cv2.rectangle(surface, first, last, color, -1)
