"""Train `handseg-lite` on pasted hands: the task of `python -m handseg.finetune.pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from handseg.errors import TrainingError
from handseg.finetune.backbones import depthwise_in_float32, freeze_batch_norms
from handseg.finetune.pretrain.lite import (
    PIXEL_MEAN,
    PIXEL_STD,
    build_lite,
    freeze_early_layers,
    load_imagenet_weights,
    set_image_size,
)
from handseg.finetune.pretrain.samples import Samples, load_rendered, load_samples
from handseg.finetune.pretrain.settings import PretrainConfig
from handseg.finetune.sampler import EpochSampler, Item
from handseg.finetune.step import PromptedStep
from handseg.finetune.task import Task
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.runtime.run_folder import CACHE


class PretrainTask(Task):
    """See `handseg.finetune.task.Task`. Validates and saves averaged weights.

    Raises:
        TrainingError: if the model to start from does not fit.
    """

    step: PromptedStep

    def __init__(self, config: PretrainConfig, output: Path, accelerator: Any) -> None:
        from accelerate.utils import set_seed
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        set_seed(config.seed)
        with accelerator.main_process_first():
            # One process finds the landmarks; the others read them.
            composers = load_samples(config.data, config.recipe, output / CACHE)
            rendered = load_rendered(config.data, config.recipe, output / CACHE)
        samples, self.validation = (
            Samples(
                composer,
                config.image_size,
                config.seed + part,
                count,
                hands,
                config.data.rendered_share,
            )
            for part, (composer, hands, count) in enumerate(
                zip(composers, rendered, (0, config.validation_samples), strict=True)
            )
        )
        self.training = EpochSampler(samples, config.epoch_samples, config.epochs, config.seed)
        self._config, self._model = config, _start(config).to(accelerator.device)
        average = get_ema_multi_avg_fn(config.ema_decay)
        self._averaged = AveragedModel(self._model, multi_avg_fn=average, use_buffers=False)
        self._outcome = TransformersMaskModel(self._averaged.module)
        self._outcome.image_processor.image_mean = list(PIXEL_MEAN)
        self._outcome.image_processor.image_std = list(PIXEL_STD)
        self.checkpointed = (self._averaged,)
        if accelerator.device.type == "cpu":
            depthwise_in_float32(self._model)
        self._model.to(memory_format=torch.channels_last)
        if config.compile:
            self._model.vision_encoder.compile()
        self.step = PromptedStep(
            self._model,
            self._outcome.pixel_values,
            config.recipe,
            config.prompts,
            config.loss,
            config.seed,
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        backbone = list(self._model.vision_encoder.backbone.parameters())
        chosen = {id(one) for one in backbone}
        others = [one for one in self._model.parameters() if id(one) not in chosen]
        return [
            {"params": [one for one in others if one.requires_grad]},
            {
                "params": [one for one in backbone if one.requires_grad],
                "lr": self._config.backbone_learning_rate,
            },
        ]

    def start_training(self) -> None:
        self._model.train()
        freeze_batch_norms(self._model)

    def after_step(self) -> None:
        self._averaged.update_parameters(self._model)

    def score(self, batch: Item) -> torch.Tensor:
        self._averaged.eval()
        return self.step.score(self._averaged.module, batch)

    def save(self, output: Path) -> None:
        self._outcome.save_pretrained(output)
        self._config.recipe.save(output)


def _start(config: PretrainConfig) -> Any:
    """Load the folder `config.init`, else build ImageNet's backbone and a random decoder."""
    if config.init is None:
        model = build_lite(config.image_size)
        load_imagenet_weights(model)
    else:
        from transformers import EdgeTamModel

        if not Path(config.init).is_dir():
            raise TrainingError(
                f"init must be a folder that a run wrote, no such folder: {config.init}"
            )
        model = EdgeTamModel.from_pretrained(config.init, local_files_only=True).float()
        set_image_size(model, config.image_size)
    freeze_early_layers(model)
    return model
