"""The training data of a run: which hands, scenes and backgrounds, and samples made of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from handseg.data.image_mask import find_pairs
from handseg.finetune.pretrain.lite import PIXEL_MEAN, PIXEL_STD
from handseg.prompts import PromptRecipe
from handseg.synthetic.pasted.compositor import Composer, Sample
from handseg.synthetic.pasted.sources import Example, add_landmarks, count_by_set

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataConfig:
    """What is pasted where. Folders are relative to the data folder.

    Attributes:
        cutouts: folder of pairs -> how often hands are cut from it.
        scenes: folder of pairs -> how often its photos are shown as they are.
        scene_share: share of samples that are scenes.
        backgrounds, objects: folders of pictures.
        held_out: how the ids of validation's examples and backgrounds begin; an example's id is
            <set>/<stem>, a background's <folder as given>/<stem>.
    """

    cutouts: dict[str, float]
    scenes: dict[str, float]
    backgrounds: list[str]
    objects: str
    scene_share: float = 0.2
    held_out: list[str] = field(default_factory=list)


class Samples(Dataset):
    """Sample number i of a run depends on the seed and i alone, so a run can go on anywhere."""

    def __init__(self, composer: Composer, image_size: int, seed: int, first: int, count: int):
        self.composer, self.image_size, self.seed = composer, image_size, seed
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, self.first + index])
        sample = self.composer.sample(rng, self.image_size)
        pixels = (sample.image.astype(np.float32) / 255 - PIXEL_MEAN) / PIXEL_STD
        planes = torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32))
        return {"pixel_values": planes, **to_tensors(sample)}


def to_tensors(sample: Sample) -> dict[str, torch.Tensor]:
    """Truth and prompts of a sample as a training step takes them; truth at half the side."""
    half = sample.image.shape[0] // 2
    target = cv2.resize(sample.alpha, (half, half), interpolation=cv2.INTER_AREA)
    valid = cv2.resize(sample.valid.astype(np.float32), (half, half), interpolation=cv2.INTER_AREA)
    return {
        "target": torch.from_numpy(target),
        "valid": torch.from_numpy(np.floor(valid)),
        "points": torch.from_numpy(sample.points)[None],
        "labels": torch.from_numpy(sample.labels)[None],
        "box": torch.from_numpy(sample.box)[None],
        "skeleton": torch.from_numpy(sample.skeleton)[None],
    }


def load_samples(
    data: DataConfig, recipe: PromptRecipe, root: Path, cache: Path
) -> tuple[Composer, Composer]:
    """The composers of training and validation; a held-out id or file is in one of them only.

    `root` is the data folder; landmarks found on the photos are kept in `cache`.
    """

    def held_out(name: str) -> bool:
        return name.startswith(tuple(data.held_out))

    def examples(folders: Sequence[str]) -> list[Example]:
        found: list[Example] = []
        for folder in folders:
            cache_file = cache / f"landmarks_{Path(folder).name}.json"
            found += add_landmarks(find_pairs(root / folder), cache_file)
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
