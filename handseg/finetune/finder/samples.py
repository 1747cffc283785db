"""Training images of the hand finder: photos cropped, rotated and recoloured, hands pasted in."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from handseg.finetune.finder.photos import FinderPhoto, OutlinedHand, hand_of_cutout
from handseg.finetune.finder.targets import TrueHand, target_maps
from handseg.finetune.sampler import Item
from handseg.landmarks.close_ups import PAD
from handseg.synthetic.pasted import effects
from handseg.synthetic.pasted.compositor import transform
from handseg.synthetic.pasted.cutouts import Cutout
from handseg.synthetic.pasted.pasting import blend, draw_band, draw_forearm, draw_sleeve, warp

Generator = np.random.Generator
PASTED = "pasted"
ARM, BAND, SLEEVE = 0.7, 0.35, 0.4
"""Share of pasted hands on an arm that reaches the image border; share of these with something
around the wrist; share of the rest in a sleeve."""
SMALL = 0.3
"""Share of images with a small hand-free picture pasted in."""
IN_VIEW = 0.4
"""Least share of a hand's box inside the image for the hand to be a target."""
HIDDEN, HALF_HIDDEN = 0.8, 0.4
"""Share of a hand's convex hull under another hand and its arm, from which it is no target, and
from which it is neither target nor background."""


class FinderSamples(Dataset[Item]):
    """Any number of training images; image i depends only on the seed and i.

    Args:
        photos: the source photos.
        weights: how often each set is shown, by its name, and `PASTED`.
        size: side of the images, px.
        rotation: standard deviation of the angle, degrees.
        seed: seed of all random choices.
        count: reported number of images.
    """

    def __init__(
        self,
        photos: Sequence[FinderPhoto],
        weights: dict[str, float],
        size: int,
        rotation: float,
        seed: int,
        count: int = 0,
    ) -> None:
        self.size, self.rotation, self.seed, self.count = size, rotation, seed, count
        self._sets: dict[str, list[FinderPhoto]] = {}
        for photo in photos:
            self._sets.setdefault(photo.set_name, []).append(photo)
        self._empty = [sets for sets in self._sets.values() if sets[0].is_empty]
        self._under = [photo for photo in photos if photo.is_empty]
        self._cutouts = [photo for photo in photos if photo.example is not None]
        names = [name for name in weights if name in self._sets]
        if self._cutouts and self._under and weights.get(PASTED):
            names.append(PASTED)
        shares = np.array([weights[name] for name in names], float)
        self._names, self._shares = names, shares / shares.sum()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Item:
        image, hands = self.picture(index)
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
        return {"pixels": pixels, **target_maps(hands, self.size, self.size)}

    def picture(self, index: int) -> tuple[np.ndarray, list[TrueHand]]:
        """Return image number `index`, (S, S, 3) uint8 RGB, and its hands."""
        rng = np.random.default_rng([self.seed, index])
        name = self._names[rng.choice(len(self._names), p=self._shares)]
        shown = self._under if name == PASTED else self._sets[name]
        photo = shown[rng.integers(len(shown))]
        image, hands = photo.load()
        image, hands = self._shown(image, hands, photo.turns, rng)
        if self._empty and rng.random() < SMALL:
            image = self._paste_small(image, hands, rng)
        if name == PASTED:
            for _ in range(int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))):
                image, alpha, hand = self._paste(image, rng)
                hands = [*still_seen(hands, alpha), hand]
        image = effects.vary_color(image, rng, 0.6)
        if rng.random() < 0.5:
            image = effects.camera(image, rng)
        return image, [one for hand in hands if (one := _seen(hand, self.size)) is not None]

    def _shown(
        self, image: np.ndarray, hands: list[OutlinedHand], turns: bool, rng: Generator
    ) -> tuple[np.ndarray, list[OutlinedHand]]:
        """Place all or part of the photo in the image."""
        size = self.size
        height, width = image.shape[:2]
        scale = size / max(height, width) * np.exp(rng.uniform(np.log(0.6), np.log(2.2)))
        angle = 0.0
        if turns:
            angle = rng.normal(0, np.radians(self.rotation))
            if rng.random() < 0.125:
                angle = rng.uniform(-np.pi, np.pi)
        mirror = -1.0 if rng.random() < 0.5 else 1.0
        linear = scale * effects.rotation(angle) @ np.diag([mirror, 1.0])
        stretch = np.exp(rng.normal(0, 0.06))
        linear = linear @ np.diag([stretch, 1 / stretch])
        if hands and rng.random() < 0.85:  # Keep one of the hands somewhere in the image.
            about = hands[rng.integers(len(hands))].hull.mean(0)
            target = rng.uniform(0.08, 0.92, 2) * size
        else:
            about = np.array([width, height]) / 2
            room = abs(np.array([width, height]) * scale - size) / 2
            target = size / 2 + rng.uniform(-1, 1, 2) * room
        matrix = np.column_stack([linear, target - linear @ about])
        (image,), used = _shrunk([image], scale, matrix)
        image = cv2.warpAffine(
            image, used, (size, size), flags=cv2.INTER_LINEAR, borderValue=(PAD, PAD, PAD)
        )
        return image, [_moved(hand, matrix, mirror < 0) for hand in hands]

    def _paste_small(
        self, image: np.ndarray, hands: list[OutlinedHand], rng: Generator
    ) -> np.ndarray:
        """Paste a small hand-free picture, as on a wall: small faces and objects are no hands."""
        photos = self._empty[rng.integers(len(self._empty))]
        small, _ = photos[rng.integers(len(photos))].load()
        longest = self.size * np.exp(rng.uniform(np.log(0.06), np.log(0.45)))
        scale = longest / max(small.shape[:2])
        small = cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        sides = np.array(small.shape[1::-1])
        low = rng.integers(0, self.size - sides + 1)
        high = low + sides
        boxes = [_box(hand) for hand in hands]
        if any((box[:2] < high).all() and (box[2:] > low).all() for box in boxes):
            return image
        image = image.copy()
        image[low[1] : high[1], low[0] : high[0]] = effects.vary_color(small, rng, 0.5)
        return image

    def _paste(
        self, image: np.ndarray, rng: Generator
    ) -> tuple[np.ndarray, np.ndarray, OutlinedHand]:
        """Paste a hand; also returns what it covers with its arm, (S, S) float32 0..1."""
        size = self.size
        photo = self._cutouts[rng.integers(len(self._cutouts))]
        assert photo.example is not None
        cutout, hand = hand_of_cutout(photo.example)
        longest = float((hand.hull.max(0) - hand.hull.min(0)).max())
        scale = size * np.exp(rng.uniform(np.log(0.05), np.log(0.7))) / longest
        angle = rng.normal(0, 0.6) if rng.random() < 0.6 else rng.uniform(-np.pi, np.pi)
        mirror = -1.0 if rng.random() < 0.5 else 1.0
        linear = scale * effects.rotation(angle) @ np.diag([mirror, 1.0])
        target = rng.uniform(0.0, 1.0, 2) * size
        matrix = np.column_stack([linear, target - linear @ hand.hull.mean(0)])
        (color, skin, bare), used = _shrunk(
            [cutout.color, cutout.alpha, cutout.hand], scale, matrix
        )
        small = Cutout(color, skin, bare, cutout.landmarks)
        color, skin, bare = warp(small, used, size)
        landmarks = transform(cutout.landmarks, matrix)
        tone = effects.vary_color(effects.vary_skin(color, rng), rng, 0.5)
        cut, with_arm = skin, False
        if rng.random() < ARM:
            tone, skin = draw_forearm(tone, cut, bare, landmarks, rng)
            with_arm = skin is not cut
        if rng.random() < 0.3:
            image = effects.cast_shadow(image, skin, rng, 0.03)
        image = blend(image, tone, skin)
        if with_arm and rng.random() < BAND:
            image = draw_band(image, landmarks, rng)
        elif with_arm and rng.random() < SLEEVE:
            cloth, _ = self._under[rng.integers(len(self._under))].load()
            cloth, _ = self._shown(cloth, [], True, rng)
            image, sleeve = draw_sleeve(image, cloth, landmarks, rng)
            skin = np.maximum(skin, sleeve)
        return image, skin, _moved(hand, matrix, mirror < 0)


