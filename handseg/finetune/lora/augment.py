"""Training views of a hand: its region of interest, as in prediction or augmented."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from pydantic.dataclasses import dataclass

from handseg.finetune.lora.hands import TrainingHand
from handseg.models.region import FILL, Region
from handseg.prompts import HandPrompts, PromptRecipe
from handseg.prompts.from_mask import prompts_from_mask
from handseg.prompts.user import user_prompts
from handseg.runtime.config import STRICT, Count, NotNegative, Share
from handseg.synthetic.pasted import effects
from handseg.synthetic.sample import Sample

FROM_MASK_POINTS = 5
"""Number of prompt points for a hand without landmarks."""


@dataclass(frozen=True, config=STRICT)
class Augmentation:
    """How much the views of a hand differ from the photo.

    Attributes:
        views: views per hand; the first is the unchanged photo.
        mirror: share of views that are mirrored.
        rotation: standard deviation of the angle, degrees.
        zoom: standard deviation of the logarithm of the region's size.
        stretch: standard deviation of the logarithm of each axis' scale.
        color: strength of changes to gamma, contrast, saturation and white balance; 1 is strong.
        camera: share of views with added blur, noise, JPEG artefacts or loss of resolution.
        jitter: share of views whose landmarks get errors like MediaPipe's.
    """

    views: Count = 8
    mirror: Share = 0.5
    rotation: NotNegative = 12.0
    zoom: NotNegative = 0.12
    stretch: NotNegative = 0.05
    color: NotNegative = 0.5
    camera: Share = 0.3
    jitter: Share = 0.7


def plain_view(hand: TrainingHand, recipe: PromptRecipe, size: int) -> Sample:
    """Return the hand's region of interest and prompts, exactly as the predictor makes them.

    Args:
        hand: the hand.
        recipe: makes the prompts and the region.
        size: side of the region, px.
    """
    photo, mask = hand.load()
    height, width = mask.shape
    prompts = _prompts(hand.landmarks, mask, np.eye(3), height, width, recipe)
    region = Region.around(prompts.roi_box, recipe.region_margin)
    image = region.crop(photo, size)
    # Crop these like the photo, as one image: the mask, and where the photo is (FILL is outside).
    labels = np.zeros((height, width, 3), np.uint8)
    labels[mask, 0] = 255
    labels = region.crop(labels, size)
    valid = labels[..., 1] < FILL[1] / 2
    return Sample.of_region(image, labels[..., 0] / np.float32(255), valid, prompts, region)


def varied_view(
    hand: TrainingHand,
    recipe: PromptRecipe,
    size: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> Sample:
    """Return a random view of the hand; the same generator state gives the same view."""
    photo, mask = hand.load()
    to_view, height, width = _place(mask.shape, augmentation, rng)
    landmarks = hand.landmarks
    if landmarks is not None and rng.random() < augmentation.jitter:
        landmarks = effects.jitter_landmarks(landmarks, rng)
    prompts = _prompts(landmarks, mask, to_view, height, width, recipe)
    margin = recipe.region_margin + 0.5
    margin = max(0.0, margin * np.exp(rng.normal(0, augmentation.zoom)) - 0.5)
    region = Region.around(prompts.roi_box, margin)
    scale = size / region.side
    to_crop = np.array([[scale, 0, 0], [0, scale, 0], [0, 0, 1.0]])
    to_crop[:2, 2] = (np.array([-region.x, -region.y]) + 0.5) * scale - 0.5
    image, alpha, valid = _warp(photo, mask, to_crop @ to_view, size)
    image = effects.vary_color(image, rng, augmentation.color)
    if rng.random() < augmentation.camera:
        image = effects.camera(image, rng)
    image[~valid] = FILL
    return Sample.of_region(image, alpha, valid, prompts, region)


def _place(
    shape: Sequence[int], augmentation: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, int, int]:
    """Return a 3 x 3 matrix that rotates, mirrors and stretches, and the new height and width."""
    height, width = shape
    angle = np.radians(rng.normal(0, augmentation.rotation))
    mirror = -1.0 if rng.random() < augmentation.mirror else 1.0
    linear = effects.rotation(angle) @ np.diag(
        np.exp(rng.normal(0, augmentation.stretch, 2)) * [mirror, 1.0]
    )
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1.0]])
    moved = corners @ linear.T
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, -moved.min(0)
    extent = np.ceil(np.ptp(moved, axis=0)).astype(int) + 1
    return matrix, int(extent[1]), int(extent[0])


def _prompts(
    landmarks: np.ndarray | None,
    mask: np.ndarray,
    matrix: np.ndarray,
    height: int,
    width: int,
    recipe: PromptRecipe,
) -> HandPrompts:
    """Return a hand's prompts in a photo moved by `matrix`: from its landmarks, else its mask."""
    if landmarks is not None:
        return recipe.prompts(_move(landmarks, matrix), height, width)
    boxes, points = prompts_from_mask(mask, FROM_MASK_POINTS)
    x0, y0, x1, y1 = boxes[0].astype(int)
    part = mask[y0 : y1 + 1, x0 : x1 + 1].astype(np.uint8)
    # Take the rotated hand's box from its hull: it is smaller than the box of the rotated box.
    hull = _move(cv2.convexHull(cv2.findNonZero(part))[:, 0] + [x0, y0], matrix)
    box = np.concatenate([hull.min(0), hull.max(0)])
    inside = np.clip(_move(points[0], matrix), 0, [width - 1, height - 1])
    return user_prompts(height, width, recipe, boxes=box, points=inside)[0]


def _move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return (points @ matrix[:2, :2].T + matrix[:2, 2]).astype(np.float32)


def _warp(
    photo: np.ndarray, mask: np.ndarray, matrix: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return photo, mask as alpha, and where the photo is, in a region of `size` px.

    Warping samples single pixels, so regions that shrink are cropped and area-averaged first.
    """
    height, width = mask.shape
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) - 0.5
    seen = _move(corners, np.linalg.inv(matrix))
    x0, y0 = np.clip(np.floor(seen.min(0)).astype(int) - 2, 0, [width - 1, height - 1])
    x1, y1 = np.clip(np.ceil(seen.max(0)).astype(int) + 3, [x0 + 1, y0 + 1], [width, height])
    part = photo[y0:y1, x0:x1]
    alpha: np.ndarray = mask[y0:y1, x0:x1].astype(np.float32)
    scale = min(1.0, float(np.sqrt(abs(np.linalg.det(matrix[:2, :2])))))
    shape = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    if scale < 1:
        part = cv2.resize(part, shape, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(alpha, shape, interpolation=cv2.INTER_AREA)
    grow = np.array([(x1 - x0) / part.shape[1], (y1 - y0) / part.shape[0]])
    back = np.eye(3)
    back[[0, 1], [0, 1]] = grow
    back[:2, 2] = 0.5 * grow - 0.5 + [x0, y0]
    move = (matrix @ back)[:2]
    image = cv2.warpAffine(
        part, move, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    alpha = cv2.warpAffine(
        alpha, move, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    inside = np.full((height, width), 255, np.uint8)
    valid = cv2.warpAffine(inside, matrix[:2], (size, size), flags=cv2.INTER_NEAREST) > 0
    return image, alpha, valid
