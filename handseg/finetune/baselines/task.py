"""Training a network on whole photos: the task of `handseg finetune` with a `network`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from handseg.data.splits import TRAIN, VALIDATION
from handseg.errors import ModelError, TrainingError
from handseg.finetune.backbones import freeze_batch_norms
from handseg.finetune.baselines.encoders import freeze_encoder, load_encoder
from handseg.finetune.baselines.photos import PhotoViews, class_weights
from handseg.finetune.baselines.report import report_baseline
from handseg.finetune.baselines.settings import BaselineConfig
from handseg.finetune.lora.data import load_photos, weighted_epochs
from handseg.finetune.losses import batch_iou
from handseg.finetune.sampler import EpochSampler, Item
from handseg.finetune.task import Task
from handseg.models.semantic.model import SemanticModel, is_semantic
from handseg.models.semantic.networks import build_network
from handseg.runtime.progress import tracked


class BaselineTask(Task):
    """See `handseg.finetune.task.Task`.

    Raises:
        TrainingError: if data, encoder or an earlier stage do not fit.
    """

    def __init__(self, config: BaselineConfig, output: Path, accelerator: Any) -> None:
        from accelerate.utils import set_seed

        with accelerator.main_process_first():
            photos = load_photos(config.data, output, config.seed)
        for part in (TRAIN, VALIDATION):
            rows, show = photos[part], accelerator.is_main_process
            empty = sum(not row.load_mask().any() for row in tracked(rows, f"masks, {part}", show))
            if empty == len(rows):
                raise TrainingError(
                    f"{config.data.source}: no mask of the part {part!r} shows a hand "
                    f"({empty} photos)"
                )
            without = f", {empty} without a hand" if empty else ""
            accelerator.print(f"{part}: {len(rows)} photos{without}")
        views = PhotoViews(
            photos[TRAIN], config.network, config.augmentation, config.epochs, config.seed
        )
        weighted = weighted_epochs(config.data, [row.id for row in photos[TRAIN]], config.seed)
        self.training = EpochSampler(
            views, len(photos[TRAIN]), config.epochs, config.seed, weighted
        )
        self.validation = PhotoViews(photos[VALIDATION], config.network)
        self._config, self._photos = config, photos

        set_seed(config.seed)
        network = _start(config)
        self._frozen = freeze_encoder(network, config.encoder_learns)
        network = network.to(accelerator.device)
        weights = (1.0, 1.0)
        if config.balance:
            show = tracked(photos[TRAIN], "class frequencies", accelerator.is_main_process)
            weights = class_weights(show)
            accelerator.print(f"pixels weigh {weights[0]:.3f} (hand), {weights[1]:.3f} (other)")
        self._model = SemanticModel(network, config.network)
        self.step = BaselineStep(self._model, weights)

    def start_training(self) -> None:
        self._model.network.train()
        for module in self._frozen:
            freeze_batch_norms(module)

    def score(self, batch: Item) -> torch.Tensor:
        self._model.network.eval()
        logits = self._model.network(self._model.pixel_values(batch["image"]))
        known = batch["known"].float()
        everywhere = torch.ones_like(batch["target"][:, 0])
        scores = torch.stack(
            [
                batch_iou(logits[:, place], batch["target"][:, place], everywhere)
                for place in range(logits.shape[1])
            ],
            1,
        )
        return (scores * known).sum(1) / known.sum(1)

    def save(self, output: Path) -> None:
        self._model.save_pretrained(output)

    def finish(self, output: Path) -> None:
        report_baseline(self._config, self._photos, output, self._device)

    @property
    def _device(self) -> torch.device:
        return next(self._model.network.parameters()).device


class BaselineStep(torch.nn.Module):
    """Cross entropy of each pixel's sigmoids, over the masks that a photo has.

    With only hand and background, this equals two channels with a softmax, where only their
    difference counts.

    Args:
        model: the model whose network is trained.
        weights: of hand pixels and of background pixels.
    """

    def __init__(self, model: SemanticModel, weights: tuple[float, float]) -> None:
        super().__init__()
        self.network = model.network
        self._model, self._weights = model, weights

    def forward(self, batch: Item, turn: int) -> torch.Tensor:
        logits = self.network(self._model.pixel_values(batch["image"])).float()
        target = batch["target"]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, target, reduction="none"
        )
        hand, other = self._weights
        loss = loss * (hand * target + other * (1 - target))
        known = batch["known"][..., None, None].float()
        return (loss * known).sum() / (known.sum() * loss.shape[-2] * loss.shape[-1])


def _start(config: BaselineConfig) -> Any:
    """Return the network that the run starts from."""
    try:
        network = build_network(config.network)
        if config.start is not None:
            return _earlier_stage(config)
        if config.encoder_weights is not None and config.network.encoder is not None:
            load_encoder(network, config.network.encoder, config.encoder_weights)
        return network
    except ModelError as error:
        raise TrainingError(str(error)) from error


def _earlier_stage(config: BaselineConfig) -> Any:
    assert config.start is not None
    if not is_semantic(config.start):
        raise TrainingError(f"start: {config.start} holds no network of an earlier run")
    earlier = SemanticModel.from_pretrained(config.start, device="cpu")
    for name in ("architecture", "encoder", "classes", "filters"):
        one, other = getattr(earlier.config, name), getattr(config.network, name)
        if one != other:
            raise TrainingError(f"start: {config.start} has {name} {one}, this run {other}")
    return earlier.network
