"""Training samples made by pasting hands onto other photos, seen as the predictor sees them.

A sample starts from a cut-out hand placed in an imagined photo. The recipe makes its prompts from
jittered landmarks and its region of interest, as it would for a real photo, and only that region
is painted: background, other hands and faces, sleeve or forearm, objects, light, camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from handseg.finetune import effects
from handseg.finetune.cutouts import Cutout, make_cutout, wrist_side
from handseg.finetune.sources import Example
from handseg.images import load_image
from handseg.prompts import IGNORED, PromptRecipe, draw_skeleton
from handseg.prompts.landmarks import WRIST, hand_size
from handseg.prompts.recipe import WRIST_END, palm_axis
from handseg.regions import FILL, Region

Generator = np.random.Generator


@dataclass(frozen=True, eq=False)
class Sample:
    """One region of interest with its truth and prompts, all in pixels of the region.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        alpha: (S, S) float32 0..1, the hand.
        valid: (S, S) bool, False outside of the photo's frame.
        points, labels: as in `PromptBatch`, one row.
        box: (4,) float32 xyxy.
        skeleton: (S / 4, S / 4) float32 logits.
    """

    image: np.ndarray
    alpha: np.ndarray
    valid: np.ndarray
    points: np.ndarray
    labels: np.ndarray
    box: np.ndarray
    skeleton: np.ndarray


def jitter_landmarks(landmarks: np.ndarray, rng: Generator) -> np.ndarray:
    """Landmarks with errors like MediaPipe's: the whole hand off a little, a finger off a lot."""
    size = hand_size(landmarks)
    centre = landmarks.mean(0)
    angle, scale = rng.normal(0, 0.03), np.exp(rng.normal(0, 0.03))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = (landmarks - centre) @ turn.T + centre + rng.normal(0, 0.02 * size, 2)
    moved = moved + rng.normal(0, 0.02 * size, (21, 2))
    if rng.random() < 0.15:
        joints = slice(*(np.array([2, 5]) + 4 * rng.integers(5)))
        moved[joints] += rng.normal(0, 0.12 * size, 2)
    return moved.astype(np.float32)


