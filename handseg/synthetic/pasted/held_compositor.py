"""Pictures of hands that hold an object or nothing, with exact masks of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from handseg.landmarks.anatomy import BONES, PALM, TIPS, grip, hand_size, wrist_side
from handseg.synthetic.pasted import effects
from handseg.synthetic.pasted.compositor import chances, place_hand, transform
from handseg.synthetic.pasted.cutouts import Cutout, make_cutout
from handseg.synthetic.pasted.objects import SIDE, draw_object
from handseg.synthetic.pasted.pasting import (
    blend,
    draw_forearm,
    draw_sleeve,
    lay_object,
    paint_background,
    pick,
    read_object,
    warp,
)
from handseg.synthetic.pasted.sources import Example

Generator = np.random.Generator

HELD = ("behind", "between", "front")
"""Ways to hold: the hand in front of the object; the object on the palm and under fingertips or
thumb; the object in front of the hand, touching the fingers."""
EMPTY = ("nothing", "apart", "distant")
"""Ways not to: no object; one beside the hand; a large one out of focus far behind it."""
_TRIES = 16
_LONGEST = 2.8  # Hand sizes from tip to wrist: longer hands are too foreshortened, or misread.


@dataclass(frozen=True, eq=False)
class HeldSample:
    """A picture with its truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        hand: (H, W) bool, the visible part of the hand.
        held: (H, W) bool, the visible part of the object it holds; disjoint from `hand`.
        landmarks: (21, 2) float32 x, y px, as found on the cut-out.
        way: one of `HELD` or `EMPTY`.
    """

    image: np.ndarray
    hand: np.ndarray
    held: np.ndarray
    landmarks: np.ndarray
    way: str


@dataclass(frozen=True, eq=False)
class _Layers:
    """The (S, S) layers that a picture starts from: the scene behind the hand, and the hand.

    The picture is their top left part of `shape` (height, width); `sleeve` tells whether a sleeve
    is drawn over the wrist.
    """

    image: np.ndarray
    color: np.ndarray
    skin: np.ndarray
    hand: np.ndarray
    landmarks: np.ndarray
    shape: tuple[int, int]
    sleeve: bool


@dataclass
class HeldComposer:
    """Makes pictures of real hands with and without held objects.

    Attributes:
        examples: photos with masks and landmarks, to cut hands from.
        backgrounds: picture files to paste onto.
        objects: RGBA picture files of objects.
        weights: how often each set of `examples` is drawn, by name; 1 if not named.
        as_scenes: show photos of `examples` unchanged except for the object, instead of cutting
            hands out of them.
        size: the longer side of the pictures, px.
        empty_share: share of pictures in which nothing is held.
        drawn_share: share of objects drawn by code instead of taken from `objects`.
    """

    examples: Sequence[Example]
    backgrounds: Sequence[Path]
    objects: Sequence[Path]
    weights: dict[str, float] = field(default_factory=dict)
    as_scenes: bool = False
    size: int = 640
    empty_share: float = 0.3
    drawn_share: float = 0.5

    def __post_init__(self) -> None:
        self._chances = chances(self.examples, self.weights)

    def sample(self, rng: Generator) -> HeldSample:
        """Make a picture; the same generator state gives the same one."""
        if rng.random() < self.empty_share:
            way = str(rng.choice(EMPTY, p=(0.6, 0.4, 0) if self.as_scenes else (0.35, 0.4, 0.25)))
        else:
            way = str(rng.choice(HELD, p=(0.35, 0.5, 0.15)))
        while True:
            # Some poses hide everything behind them: try another hand.
            if made := self._paint(way, rng):
                return made

    def _paint(self, way: str, rng: Generator) -> HeldSample | None:
        layers = self._scene(rng) if self.as_scenes else self._pasted(way, rng)
        landmarks, hand, skin, image = layers.landmarks, layers.hand, layers.skin, layers.image
        unit = hand_size(landmarks)
        near = 0.12 * unit / self.size
        if np.ptp(landmarks, axis=0).max() > _LONGEST * unit:
            return None
        if way == "apart" or (way in HELD and rng.random() < 0.25):
            image = self._paste_apart(image, landmarks, skin, rng)
        fingers = np.zeros_like(hand)
        cover = np.zeros_like(hand)
        if way in HELD:
            if way == "between":
                fingers = hand * _finger_area(landmarks, self.size, rng)
            laid = self._lay_held(way, landmarks, hand, fingers, rng)
            if laid is None:
                return None
            item, cover = laid

        held = cover
        if way == "behind":
            image = blend(image, item, cover)
            image = _shade(image, skin, rng, near)
            held = cover * (1 - skin)
        elif not self.as_scenes and rng.random() < 0.4:
            image = effects.cast_shadow(image, skin, rng)
        image = blend(image, layers.color, skin)
        if layers.sleeve:
            cloth = paint_background(self.backgrounds, rng, self.size)
            image, sleeve = draw_sleeve(image, cloth, landmarks, rng)
            hand, held, fingers = (one * (1 - sleeve) for one in (hand, held, fingers))
        if way in ("between", "front"):
            image = blend(_shade(image, cover, rng, near), item, cover)
            shaded = _shade(image, fingers, rng, near)
            image = blend(blend(image, shaded, cover), layers.color, fingers)
            held = cover * (1 - fingers)
            hand = fingers + (1 - fingers) * hand * (1 - cover)
        if rng.random() < 0.4:
            image = effects.lit(image, effects.light_gradient(self.size, rng, 0.7))
        image = effects.camera(effects.vary_color(image, rng, 0.7), rng)
        height, width = layers.shape
        image, hand, held = (part[:height, :width] for part in (image, hand, held))
        return HeldSample(image, hand > 0.5, held > 0.5, landmarks, way)

    def _pasted(self, way: str, rng: Generator) -> _Layers:
        """Prepare a cut-out hand to paste onto a background."""
        size = self.size
        example = self.examples[rng.choice(len(self.examples), p=self._chances)]
        cutout = make_cutout(example)
        matrix = self._place(cutout.landmarks, rng)
        landmarks = transform(cutout.landmarks, matrix)
        color, skin, hand = warp(cutout, matrix, size)
        color = effects.vary_color(effects.vary_skin(color, rng), rng, 0.5)
        if rng.random() < 0.5:
            color = effects.lit(color, effects.light_gradient(size, rng))
        ending = rng.random()
        if ending < 0.45:
            skin = hand
        elif ending < 0.75:
            color, skin = draw_forearm(color, skin, hand, landmarks, rng)
        image = paint_background(self.backgrounds, rng, size)
        if way == "distant" or (way in HELD and rng.random() < 0.2):
            image = self._paste_distant(image, landmarks, rng)
        return _Layers(image, color, skin, hand, landmarks, (size, size), ending < 0.4)

    def _scene(self, rng: Generator) -> _Layers:
        """Prepare a whole photo, at times mirrored, with the hand that its mask shows."""
        example = self.examples[rng.choice(len(self.examples), p=self._chances)]
        photo, mask = example.load()
        assert example.landmarks is not None
        landmarks = example.landmarks
        if rng.random() < 0.5:
            photo, mask = photo[:, ::-1], mask[:, ::-1]
            landmarks = landmarks * [-1, 1] + [mask.shape[1] - 1, 0]
        scale = self.size / max(mask.shape)
        matrix = np.array([[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5]])
        alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
        hand = alpha * wrist_side(landmarks, *mask.shape)
        whole = Cutout(np.ascontiguousarray(photo), alpha, hand, landmarks)
        color, skin, hand = warp(whole, matrix, self.size)
        height, width = np.round(np.multiply(mask.shape, scale)).astype(int).tolist()
        color = effects.vary_color(color, rng, 0.5)
        moved = transform(landmarks, matrix)
        return _Layers(color, color, skin, hand, moved, (height, width), False)

    def _place(self, landmarks: np.ndarray, rng: Generator) -> np.ndarray:
        """Return a 2 x 3 matrix that moves the hand into the picture."""
        place, _ = place_hand(landmarks, rng, upright=0.6)
        unit = self.size * rng.uniform(0.1, 0.2)
        place[:2] *= unit / hand_size(transform(landmarks, place))
        middle = (0.5 + rng.normal(0, 0.07, 2)) * self.size
        place[:2, 2] += middle - transform(landmarks, place).mean(0)
        return place[:2]

    def _object(self, rng: Generator) -> np.ndarray:
        if rng.random() < self.drawn_share or not self.objects:
            return draw_object(paint_background(self.backgrounds, rng, SIDE), rng)
        picture = read_object(pick(self.objects, rng))
        return np.dstack([effects.vary_color(picture[..., :3].copy(), rng, 0.6), picture[..., 3]])

    def _lay_held(
        self,
        way: str,
        landmarks: np.ndarray,
        hand: np.ndarray,
        fingers: np.ndarray,
        rng: Generator,
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Place an object where the hand would hold it: its colours and alpha.

        Returns None if no place is found where enough of both is visible.
        """
        unit = hand_size(landmarks)
        palm = landmarks[list(PALM)].mean(0)
        for _ in range(_TRIES):
            between = rng.uniform(0, 1) if way != "front" else rng.uniform(0.7, 1.2)
            middle = palm + between * (grip(landmarks).mean(0) - palm)
            middle = middle + rng.normal(0, 0.3 * unit, 2)
            length = unit * np.exp(rng.uniform(np.log(0.3), np.log(2.5)))
            item, cover = lay_object(
                self._object(rng), middle, length, rng.uniform(-180, 180), self.size
            )
            touching = (cover * hand).sum()
            if way == "behind":
                hidden, seen = touching, (cover * (1 - hand)).sum()
                fits = hidden > 0.12 * cover.sum() and hidden > 0.03 * unit**2
            else:
                hidden = (cover * hand * (1 - fingers)).sum()
                seen = (cover * (1 - fingers)).sum()
                fits = touching > 0.01 * unit**2 and hidden < 0.5 * hand.sum()
                if way == "between":
                    fits = fits and (cover * fingers).sum() > 0.02 * unit**2
            if fits and seen > 0.2 * cover.sum() and seen > 0.04 * unit**2:
                return item, cover
        return None

    def _paste_apart(
        self, image: np.ndarray, landmarks: np.ndarray, skin: np.ndarray, rng: Generator
    ) -> np.ndarray:
        """Paste an object beside the hand; return `image` itself if there is no room."""
        unit = hand_size(landmarks)
        free = cv2.distanceTransform((skin < 0.1).astype(np.uint8), cv2.DIST_L2, 5)
        for _ in range(_TRIES):
            angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(1, 3) * unit
            middle = landmarks.mean(0) + reach * np.array([np.cos(angle), np.sin(angle)])
            length = unit * rng.uniform(0.3, 2)
            item, cover = lay_object(
                self._object(rng), middle, length, rng.uniform(-180, 180), self.size
            )
            inside = free[cover > 0.05]
            if len(inside) and inside.min() > 0.2 * unit:
                return blend(image, item, cover)
        return image

    def _paste_distant(
        self, image: np.ndarray, landmarks: np.ndarray, rng: Generator
    ) -> np.ndarray:
        """Paste a large object far behind the hand, out of focus."""
        unit = hand_size(landmarks)
        middle = landmarks.mean(0) + rng.normal(0, 1.5 * unit, 2)
        length, angle = unit * rng.uniform(3, 7), rng.uniform(-180, 180)
        item, cover = lay_object(self._object(rng), middle, length, angle, self.size)
        pasted = blend(image, item, cover)
        return cv2.GaussianBlur(pasted, (0, 0), unit * rng.uniform(0.03, 0.09))


