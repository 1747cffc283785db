"""Training data of a run: hands, scenes and backgrounds, and the samples composed of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from handseg.data import LabelledPhotos, load_data
from handseg.data.image_mask import find_pairs
from handseg.errors import TrainingError
from handseg.finetune.lora.augment import Augmentation, varied_view
from handseg.finetune.lora.hands import TrainingHand, find_hands
from handseg.finetune.pretrain.settings import ComposedData
from handseg.finetune.sampler import Item
from handseg.prompts import PromptRecipe
from handseg.runtime.progress import tracked
from handseg.synthetic.pasted.compositor import Composer
from handseg.synthetic.pasted.sources import LANDMARKS, Example, add_landmarks, count_by_set
from handseg.synthetic.sample import Sample

logger = logging.getLogger(__name__)

HANDS = "hands"
"""Cache folder of `find_hands`."""
VARIED = Augmentation(rotation=30, zoom=0.2, color=0.6, camera=0.4)
"""Augmentation of rendered hands."""


class RenderedHands:
    """Augmented views of rendered people's hands, each with only its own mask.

    Args:
        hands: hands by set.
        weights: how often each set is shown, whatever its size.
        recipe: makes the prompts and the region.
    """

    def __init__(
        self,
        hands: Sequence[tuple[str, TrainingHand]],
        weights: dict[str, float],
        recipe: PromptRecipe,
    ) -> None:
        self.hands, self.recipe = [hand for _, hand in hands], recipe
        counts = Counter(name for name, _ in hands)
        chances = np.array([weights[name] / counts[name] for name, _ in hands])
        self._chances = chances / chances.sum()

    def sample(self, rng: np.random.Generator, size: int) -> Sample:
        """Return a sample of `size` px; the same generator state gives the same sample."""
        hand = self.hands[rng.choice(len(self.hands), p=self._chances)]
        return varied_view(hand, self.recipe, size, VARIED, rng)


class Samples(Dataset[Item]):
    """Any number of training images; image i depends only on the seed and i.

    Args:
        composer: composes pasted hands and scenes.
        image_size: side of an image, px.
        seed: seed of all images.
        count: reported number of images; training may request any index.
        rendered: additional rendered hands.
        rendered_share: share of images that show one of these.
    """

    def __init__(
        self,
        composer: Composer,
        image_size: int,
        seed: int,
        count: int = 0,
        rendered: RenderedHands | None = None,
        rendered_share: float = 0.0,
    ) -> None:
        self.composer, self.image_size, self.seed, self.count = composer, image_size, seed, count
        self.rendered, self.rendered_share = rendered, rendered_share

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Item:
        rng = np.random.default_rng([self.seed, index])
        source: Composer | RenderedHands = self.composer
        if self.rendered is not None and rng.random() < self.rendered_share:
            source = self.rendered
        return source.sample(rng, self.image_size).tensors()


def load_samples(
    data: ComposedData, recipe: PromptRecipe, cache: Path
) -> tuple[Composer, Composer]:
    """Return the training and the validation composer; a held-out id or file is in only one.

    Landmarks found on the photos are kept in the folder `cache`, unless the photos' folder already
    has them, as folders from `selflabel` do.
    """
    root = Path(data.root)
    held_out = _held_out(data)

    def examples(folders: Sequence[str]) -> list[Example]:
        found: list[Example] = []
        for folder in folders:
            brought = root / folder / LANDMARKS
            kept = brought if any(brought.glob("*.jsonl")) else cache / LANDMARKS
            found += add_landmarks(find_pairs(root / folder), kept)
        return [example for example in found if example.landmarks is not None]

    cutouts, scenes = examples(list(data.cutouts)), examples(list(data.scenes))
    pictures = [
        (f"{folder}/{path.stem}", path)
        for folder in data.backgrounds
        for path in sorted((root / folder).iterdir())
        if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    ]
    objects = sorted((root / data.objects).glob("*.png"))
    composers = []
    for validation in (False, True):
        composers.append(
            Composer(
                [one for one in cutouts if held_out(one.id) == validation],
                [one for one in scenes if held_out(one.id) == validation],
                [path for name, path in pictures if held_out(name) == validation],
                objects,
                recipe,
                {Path(name).name: weight for name, weight in data.cutouts.items()},
                {Path(name).name: weight for name, weight in data.scenes.items()},
                data.scene_share,
            )
        )
    for name, composer in zip(("training", "validation"), composers, strict=True):
        logger.info(
            "%s: cut-outs %s, scenes %s, %d backgrounds", name, count_by_set(composer.examples),
            count_by_set(composer.scenes), len(composer.backgrounds),
        )  # fmt: skip
    return composers[0], composers[1]


def load_rendered(
    data: ComposedData, recipe: PromptRecipe, cache: Path
) -> tuple[RenderedHands | None, RenderedHands | None]:
    """Return the rendered hands of training and validation; both None if `data` names no folder.

    MediaPipe's findings on them are kept in the folder `cache`.

    Raises:
        TrainingError: if either has no hand.
    """
    if not data.rendered:
        return None, None
    held_out = _held_out(data)
    parts: dict[str, list[tuple[str, TrainingHand]]] = {"training": [], "validation": []}
    for folder in data.rendered:
        photos = LabelledPhotos(load_data(Path(data.root) / folder))
        found = find_hands(tracked(photos, f"landmarks, {folder}"), cache / HANDS)
        for hand in found.hands:
            id_ = f"{Path(folder).name}/{hand.photo.id}"
            parts["validation" if held_out(id_) else "training"].append((folder, hand))
        logger.info("%s: %s", folder, found.summary())
    for part, hands in parts.items():
        if not hands:
            raise TrainingError(f"rendered: no hand is in the part {part!r}, see held_out")
    training, validation = (RenderedHands(hands, data.rendered, recipe) for hands in parts.values())
    return training, validation


def _held_out(data: ComposedData) -> Callable[[str], bool]:
    """Return a function that tells whether an id belongs to validation."""
    return lambda name: name.startswith(data.held_out)
