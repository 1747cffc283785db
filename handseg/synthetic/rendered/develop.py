"""Turn a render into a photo: exposure, tone curve, background."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np

from handseg.errors import ImageError
from handseg.io.images import load_image

logger = logging.getLogger(__name__)


def to_linear(image: np.ndarray) -> np.ndarray:
    """(..., 3) float32 linear light 0..1 from uint8 sRGB."""
    return decoded(image.astype(np.float32) / 255)


def decoded(value: np.ndarray) -> np.ndarray:
    """Linear light from sRGB, both 0..1 (IEC 61966-2-1)."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """uint8 sRGB from (..., 3) float32 linear light; values above 1 are rolled off."""
    value = np.maximum(linear, 0)
    # Straight up to 0.8, then an exponential shoulder that ends at 1.
    value = np.where(value > 0.8, 0.8 + 0.2 * (1 - np.exp(-(value - 0.8) / 0.2)), value)
    return np.round(encoded(value) * 255).astype(np.uint8)


def encoded(value: np.ndarray) -> np.ndarray:
    """sRGB from linear light, both 0..1."""
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)


LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Luminance weights of linear sRGB (ITU-R BT.709)."""


def incident_light(
    color: np.ndarray, alpha: np.ndarray, channels: dict[str, np.ndarray], albedos: list[float]
) -> float:
    """Estimate how bright a white surface would be in a rendered picture, like a light meter.

    Args:
        color: (S, S, 3) float32, linear. alpha: (S, S) float32.
        channels: truth by name; `hand{i}` is skin that reflects `albedos[i]` of the light.
    """
    luminance = color @ LUMINANCE
    seen = reflected = 0.0
    for number, albedo in enumerate(albedos):
        skin = channels[f"hand{number}"] > 0.5
        seen += float(luminance[skin].sum())
        reflected += albedo * np.count_nonzero(skin)
    if reflected < 1.0:  # Almost no hand: assume that everything is middle grey.
        seen, reflected = float(luminance.sum()), 0.2 * float(alpha.sum())
    return max(seen, 1e-6) / max(reflected, 1e-6)


def highlight_gain(color: np.ndarray, channels: dict[str, np.ndarray], hands: int) -> float:
    """Return the largest factor on linear light that keeps 9 of 10 hand pixels below white.

    Args:
        color: (S, S, 3) float32, linear. channels: truth by name. hands: their number.
    """
    skin = np.any([channels[f"hand{number}"] > 0.5 for number in range(hands)], axis=0)
    if not skin.any():
        return float("inf")
    return 0.9 / max(float(np.quantile(color[skin].max(1), 0.9)), 1e-6)


def draw_background(
    photos: list[Path], size: int, rng: np.random.Generator
) -> tuple[np.ndarray, str]:
    """Draw a background, (size, size, 3) uint8, and return it with its file's name or "plain".

    Without photos, and in one picture in eight, it is a soft gradient with grain. If a photo cannot
    be read, another one is drawn.
    """
    if not photos or rng.random() < 0.12:
        return _plain(size, rng), "plain"
    path = photos[int(rng.integers(len(photos)))]
    try:
        image = load_image(path)
    except ImageError as error:
        logger.warning("Not shown behind people: %s", error)
        return draw_background([photo for photo in photos if photo != path], size, rng)
    height, width = image.shape[:2]
    side = int(min(height, width) * rng.uniform(0.5, 1.0))
    y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    crop = image[y : y + side, x : x + side]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    crop = cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=way)
    blur = float(rng.choice([0, 0, 1.5, 4, 8])) * size / 448
    return (cv2.GaussianBlur(crop, (0, 0), blur) if blur else crop), path.name


def _plain(size: int, rng: np.random.Generator) -> np.ndarray:
    ends = rng.uniform(30, 245, (2, 1)) + rng.normal(0, 12, (2, 3))
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:size, :size] / size - 0.5
    share = np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0, 1)[..., None]
    grain = cv2.GaussianBlur(rng.normal(0, 1, (size, size, 1)).astype(np.float32), (0, 0), 1.0)
    picture = ends[0] + share * (ends[1] - ends[0]) + grain[..., None] * rng.uniform(0, 12)
    return np.clip(picture, 0, 255).astype(np.uint8)


def develop(
    color: np.ndarray, alpha: np.ndarray, background: np.ndarray, gain: float, behind: float
) -> np.ndarray:
    """Compose the photo, (S, S, 3) uint8.

    Args:
        color: (S, S, 3) float32, linear, premultiplied by alpha (S, S) float32.
        background: (S, S, 3) uint8 sRGB.
        gain, behind: factors on the linear light of the render and of the background.
    """
    return to_srgb(gain * color + behind * (1 - alpha[..., None]) * to_linear(background))
