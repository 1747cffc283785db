"""Layers of a training picture: hands, objects, sleeves, forearms, coins.

Pictures are (S, S, 3) uint8 RGB, alphas (S, S) float32 0..1, landmarks (21, 2) px of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from handseg.io.images import load_image
from handseg.landmarks.anatomy import PALM, WRIST, WRIST_END, hand_size, palm_axis
from handseg.synthetic.pasted import effects
from handseg.synthetic.pasted.cutouts import Cutout

Generator = np.random.Generator


def warp(cutout: Cutout, matrix: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """Warp a cut-out's colour, skin and hand; edges stay about 1.5 px soft at any scale."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    sharpen = max(1.0, scale)
    color = cv2.warpAffine(
        cutout.color, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    planes = cv2.merge([cutout.alpha, cutout.hand])
    planes = cv2.warpAffine(planes, matrix, (size, size), flags=cv2.INTER_CUBIC)
    planes = np.clip((planes - 0.5) * sharpen + 0.5, 0, 1)
    return color, planes[..., 0], planes[..., 1]


def blend(image: np.ndarray, top: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Blend `top` over `image`, both (S, S, 3) uint8, by `alpha` (S, S) float32."""
    # cv2's uint8 blend is about ten times faster than a float blend in NumPy.
    return cv2.blendLinear(np.ascontiguousarray(top), np.ascontiguousarray(image), alpha, 1 - alpha)


def pick(paths: Sequence[Path], rng: Generator) -> Path:
    return paths[int(rng.integers(len(paths)))]


def paint_background(backgrounds: Sequence[Path], rng: Generator, size: int) -> np.ndarray:
    """Return (size, size, 3) uint8: a crop of one of the pictures, at times a plain colour."""
    kind = rng.random()
    if kind < 0.08 or not backgrounds:
        color = rng.integers(0, 256, 3).astype(np.uint8)
        image = np.full((size, size, 3), color, np.uint8)
        return effects.lit(image, effects.light_gradient(size, rng, 1.0))
    picture = load_image(pick(backgrounds, rng))
    shortest = min(picture.shape[:2])
    side = int(shortest * rng.uniform(0.3, 1))
    y = rng.integers(picture.shape[0] - side + 1)
    x = rng.integers(picture.shape[1] - side + 1)
    part = cv2.resize(picture[y : y + side, x : x + side], (size, size))
    if rng.random() < 0.5:
        part = part[:, ::-1]
    if rng.random() < 0.2:
        part = cv2.GaussianBlur(part, (0, 0), rng.uniform(1, 5))
    return effects.vary_color(np.ascontiguousarray(part), rng)


def read_object(path: Path) -> np.ndarray:
    """Read the picture of an object, (h, w, 4) uint8 RGBA.

    Raises:
        ValueError: if it cannot be read or has no alpha channel.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        raise ValueError(f"an object must be a picture with an alpha channel: {path}")
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)


def lay_object(
    picture: np.ndarray, middle: np.ndarray, length: float, angle: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw an RGBA picture centred at `middle` (x, y), turned by `angle` degrees.

    Its longer side becomes `length` px.

    Returns:
        Its colours, (size, size, 3) uint8, and its alpha, (size, size) float32 0..1.
    """
    own = (np.array(picture.shape[1::-1]) - 1) / 2
    scale = length / max(picture.shape[:2])
    matrix: np.ndarray = cv2.getRotationMatrix2D(own.tolist(), angle, scale)
    matrix[:, 2] += middle - own
    warped = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_AREA)
    return warped[..., :3], warped[..., 3].astype(np.float32) / 255


def paste_object(
    image: np.ndarray, path: Path, landmarks: np.ndarray, rng: Generator, longest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Paste the RGBA picture at `path` near the hand, up to `longest` hand sizes long.

    Returns the picture and the alpha of what it covers.
    """
    picture = read_object(path)
    length = hand_size(landmarks) * rng.uniform(0.5, longest)
    angle = rng.uniform(-180, 180)
    middle = landmarks.mean(0) + rng.normal(0, 0.6 * hand_size(landmarks), 2)
    color, cover = lay_object(picture, middle, length, angle, image.shape[0])
    return blend(image, color, cover), cover


def draw_sleeve(
    image: np.ndarray, cloth: np.ndarray, landmarks: np.ndarray, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw `cloth` from about the wrist up the arm; return the picture and the sleeve's alpha."""
    size = image.shape[0]
    axis, scale = palm_axis(landmarks), hand_size(landmarks)
    across = np.array([-axis[1], axis[0]])
    start = landmarks[WRIST] + axis * scale * rng.uniform(0.0, WRIST_END)
    start_width, end_width = scale * rng.uniform(0.45, 0.75), scale * rng.uniform(0.5, 1.3)
    end = start + axis * 3 * size + across * rng.normal(0, 0.5 * size)
    edge = np.linspace(-1, 1, 9)
    bulge = rng.normal(0, 0.12) * (1 - edge**2) + rng.normal(0, 0.015, 9)
    rim = start + edge[:, None] * across * start_width + (bulge * scale)[:, None] * axis
    outline = np.vstack([rim, end + across * end_width, end - across * end_width])
    if rng.random() < 0.6:
        color = rng.integers(0, 256, 3) * rng.uniform(0.1, 1)
        gray = cv2.cvtColor(cloth, cv2.COLOR_RGB2GRAY).astype(np.float32)
        texture = 1 + rng.uniform(0, 0.6) * (gray / 128 - 1)
        cloth = np.clip(texture[..., None] * color, 0, 255).astype(np.uint8)
    cloth = effects.lit(cloth, effects.light_gradient(size, rng, 1.0))
    cover = _polygon(outline, size)
    return blend(image, cloth, cover), cover


def draw_forearm(
    color: np.ndarray,
    skin: np.ndarray,
    hand: np.ndarray,
    landmarks: np.ndarray,
    rng: Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw bare skin beyond the wrist, where the cut-out ends: it looks like hand but is not."""
    size = color.shape[0]
    axis, scale = palm_axis(landmarks), hand_size(landmarks)
    across = np.array([-axis[1], axis[0]])
    wrist = landmarks[WRIST] + axis * scale * (WRIST_END - 0.15)
    positions = wrist + np.linspace(-0.7, 0.7, 57)[:, None] * across * scale
    columns, rows = np.clip(np.round(positions), 0, size - 1).astype(int).T
    there = np.flatnonzero(hand[rows, columns] > 0.5)
    if len(there) < 8:
        return color, skin
    start, end = positions[there[0]], positions[there[-1]]
    far = axis * 3 * size + across * rng.normal(0, 0.4 * size)
    wider = across * scale * rng.uniform(0, 0.5)
    outline = np.array([start, end, end + far + wider, start + far - wider])
    # Each strip along the arm continues the wrist's colour there.
    strip = color[rows[there], columns[there]].astype(np.float32)
    strip = cv2.GaussianBlur(strip[None], (0, 0), 2)[0]
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    along = ((x - start[0]) * across[0] + (y - start[1]) * across[1]) / np.linalg.norm(end - start)
    index = np.clip(along * (len(strip) - 1), 0, len(strip) - 1).astype(int)
    arm = (
        strip[index]
        + cv2.GaussianBlur(rng.normal(0, 12, (size, size, 1)).astype(np.float32), (0, 0), 1.5)[
            ..., None
        ]
    )
    mask = _polygon(outline, size) * (1 - hand)
    color = blend(color, np.clip(arm, 0, 255).astype(np.uint8), mask)
    return color, np.maximum(hand, mask)


def draw_band(image: np.ndarray, landmarks: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw a watch strap or sweatband around the wrist; it covers no part of the hand."""
    size = image.shape[0]
    axis, scale = palm_axis(landmarks), hand_size(landmarks)
    across = np.array([-axis[1], axis[0]]) * scale * rng.uniform(0.3, 0.42)
    near = landmarks[WRIST] + axis * scale * rng.uniform(0.15, WRIST_END)
    far = near + axis * scale * rng.uniform(0.1, 0.4)
    cover = _polygon(np.array([near + across, near - across, far - across, far + across]), size)
    # It goes round the arm: darker towards the sides.
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    offset = ((x - near[0]) * across[0] + (y - near[1]) * across[1]) / (across @ across)
    shade = np.sqrt(np.clip(1.1 - offset**2, 0.1, 1))
    color = rng.integers(0, 60, 3) if rng.random() < 0.6 else rng.integers(0, 256, 3)
    return blend(image, (shade[..., None] * color).astype(np.uint8), cover)


def draw_coin(image: np.ndarray, landmarks: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw a coin on the palm; it counts as hand, so the mask does not change."""
    size = image.shape[0]
    centre = landmarks[list(PALM)].mean(0) + rng.normal(0, 0.08 * hand_size(landmarks), 2)
    radius = hand_size(landmarks) * rng.uniform(0.09, 0.16)
    tint = np.array([[205, 170, 90], [190, 190, 195], [190, 120, 80]])[rng.integers(3)]
    face = np.full((size, size, 3), tint * rng.uniform(0.5, 1.1), np.float32)
    face *= effects.light_gradient(size, rng, 1.0)
    cover = np.zeros((size, size), np.uint8)
    middle = np.round(centre * 16).astype(int).tolist()
    cv2.circle(cover, middle, round(radius * 16), 255, -1, cv2.LINE_AA, shift=4)
    inner = np.zeros_like(cover)
    cv2.circle(inner, middle, round(radius * rng.uniform(0.6, 0.85) * 16), 255, -1, cv2.LINE_AA, 4)
    face[inner > 127] *= rng.uniform(0.7, 1.3)
    return blend(image, np.clip(face, 0, 255).astype(np.uint8), cover.astype(np.float32) / 255)


def _polygon(outline: np.ndarray, size: int) -> np.ndarray:
    """Fill `outline` (N, 2) px, as an alpha; it may extend far beyond the picture."""
    cover = np.zeros((size, size), np.uint8)
    fixed = np.round(np.clip(outline, -4000, 4000) * 16).astype(np.int32)
    cv2.fillPoly(cover, [fixed], 255, cv2.LINE_AA, shift=4)
    return cover.astype(np.float32) / 255
