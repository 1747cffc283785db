"""Fine-tuning a SAM-family model on photos of hands with masks: the task of `handseg finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from handseg.errors import TrainingError
from handseg.finetune.backbones import depthwise_in_float32, freeze_batch_norms
from handseg.finetune.lora.adapter import save_adapter
from handseg.finetune.lora.data import prepare_data
from handseg.finetune.lora.lora import add_lora
from handseg.finetune.lora.outcome import say_outcome, warn_of_wrist
from handseg.finetune.lora.report import find_outline, report_run
from handseg.finetune.lora.settings import FinetuneConfig
from handseg.finetune.sampler import Item
from handseg.finetune.step import PromptedStep
from handseg.finetune.task import Task
from handseg.models import load_mask_model
from handseg.models.bundled import home
from handseg.models.hub import recipe_folder
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.models.semantic.config import HAND
from handseg.prompts.recipe import find_recipe


class LoraTask(Task):
    """See `handseg.finetune.task.Task`.

    Raises:
        TrainingError: if the data or the base do not fit.
    """

    step: PromptedStep

    def __init__(self, config: FinetuneConfig, output: Path, accelerator: Any) -> None:
        from accelerate.utils import set_seed

        base = load_mask_model(config.model, device=accelerator.device, backend="torch")
        if not isinstance(base, TransformersMaskModel):
            raise TrainingError(
                f"model: {config.model} is an original segment-anything checkpoint, which cannot "
                "be tuned; take the same model in transformers' form, such as "
                "facebook/sam-vit-base"
            )
        self._config, self._device = config, accelerator.device
        self._print = accelerator.print
        self._recipe = config.recipe or find_recipe(recipe_folder(home(config.model)))
        data = prepare_data(config, base, self._recipe, output, accelerator)
        self.training, self.validation = data.training, data.validation
        self._photos, self._hands = data.photos, data.hands
        self._warning = ""
        if config.data.target == HAND and accelerator.is_main_process:
            self._warning = warn_of_wrist(data.hands, self._recipe)
        if self._warning:  # Before hours of training, and again at their end.
            self._print(self._warning)

        set_seed(config.seed)
        self._model = add_lora(base.model, config.lora)
        learning, everything = self._model.get_nb_trainable_parameters()
        accelerator.print(
            f"{learning:,} of {everything:,} weights are trainable ({learning / everything:.2%})"
        )
        if accelerator.device.type == "cpu" and accelerator.mixed_precision == "bf16":
            depthwise_in_float32(self._model)
        self.step = PromptedStep(
            self._model, base.pixel_values, self._recipe, config.prompts, config.loss, config.seed
        )

    def start_training(self) -> None:
        self._model.train()
        freeze_batch_norms(self._model)
        if self._config.lora.encoder_is_frozen:
            self._model.vision_encoder.eval()

    def score(self, batch: Item) -> torch.Tensor:
        self._model.eval()
        return self.step.score(self._model, batch)

    def save(self, output: Path) -> None:
        save_adapter(self._model, output, base=self._config.model, recipe=self._recipe, card="")

    def finish(self, output: Path) -> None:
        recipe = self._recipe
        if self._config.data.target == HAND:
            recipe = find_outline(self._config, recipe, self._hands, output, self._device)
        figures = report_run(self._config, recipe, self._photos, output, self._device)
        lines = say_outcome(figures, output, self._config.model, self._config.data.target)
        for line in (self._warning, *lines):
            if line:
                self._print(line)