def _finger_area(landmarks: np.ndarray, size: int, rng: Generator) -> np.ndarray:
    """Return (size, size) float32, 1 on the ends of some fingers, which lie over the object."""
    thumb, others = TIPS[0], TIPS[1:]
    chosen = [[thumb], list(others), list(TIPS), list(others[:2]), [thumb, others[0]]]
    bones = int(rng.integers(1, 4))
    tips = chosen[rng.choice(len(chosen), p=(0.25, 0.3, 0.25, 0.1, 0.1))]
    ends = {tip - back for tip in tips for back in range(min(bones, 2 if tip == thumb else 3))}
    # Each pixel belongs to its nearest bone.
    x, y = np.meshgrid(*[np.arange(0, size, 2, dtype=np.float32)] * 2)
    points = np.stack([x, y], -1)
    distances = []
    for start, end in BONES:
        along = landmarks[end] - landmarks[start]
        where = ((points - landmarks[start]) @ along) / max(float(along @ along), 1e-6)
        nearest = landmarks[start] + np.clip(where, 0, 1)[..., None] * along
        distances.append(np.linalg.norm(points - nearest, axis=-1))
    closest = np.argmin(distances, axis=0)
    on_ends = np.isin(closest, [i for i, (_, end) in enumerate(BONES) if end in ends])
    area = cv2.resize(on_ends.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(area, (0, 0), 0.8)


def _shade(image: np.ndarray, alpha: np.ndarray, rng: Generator, near: float) -> np.ndarray:
    """Cast on `image`, in 8 of 10 cases, the shadow of something that touches it."""
    return effects.cast_shadow(image, alpha, rng, near) if rng.random() < 0.8 else image
