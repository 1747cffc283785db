"""Training samples made by pasting hands onto other photos, seen as the predictor sees them.

A sample starts from a cut-out hand placed in an imagined photo. As for a real photo, the recipe
makes its prompts and region of interest from (jittered) landmarks. Only that region is painted:
background, other hands and faces, sleeve or forearm, objects, light, camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from handseg.landmarks.anatomy import hand_size, wrist_side
from handseg.models.region import FILL, Region
from handseg.prompts import PromptRecipe
from handseg.synthetic.pasted import effects
from handseg.synthetic.pasted.cutouts import Cutout, make_cutout
from handseg.synthetic.pasted.pasting import (
    blend,
    draw_coin,
    draw_forearm,
    draw_sleeve,
    paint_background,
    paste_object,
    pick,
    warp,
)
from handseg.synthetic.pasted.sources import Example
from handseg.synthetic.sample import Sample

Generator = np.random.Generator


@dataclass
class Composer:
    """Makes samples from cut-outs, backgrounds and objects.

    Attributes:
        examples: photos with masks and landmarks, to cut hands from.
        scenes: photos with masks and landmarks to show as they are.
        backgrounds: picture files to paste onto. Hands or faces in them count as background.
        objects: RGBA picture files to put in front of or behind hands.
        recipe: makes the prompts and the region.
        weights: how often each set of `examples` is drawn, by name; 1 if not named.
        scene_weights: the same for `scenes`.
        scene_share: share of samples that show a scene instead of a composite.
    """

    examples: Sequence[Example]
    scenes: Sequence[Example]
    backgrounds: Sequence[Path]
    objects: Sequence[Path]
    recipe: PromptRecipe
    weights: dict[str, float] = field(default_factory=dict)
    scene_weights: dict[str, float] = field(default_factory=dict)
    scene_share: float = 0.2

    def __post_init__(self) -> None:
        self._chances = chances(self.examples, self.weights)
        self._scene_chances = chances(self.scenes, self.scene_weights)

    def sample(self, rng: Generator, size: int) -> Sample:
        """Make a sample of `size` px; the same generator state gives the same sample."""
        scene = bool(self.scenes) and rng.random() < self.scene_share
        if scene:
            example = self.scenes[rng.choice(len(self.scenes), p=self._scene_chances)]
        else:
            example = self._draw_example(rng)
        cutout = make_cutout(example) if not scene else _scene_cutout(example)
        place, shape = place_hand(cutout.landmarks, rng, upright=0.75 if scene else 0.6)
        if scene and rng.random() < 0.7:
            # The photo's own frame bounds the region, as in real use.
            shape = None
        landmarks = transform(cutout.landmarks, place)
        seen = effects.jitter_landmarks(landmarks, rng)
        frame = shape or (100_000, 100_000)
        prompts = self.recipe.prompts(seen, *frame)
        margin = self.recipe.region_margin * rng.uniform(0.8, 1.25)
        region = Region.around(prompts.roi_box, margin)
        to_crop = np.diag([size / region.side] * 2 + [1.0])
        to_crop[:2, 2] = (np.array([-region.x, -region.y]) + 0.5) * size / region.side - 0.5
        matrix = (to_crop @ place)[:2]

        valid = np.zeros((size, size), bool)
        valid[_scaled_inside(region, frame, size)] = True
        if scene:
            image, alpha, photo = _show(cutout, matrix, size, rng)
            if shape is None:
                valid = photo
        else:
            image, alpha = self._paint(cutout, matrix, size, rng)
        image = effects.camera(effects.vary_color(image, rng, 0.7), rng)
        image[~valid] = FILL
        return Sample.of_region(image, alpha, valid, prompts, region)

    def _draw_example(self, rng: Generator) -> Example:
        return self.examples[rng.choice(len(self.examples), p=self._chances)]

    def _paint(
        self, cutout: Cutout, matrix: np.ndarray, size: int, rng: Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        color, skin, hand = warp(cutout, matrix, size)
        landmarks = transform(cutout.landmarks, matrix)
        image = paint_background(self.backgrounds, rng, size)
        if self.objects and rng.random() < 0.3:
            image = paste_object(image, pick(self.objects, rng), landmarks, rng, 1.8)[0]
        if rng.random() < 0.35:
            image = self._paste_other_hand(image, landmarks, rng)[0]
        tone = effects.vary_color(effects.vary_skin(color, rng), rng, 0.5)
        if rng.random() < 0.5:
            tone = effects.lit(tone, effects.light_gradient(size, rng))
        ending = rng.random()
        if ending < 0.45:
            skin = hand
        elif ending < 0.75:
            tone, skin = draw_forearm(tone, skin, hand, landmarks, rng)
        if rng.random() < 0.4:
            image = effects.cast_shadow(image, skin, rng)
        image = blend(image, tone, skin)
        alpha = hand
        if ending < 0.4:
            image, cover = draw_sleeve(
                image, paint_background(self.backgrounds, rng, size), landmarks, rng
            )
            alpha = alpha * (1 - cover)
        covers = []
        if rng.random() < 0.12:
            covers.append(self._paste_other_hand(image, landmarks, rng))
        elif self.objects and rng.random() < 0.12:
            covers.append(paste_object(image, pick(self.objects, rng), landmarks, rng, 1.1))
        for covered, cover in covers:
            # Landmarks would not be found on a hand that is mostly hidden.
            if (alpha * (1 - cover)).sum() > 0.55 * alpha.sum():
                image, alpha = covered, alpha * (1 - cover)
        if rng.random() < 0.06:
            image = draw_coin(image, landmarks, rng)
        if rng.random() < 0.4:
            image = effects.lit(image, effects.light_gradient(size, rng, 0.7))
        return image, alpha

    def _paste_other_hand(
        self, image: np.ndarray, landmarks: np.ndarray, rng: Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Paste another hand near the first; return the picture and the alpha of what it covers."""
        size = image.shape[0]
        other = make_cutout(self._draw_example(rng))
        place, _ = place_hand(other.landmarks, rng, upright=0.5)
        ratio = hand_size(landmarks) / hand_size(transform(other.landmarks, place))
        place[:2] *= ratio * rng.uniform(0.7, 1.4)
        angle = rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.9, 1.9) * hand_size(landmarks)
        target = landmarks.mean(0) + reach * np.array([np.cos(angle), np.sin(angle)])
        place[:2, 2] += target - transform(other.landmarks, place).mean(0)
        color, skin, hand = warp(other, place[:2], size)
        skin = skin if rng.random() < 0.5 else hand
        tone = effects.vary_color(effects.vary_skin(color, rng), rng, 0.5)
        return blend(image, tone, skin), skin


