"""Fine-tuning a SAM-family model on photos of hands with masks: the task of `handseg finetune`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from handseg.errors import TrainingError
from handseg.finetune.lora.adapter import save_adapter
from handseg.finetune.lora.data import prepare_data
from handseg.finetune.lora.features import Item
from handseg.finetune.lora.lora import add_lora, format_trainable, trainable_parameters
from handseg.finetune.lora.report import find_outline, report_run
from handseg.finetune.lora.settings import FinetuneConfig
from handseg.finetune.losses import LossWeights, batch_iou
from handseg.finetune.pretrain.lite import depthwise_in_float32, freeze_batch_norms
from handseg.finetune.step import SampledPrompts, forward_loss
from handseg.models import load_mask_model
from handseg.models.bundled import home
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.models.semantic.config import HAND
from handseg.prompts import PromptRecipe
from handseg.prompts.recipe import find_recipe


class LoraTask:
    """See `handseg.finetune.train.Task`.

    Raises:
        TrainingError: if data or base do not fit.
    """

    def __init__(self, config: FinetuneConfig, output: Path, accelerator: Any) -> None:
        from accelerate.utils import set_seed

        base = load_mask_model(config.model, device=accelerator.device, backend="torch")
        if not isinstance(base, TransformersMaskModel):
            raise TrainingError(
                f"model: {config.model} is an original segment-anything checkpoint, which cannot "
                "be tuned; take the same model in transformers' form, such as "
                "facebook/sam-vit-base"
            )
        self._config, self._base, self._device = config, base, accelerator.device
        self._recipe = config.recipe or find_recipe(home(config.model))
        data = prepare_data(config, base, self._recipe, output, accelerator)
        self.training, self.validation = data.training, data.validation
        self._photos, self._hands = data.photos, data.hands

        set_seed(config.seed)
        self._model = add_lora(base.model, config.lora)
        accelerator.print(format_trainable(trainable_parameters(self._model)))
        if accelerator.device.type == "cpu" and accelerator.mixed_precision == "bf16":
            depthwise_in_float32(self._model)
        self.step = TuningStep(base, self._model, config, self._recipe)

    def start_training(self) -> None:
        self._model.train()
        freeze_batch_norms(self._model)
        if self._config.lora.encoder_is_frozen:
            self._model.vision_encoder.eval()

    def score(self, batch: Item) -> torch.Tensor:
        self._model.eval()
        batch, mix = with_pixels(self._base, batch), SampledPrompts.of(self._recipe)
        _, logits = forward_loss(self._model, batch, mix, LossWeights(), 0)
        shape = batch["target"].shape[-2:]
        logits = torch.nn.functional.interpolate(logits[:, None].float(), shape, mode="bilinear")
        return batch_iou(logits[:, 0], batch["target"], batch["valid"])

    def save(self, output: Path) -> None:
        save_adapter(self._model, output, base=self._config.model, recipe=self._recipe, card="")

    def finish(self, output: Path) -> None:
        recipe = self._recipe
        if self._config.data.target == HAND:
            recipe = find_outline(self._config, recipe, self._hands, output, self._device)
        report_run(self._config, recipe, self._photos, output, self._device)


class TuningStep(torch.nn.Module):
    """The loss of a batch, with prompts drawn for its number."""

    def __init__(
        self,
        base: TransformersMaskModel,
        model: torch.nn.Module,
        config: FinetuneConfig,
        recipe: PromptRecipe,
    ) -> None:
        super().__init__()
        self.model = model
        self._base, self._config, self._recipe = base, config, recipe

    def forward(self, batch: Item, turn: int) -> torch.Tensor:
        mix = _draw_mix(self._config, self._recipe, turn)
        batch = with_pixels(self._base, batch)
        return forward_loss(self.model, batch, mix, self._config.loss, turn)[0]


def with_pixels(base: TransformersMaskModel, batch: Item) -> Item:
    """A batch of pictures as the model takes them; one of cached features as it is."""
    if "image" not in batch:
        return batch
    return {**batch, "pixel_values": base.pixel_values(batch["image"])}


def _draw_mix(config: FinetuneConfig, recipe: PromptRecipe, turn: int) -> SampledPrompts:
    """The prompts of batch number `turn`, of the kinds that the recipe makes."""
    usual = SampledPrompts.of(recipe)
    mix = SampledPrompts.draw(np.random.default_rng([config.seed, 7, turn]), config.prompts)
    if not (usual.box and usual.points):
        mix = replace(mix, box=usual.box, points=usual.points)
    return mix
