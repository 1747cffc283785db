"""Effects of light, a camera and MediaPipe: skin tones, shadows, blur, noise, JPEG, landmarks.

Every function draws from the generator it is given and returns a new array.
"""

from __future__ import annotations

import cv2
import numpy as np

from handseg.landmarks.anatomy import hand_size

Generator = np.random.Generator


def rotation(angle: float) -> np.ndarray:
    """Return the (2, 2) rotation by `angle` radians, from x towards y."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def lit(image: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Multiply `image` (H, W, 3) uint8 by `factor`, such as a `light_gradient`."""
    return np.clip(image * factor, 0, 255).astype(np.uint8)


def vary_color(image: np.ndarray, rng: Generator, strength: float = 1.0) -> np.ndarray:
    """Vary gamma, contrast, saturation and white balance, through one table per channel."""
    levels = np.arange(256, dtype=np.float32) / 255
    gamma = np.exp(rng.normal(0, 0.25 * strength))
    gain = np.exp(rng.normal(0, 0.12 * strength)) * np.exp(rng.normal(0, 0.06 * strength, 3))
    offset = rng.normal(0, 0.04 * strength)
    table = np.clip(levels[:, None] ** gamma * gain + offset, 0, 1) * 255
    result = cv2.LUT(image, np.round(table).astype(np.uint8)[None])
    saturation = float(np.clip(rng.normal(1, 0.25 * strength), 0, 2))
    grey = cv2.cvtColor(cv2.cvtColor(result, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(result, saturation, grey, 1 - saturation, 0)


def vary_skin(color: np.ndarray, rng: Generator) -> np.ndarray:
    """Make skin very light to very dark; darker skin is also redder and less saturated."""
    levels = np.arange(256, dtype=np.float32) / 255
    darkness = rng.choice([rng.uniform(-0.35, 0.15), rng.uniform(0.1, 1.1)], p=[0.55, 0.45])
    gammas = np.exp(darkness) * np.array([1, 1 + 0.08 * darkness, 1 + 0.15 * darkness])
    gain = np.exp(-0.25 * max(darkness, 0) + rng.normal(0, 0.05))
    table = np.clip(levels[:, None] ** gammas * gain, 0, 1) * 255
    return cv2.LUT(color, np.round(table).astype(np.uint8)[None])


def light_gradient(size: int, rng: Generator, depth: float = 0.5) -> np.ndarray:
    """(size, size, 1) float32 factors: smooth light from one side, sometimes a hard shadow edge."""
    angle = rng.uniform(0, 2 * np.pi)
    axis = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    slope = axis[None] * np.cos(angle) + axis[:, None] * np.sin(angle)
    if rng.random() < 0.3:
        slope = np.clip((slope - rng.uniform(-0.3, 0.3)) * rng.uniform(5, 60), -0.5, 0.5)
    return (1 + rng.uniform(0, depth) * slope)[..., None].astype(np.float32)


def cast_shadow(
    background: np.ndarray, alpha: np.ndarray, rng: Generator, reach: float = 0.06
) -> np.ndarray:
    """Darken `background` where the pasted `alpha` would cast its shadow.

    `reach` sets the shadow's distance and blur, as a share of the picture's side: smaller for
    objects closer to the background.
    """
    size = alpha.shape[0]
    shift = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    shift[:, 2] = rng.normal(0, reach * size, 2)
    shadow = cv2.warpAffine(alpha, shift, (size, size))
    blur = rng.uniform(1, max(1.5, reach * size))
    quarter = cv2.resize(shadow, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    quarter = cv2.GaussianBlur(quarter, (0, 0), max(0.5, blur / 4))
    shadow = cv2.resize(quarter, (size, size), interpolation=cv2.INTER_LINEAR)
    factor = 1 - rng.uniform(0.15, 0.6) * shadow
    return (background * factor[..., None]).astype(np.uint8)


def camera(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Add blur, motion, loss of resolution, sensor noise and JPEG, each at random."""
    size = image.shape[0]
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.6))
    elif rng.random() < 0.1:
        length = int(rng.integers(3, 10))
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        middle = np.full(2, (length - 1) / 2)
        start, end = np.round(middle - reach).astype(int), np.round(middle + reach).astype(int)
        cv2.line(kernel, start.tolist(), end.tolist(), 1.0, 1)
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    if rng.random() < 0.3:
        small = int(size * rng.uniform(0.25, 0.9))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.4:
        deviation = rng.uniform(1, 14)
        cv2.setRNGSeed(int(rng.integers(2**31 - 1)))
        deviations = np.full(3, deviation)
        noise = cv2.randn(np.empty(image.shape, np.int16), np.zeros(3), deviations)
        if rng.random() < 0.5:
            noise = cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.5, 1.2))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = int(rng.integers(30, 96))
        encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        image = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    if rng.random() < 0.04:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return image


def jitter_landmarks(landmarks: np.ndarray, rng: Generator) -> np.ndarray:
    """Add errors like MediaPipe's: the whole hand off a little, at times a finger off a lot."""
    size = hand_size(landmarks)
    centre = landmarks.mean(0)
    angle, scale = rng.normal(0, 0.03), np.exp(rng.normal(0, 0.03))
    turn = scale * rotation(angle)
    moved = (landmarks - centre) @ turn.T + centre + rng.normal(0, 0.02 * size, 2)
    moved = moved + rng.normal(0, 0.02 * size, (21, 2))
    if rng.random() < 0.15:
        joints = slice(*(np.array([2, 5]) + 4 * rng.integers(5)))
        moved[joints] += rng.normal(0, 0.12 * size, 2)
    return moved.astype(np.float32)