def chances(examples: Sequence[Example], weights: dict[str, float]) -> np.ndarray:
    """Return each example's chance: sets get their weights' shares, whatever their sizes."""
    names = np.array([example.set_name for example in examples])
    chances = np.zeros(len(names))
    for name in np.unique(names):
        in_set = names == name
        chances[in_set] = weights.get(str(name), 1.0) / in_set.sum()
    return chances / chances.sum() if len(names) else chances


def place_hand(
    landmarks: np.ndarray, rng: Generator, upright: float
) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Place a hand in an imagined photo: a 3 x 3 matrix and the photo's (height, width).

    In one photo in four, an edge of the frame cuts the hand.
    """
    angle = rng.normal(0, 0.35) if rng.random() < upright else rng.uniform(-np.pi, np.pi)
    flip = rng.choice([-1.0, 1.0])
    stretch = np.exp(rng.normal(0, 0.06, 2))
    shear = rng.normal(0, 0.06)
    linear = effects.rotation(angle) @ np.array([[flip * stretch[0], shear], [0, stretch[1]]])
    linear *= 300 / hand_size(landmarks)
    moved = landmarks @ linear.T
    low, high = moved.min(0), moved.max(0)
    before, after = rng.uniform(20, 3000, (2, 2))
    if rng.random() < 0.25:
        side, edge = rng.integers(2), rng.integers(2)
        cut = -rng.uniform(0.0, 0.35) * (high - low)[side]
        (before if edge == 0 else after)[side] = cut
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = before - low
    width, height = np.ceil(high - low + before + after).astype(int)
    return matrix, (int(height), int(width))


def transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return `points` (N, 2) transformed by the first two rows of `matrix`, float32."""
    return (points @ matrix[:2, :2].T + matrix[:2, 2]).astype(np.float32)


def _scaled_inside(region: Region, frame: tuple[int, int], size: int) -> tuple[slice, slice]:
    rows, columns = region.inside(*frame)
    scale = size / region.side
    return (
        slice(round(rows.start * scale), round(rows.stop * scale)),
        slice(round(columns.start * scale), round(columns.stop * scale)),
    )


def _scene_cutout(example: Example) -> Cutout:
    image, mask = example.load()
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
    assert example.landmarks is not None
    hand = alpha * wrist_side(example.landmarks, *mask.shape)
    return Cutout(image, alpha, hand, example.landmarks)


def _show(
    scene: Cutout, matrix: np.ndarray, size: int, rng: Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Show a real photo in the region: the picture, the hand, and where the photo is."""
    image, _, hand = warp(scene, matrix, size)
    photo = np.full(scene.hand.shape, 255, np.uint8)
    inside = cv2.warpAffine(photo, matrix, (size, size)) > 127
    if rng.random() < 0.3:
        image = effects.lit(image, effects.light_gradient(size, rng, 0.6))
    return effects.vary_color(image, rng, 0.6), hand, inside
