"""Training images of the finder's close-ups: places that look like a hand, and hands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import Dataset

from handseg.finetune.finder.samples import FinderSamples, clip_hand
from handseg.finetune.finder.targets import TrueHand, target_maps
from handseg.finetune.sampler import Item
from handseg.landmarks.boxes import box_iou
from handseg.landmarks.close_ups import SIDE, CloseUp
from handseg.landmarks.finder import HandFinder

LEAST, MOST = 0.002, 6
"""Minimum score, and maximum number in an image, of places that the bundled finder suspects."""
TRUE, FALSE, ANYWHERE = 0.25, 0.35, 0.05
"""Shares of close-ups of a hand, whether the finder sees it or not; of what it takes for a hand and
is none, such as feet, ears and logos; and of any place. The rest is of what it takes for a hand."""
APART = 0.2
"""Maximum IoU of a false place with any hand."""
SHIFT, SCALE = 0.12, 0.18
"""Standard deviation of a close-up's centre, as a share of the box, and of its size's logarithm."""

Generator = np.random.Generator


class CloseUps(Dataset[Item]):
    """Close-ups of the places in `pictures`; image i is from picture i."""

    def __init__(self, pictures: FinderSamples) -> None:
        self.pictures = pictures
        self._finder = HandFinder(threads=1)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Item:
        image, hands = self.pictures.picture(index)
        rng = np.random.default_rng([self.pictures.seed, index, 1])
        view = CloseUp.of(self._place(image, hands, rng))
        moved = [replace(hand, box=view.inward(hand.box)) for hand in hands]
        shown = [one for hand in moved if (one := clip_hand(hand, SIDE)) is not None]
        pixels = torch.from_numpy(view.pixels(image)).permute(2, 0, 1)
        return {"pixels": pixels, **target_maps(shown, SIDE, SIDE)}

    def _place(self, image: np.ndarray, hands: list[TrueHand], rng: Generator) -> np.ndarray:
        """Choose a box, (4,) xyxy px, somewhat off like those of the finder."""
        boxes = [place.box for place in self._finder.find(image, LEAST)[:MOST]]
        known = np.array([hand.box for hand in hands], np.float32).reshape(-1, 4)
        kind = rng.random()
        if hands and kind < TRUE:
            boxes = list(known)
        elif kind < TRUE + FALSE:
            false = [box for box in boxes if box_iou(box[None], known).max(initial=0) < APART]
            boxes = false[:2] or boxes
        if not boxes or kind > 1 - ANYWHERE:
            side = self.pictures.size * np.exp(rng.uniform(np.log(0.06), np.log(0.7)))
            low = rng.uniform(0, self.pictures.size - side, 2)
            return np.concatenate([low, low + side])
        box = boxes[rng.integers(len(boxes))]
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        middle = middle + rng.normal(0, SHIFT, 2) * half * 2
        half = half * np.exp(rng.normal(0, SCALE))
        return np.concatenate([middle - half, middle + half])
