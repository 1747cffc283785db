"""Prepare a run's samples from its settings: photos, split, hands, views, features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from handseg.data import LabelledPhotos, Splits, load_data
from handseg.data.loaders.mix import mix_weights
from handseg.data.splits import OFFICIAL, TRAIN, VALIDATION
from handseg.errors import TrainingError
from handseg.finetune.checkpoints import NAME as CHECKPOINT
from handseg.finetune.lora.features import AugmentedHands, FeatureCache, signature
from handseg.finetune.lora.hands import FoundHands, TrainingHand, find_hands
from handseg.finetune.lora.settings import FinetuneConfig
from handseg.finetune.sampler import EpochSampler, Item, WeightedEpochSampler
from handseg.finetune.settings import DataSettings
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.models.torch_common import image_embeddings
from handseg.prompts import PromptRecipe
from handseg.runtime.progress import tracked

SPLITS_FILE = "splits.json"


@dataclass(frozen=True, eq=False)
class RunData:
    """The data of a run.

    Attributes:
        training: training samples in order.
        validation: an unaugmented view of each hand of the validation part.
        photos: photos of each part of the split.
        hands: hands to train on.
    """

    training: EpochSampler
    validation: torch.utils.data.Dataset[Item]
    photos: dict[str, LabelledPhotos]
    hands: tuple[TrainingHand, ...]


def load_photos(settings: DataSettings, output: Path, seed: int) -> dict[str, LabelledPhotos]:
    """Load the photos of each part of the split, which is kept in `output`.

    Raises:
        TrainingError: if a required part has no photo, or the options hold the source or layout.
    """
    if taken := sorted({"source", "layout"} & settings.options.keys()):
        own = ", ".join(f"data.{name}" for name in taken)
        raise TrainingError(f"data.options must not hold {', '.join(taken)}: give {own}")
    dataset = load_data(settings.source, settings.layout, **settings.options)
    official = settings.splits == OFFICIAL
    path = Path(settings.splits) if settings.splits and not official else output / SPLITS_FILE
    if path.is_file():
        splits = Splits.load(path)
    elif official:
        splits = Splits.official(dataset, settings.ratios, seed)
        splits.save(path)
    elif settings.splits:
        raise TrainingError(f"splits: no such file: {path}")
    else:
        splits = Splits.by_group(dataset, settings.ratios, seed)
        splits.save(path)
    photos = {name: LabelledPhotos(splits.select(dataset, name)) for name in splits.parts}
    for name in (TRAIN, VALIDATION):
        if not photos.get(name):
            raise TrainingError(
                f"the split in {path} has no photo in {name!r}: parts are "
                f"{', '.join(f'{part} ({len(ids)})' for part, ids in photos.items())}"
            )
    return photos


def prepare_data(
    config: FinetuneConfig,
    model: TransformersMaskModel,
    recipe: PromptRecipe,
    output: Path,
    accelerator: Any,
) -> RunData:
    """Find the hands and, with a cache, encode their views, shared among processes."""
    kept = Path(config.cache_dir) if config.cache_dir else output / "cache"
    with accelerator.main_process_first():
        # One process examines the photos; the others read its results.
        photos = load_photos(config.data, output, config.seed)
        found = {
            part: _find(photos[part], part, kept, config.data.target, accelerator.is_main_process)
            for part in (TRAIN, VALIDATION)
        }
    sets = {}
    # Features of a run in this folder that failed before its first epoch.
    new = not config.cache_dir and not (output / CHECKPOINT).exists()
    for part, views in ((TRAIN, config.views), (VALIDATION, 1)):
        accelerator.print(f"{part}: {len(photos[part])} photos, {found[part].summary()}")
        if not found[part].hands:
            raise TrainingError(f"no photo of the part {part!r} can be used")
        items = AugmentedHands(
            found[part].hands, recipe, model.input_size, config.augmentation, views, config.seed
        )
        sets[part] = (
            _encoded(items, model, kept / part, accelerator, new) if config.cache else items
        )
    hands = found[TRAIN].hands
    weighted = weighted_epochs(config.data, [hand.photo.id for hand in hands], config.seed)
    order = EpochSampler(sets[TRAIN], len(hands), config.views, config.seed, weighted)
    return RunData(order, sets[VALIDATION], photos, hands)


def weighted_epochs(
    data: DataSettings, ids: Sequence[str], seed: int
) -> WeightedEpochSampler | None:
    """Return a sampler with the weights of a mix, for photos with these ids; None if no mix."""
    if data.layout != "mix":
        return None
    sets = [name.partition("/")[0] for name in ids]
    return WeightedEpochSampler(sets, mix_weights(Path(data.source)), seed)


def _find(photos: Sequence[Any], part: str, folder: Path, target: str, show: bool) -> FoundHands:
    shown = tracked(photos, f"landmarks, {part}", show)
    return find_hands(shown, folder / "landmarks", target=target)


def _encoded(
    views: AugmentedHands,
    model: TransformersMaskModel,
    folder: Path,
    accelerator: Any,
    replace: bool,
) -> FeatureCache:
    with accelerator.main_process_first():
        cache = FeatureCache(folder, len(views), signature(views, model.model), replace)

    @torch.no_grad()
    def encode(crops: np.ndarray) -> dict[str, Any]:
        return image_embeddings(model.model, model.pixel_values(crops))

    shards = cache.shards[accelerator.process_index :: accelerator.num_processes]
    cache.fill(views, encode, tracked(shards, "features", accelerator.is_main_process))
    accelerator.wait_for_everyone()
    return cache