def _shrunk(
    pictures: list[np.ndarray], scale: float, matrix: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """Shrink images by area before warping if `scale` is small; adapt the matrix.

    Warping alone samples single pixels.
    """
    if scale >= 0.7:
        return pictures, matrix
    first, *others = pictures
    small = cv2.resize(first, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    size = small.shape[1::-1]
    rest = [cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in others]
    step = np.array(first.shape[1::-1]) / size
    # Pixel x of the small image lies at (x + 0.5) * step - 0.5 of the large one.
    linear, start = matrix[:, :2], (step - 1) / 2
    return [small, *rest], np.column_stack([linear * step, matrix[:, 2] + linear @ start])


def _moved(hand: OutlinedHand, matrix: np.ndarray, mirrored: bool) -> OutlinedHand:
    def move(points: np.ndarray) -> np.ndarray:
        return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)

    right = 1 - hand.right if mirrored else hand.right
    return OutlinedHand(move(hand.hull), right, move(hand.wrist), hand.doubtful)


def _box(hand: OutlinedHand) -> np.ndarray:
    return np.concatenate([hand.hull.min(0), hand.hull.max(0)])


def still_seen(hands: list[OutlinedHand], cover: np.ndarray) -> list[OutlinedHand]:
    """Drop `hands` that `cover`, (S, S) float32 0..1, hides; those half hidden become doubtful."""
    kept = []
    for hand in hands:
        # What is outside the image is not drawn.
        outline = cv2.convexHull(np.round(hand.hull).astype(np.int32))
        shape = cv2.fillConvexPoly(np.zeros(cover.shape, np.uint8), outline, 1).astype(bool)
        share = float(cover[shape].mean()) if shape.any() else 0.0
        if share < HIDDEN:
            doubtful = hand.doubtful or share > HALF_HIDDEN
            kept.append(OutlinedHand(hand.hull, hand.right, hand.wrist, doubtful))
    return kept


def _seen(hand: OutlinedHand, size: int) -> TrueHand | None:
    """Return the visible part of a hand in the image; None if nothing is visible."""
    box = _box(hand)
    wrist = hand.wrist - np.clip(box, 0, size - 1).reshape(2, 2).mean(0)
    length = np.linalg.norm(wrist)
    wrist = wrist / length if length > 1e-3 else np.full(2, np.nan, np.float32)
    return clip_hand(TrueHand(box, hand.right, wrist, hand.doubtful), size)


def clip_hand(hand: TrueHand, size: int) -> TrueHand | None:
    """Return the part of a hand inside an image of `size` px; None if nothing is inside.

    It is doubtful if less than `IN_VIEW` of its box is inside.
    """
    inside = np.clip(hand.box, 0, size - 1)
    sides = inside[2:] - inside[:2]
    if (sides < 1).any():
        return None
    share = sides.prod() / max(1.0, float((hand.box[2:] - hand.box[:2]).prod()))
    return TrueHand(inside, hand.right, hand.wrist, hand.doubtful or share < IN_VIEW)