@dataclass
class Composer:
    """Makes samples from cut-outs, backgrounds and objects.

    Attributes:
        examples: photos with masks and landmarks, to cut hands from.
        scenes: photos with masks and landmarks to show as they are.
        backgrounds: picture files to paste onto. Hands or faces in them count as background.
        objects: RGBA picture files to put before or behind hands.
        recipe: makes the prompts and the region.
        weights: how often a set of `examples` is drawn, by its name; 1 where not named.
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
        self._chances = _chances(self.examples, self.weights)
        self._scene_chances = _chances(self.scenes, self.scene_weights)

    def sample(self, rng: Generator, size: int) -> Sample:
        """A sample of `size` px; the same generator state gives the same sample."""
        scene = bool(self.scenes) and rng.random() < self.scene_share
        if scene:
            example = self.scenes[rng.choice(len(self.scenes), p=self._scene_chances)]
        else:
            example = self._draw_example(rng)
        cutout = make_cutout(example) if not scene else _scene_cutout(example)
        place, shape = _place(cutout.landmarks, rng, upright=0.75 if scene else 0.6)
        if scene and rng.random() < 0.7:
            # The photo's own frame bounds the region, as it will when the photo is used.
            shape = None
        landmarks = _transform(cutout.landmarks, place)
        seen = jitter_landmarks(landmarks, rng)
        frame = shape or (100_000, 100_000)
        prompts = self.recipe.prompts(seen, *frame)
        margin = self.recipe.region_margin * rng.uniform(0.8, 1.25)
        region = Region.around(prompts.extent, margin)
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
        box = region.to_crop(prompts.extent.reshape(2, 2), size).reshape(4)
        points = region.to_crop(prompts.points, size)
        points[prompts.labels == IGNORED] = 0
        skeleton = draw_skeleton((region.to_crop(seen, size) + 0.5) / 4 - 0.5, size // 4)
        return Sample(image, alpha * valid, valid, points, prompts.labels, box, skeleton)

    def _draw_example(self, rng: Generator) -> Example:
        return self.examples[rng.choice(len(self.examples), p=self._chances)]

    def _paint(
        self, cutout: Cutout, matrix: np.ndarray, size: int, rng: Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        color, skin, hand = _warp(cutout, matrix, size)
        landmarks = _transform(cutout.landmarks, matrix)
        image = self._background(rng, size)
        if rng.random() < 0.3:
            image = self._paste_object(image, landmarks, rng, behind=True)[0]
        if rng.random() < 0.35:
            image = self._paste_other_hand(image, landmarks, rng)[0]
        tone = effects.vary_color(effects.vary_skin(color, rng), rng, 0.5)
        if rng.random() < 0.5:
            tone = np.clip(tone * effects.light_gradient(size, rng), 0, 255).astype(np.uint8)
        ending = rng.random()
        if ending < 0.45:
            skin = hand
        elif ending < 0.75:
            tone, skin = _draw_forearm(tone, skin, hand, landmarks, rng)
        if rng.random() < 0.4:
            image = effects.cast_shadow(image, skin, rng)
        image = _blend(image, tone, skin)
        alpha = hand
        if ending < 0.4:
            image, cover = self._draw_sleeve(image, landmarks, rng)
            alpha = alpha * (1 - cover)
        for chance, paste in ((0.12, self._paste_other_hand), (0.12, self._paste_object)):
            if rng.random() < chance:
                covered, cover = paste(image, landmarks, rng)
                # A hand mostly hidden is not one that landmarks would be found on.
                if (alpha * (1 - cover)).sum() > 0.55 * alpha.sum():
                    image, alpha = covered, alpha * (1 - cover)
        if rng.random() < 0.06:
            image = _draw_coin(image, landmarks, rng)
        if rng.random() < 0.4:
            image = np.clip(image * effects.light_gradient(size, rng, 0.7), 0, 255).astype(np.uint8)
        return image, alpha

    def _background(self, rng: Generator, size: int) -> np.ndarray:
        kind = rng.random()
        if kind < 0.08 or not self.backgrounds:
            color = rng.integers(0, 256, 3).astype(np.uint8)
            image = np.full((size, size, 3), color, np.uint8)
            factor = effects.light_gradient(size, rng, 1.0)
            return np.clip(image * factor, 0, 255).astype(np.uint8)
        picture = load_image(self.backgrounds[rng.integers(len(self.backgrounds))])
        shortest = min(picture.shape[:2])
        side = int(shortest * rng.uniform(0.3, 1))
        y = rng.integers(picture.shape[0] - side + 1)
        x = rng.integers(picture.shape[1] - side + 1)
        image = cv2.resize(picture[y : y + side, x : x + side], (size, size))
        if rng.random() < 0.5:
            image = image[:, ::-1]
        if rng.random() < 0.2:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 5))
        return effects.vary_color(np.ascontiguousarray(image), rng)

    def _paste_other_hand(
        self, image: np.ndarray, landmarks: np.ndarray, rng: Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Another hand near the first; the picture with it and what it covers."""
        size = image.shape[0]
        other = make_cutout(self._draw_example(rng))
        place, _ = _place(other.landmarks, rng, upright=0.5)
        ratio = hand_size(landmarks) / hand_size(_transform(other.landmarks, place))
        place[:2] *= ratio * rng.uniform(0.7, 1.4)
        angle = rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.9, 1.9) * hand_size(landmarks)
        target = landmarks.mean(0) + reach * np.array([np.cos(angle), np.sin(angle)])
        place[:2, 2] += target - _transform(other.landmarks, place).mean(0)
        color, skin, hand = _warp(other, place[:2], size)
        skin = skin if rng.random() < 0.5 else hand
        tone = effects.vary_color(effects.vary_skin(color, rng), rng, 0.5)
        return _blend(image, tone, skin), skin

    def _paste_object(
        self, image: np.ndarray, landmarks: np.ndarray, rng: Generator, behind: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        size = image.shape[0]
        if not self.objects:
            return image, np.zeros((size, size), np.float32)
        path = str(self.objects[rng.integers(len(self.objects))])
        picture = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
            raise ValueError(f"an object must be a picture with an alpha channel: {path}")
        length = hand_size(landmarks) * rng.uniform(0.5, 1.8 if behind else 1.1)
        scale = length / max(picture.shape[:2])
        angle = rng.uniform(-180, 180)
        middle = (np.array(picture.shape[1::-1]) - 1) / 2
        matrix = cv2.getRotationMatrix2D(middle.tolist(), angle, scale)
        offset = rng.normal(0, 0.6 * hand_size(landmarks), 2)
        matrix[:, 2] += landmarks.mean(0) + offset - middle
        warped = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_AREA)
        cover = warped[..., 3].astype(np.float32) / 255
        return _blend(image, warped[..., 2::-1], cover), cover

    def _draw_sleeve(
        self, image: np.ndarray, landmarks: np.ndarray, rng: Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cloth from somewhere around the wrist outwards, and what it covers."""
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
        cover = np.zeros((size, size), np.uint8)
        fixed = np.round(np.clip(outline, -4000, 4000) * 16).astype(np.int32)
        cv2.fillPoly(cover, [fixed], 255, cv2.LINE_AA, shift=4)
        cloth = self._background(rng, size)
        if rng.random() < 0.6:
            color = rng.integers(0, 256, 3) * rng.uniform(0.1, 1)
            texture = cv2.cvtColor(cloth, cv2.COLOR_RGB2GRAY).astype(np.float32)
            texture = 1 + rng.uniform(0, 0.6) * (texture / 128 - 1)
            cloth = np.clip(texture[..., None] * color, 0, 255).astype(np.uint8)
        cloth = np.clip(cloth * effects.light_gradient(size, rng, 1.0), 0, 255).astype(np.uint8)
        mask = cover.astype(np.float32) / 255
        return _blend(image, cloth, mask), mask


def _chances(examples: Sequence[Example], weights: dict[str, float]) -> np.ndarray:
    """The chance of each example: sets share by their weights, whatever their sizes."""
    names = np.array([example.set_name for example in examples])
    chances = np.zeros(len(names))
    for name in np.unique(names):
        in_set = names == name
        chances[in_set] = weights.get(str(name), 1.0) / in_set.sum()
    return chances / chances.sum() if len(names) else chances


def _place(
    landmarks: np.ndarray, rng: Generator, upright: float
) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Put a hand into an imagined photo: a 3 x 3 matrix and the photo's (height, width).

    One in four photos cuts the hand by an edge of its frame.
    """
    angle = rng.normal(0, 0.35) if rng.random() < upright else rng.uniform(-np.pi, np.pi)
    flip = rng.choice([-1.0, 1.0])
    stretch = np.exp(rng.normal(0, 0.06, 2))
    shear = rng.normal(0, 0.06)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = linear @ np.array([[flip * stretch[0], shear], [0, stretch[1]]])
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


def _transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return (points @ matrix[:2, :2].T + matrix[:2, 2]).astype(np.float32)


def _scaled_inside(region: Region, frame: tuple[int, int], size: int) -> tuple[slice, slice]:
    rows, columns = region.inside(*frame)
    scale = size / region.side
    return (
        slice(round(rows.start * scale), round(rows.stop * scale)),
        slice(round(columns.start * scale), round(columns.stop * scale)),
    )


def _warp(cutout: Cutout, matrix: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """Colour, skin and hand of a cut-out in the region, edges about 1.5 px soft at any scale."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    sharpen = max(1.0, scale)
    color = cv2.warpAffine(
        cutout.color, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    planes = cv2.merge([cutout.alpha, cutout.hand])
    planes = cv2.warpAffine(planes, matrix, (size, size), flags=cv2.INTER_CUBIC)
    planes = np.clip((planes - 0.5) * sharpen + 0.5, 0, 1)
    return color, planes[..., 0], planes[..., 1]


def _scene_cutout(example: Example) -> Cutout:
    image, mask = example.load()
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
    assert example.landmarks is not None
    hand = alpha * wrist_side(example.landmarks, *mask.shape)
    return Cutout(image, alpha, hand, example.landmarks)


def _show(
    scene: Cutout, matrix: np.ndarray, size: int, rng: Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A real photo in the region: picture, hand, and where the photo is."""
    image, _, hand = _warp(scene, matrix, size)
    photo = np.full(scene.hand.shape, 255, np.uint8)
    inside = cv2.warpAffine(photo, matrix, (size, size)) > 127
    if rng.random() < 0.3:
        image = np.clip(image * effects.light_gradient(size, rng, 0.6), 0, 255).astype(np.uint8)
    return effects.vary_color(image, rng, 0.6), hand, inside


def _blend(image: np.ndarray, top: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    # cv2's uint8 blend is some ten times faster than NumPy's in float.
    return cv2.blendLinear(np.ascontiguousarray(top), np.ascontiguousarray(image), alpha, 1 - alpha)


def _draw_forearm(
    color: np.ndarray,
    skin: np.ndarray,
    hand: np.ndarray,
    landmarks: np.ndarray,
    rng: Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Bare skin beyond the wrist where the cut-out ends: it looks like hand but is none."""
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
    cover = np.zeros((size, size), np.uint8)
    fixed = np.round(np.clip(outline, -4000, 4000) * 16).astype(np.int32)
    cv2.fillPoly(cover, [fixed], 255, cv2.LINE_AA, shift=4)
    mask = cover.astype(np.float32) / 255
    # Each column of the arm goes on with the colours that the wrist has there.
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
    mask = mask * (1 - hand)
    color = _blend(color, np.clip(arm, 0, 255).astype(np.uint8), mask)
    return color, np.maximum(hand, mask)


def _draw_coin(image: np.ndarray, landmarks: np.ndarray, rng: Generator) -> np.ndarray:
    """A coin on the palm; it belongs to the cut-out, so the mask stays as it is."""
    size = image.shape[0]
    centre = landmarks[[0, 5, 9, 13, 17]].mean(0) + rng.normal(0, 0.08 * hand_size(landmarks), 2)
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
    return _blend(image, np.clip(face, 0, 255).astype(np.uint8), cover.astype(np.float32) / 255)
