"""Train `handseg-lite` from ImageNet weights on pasted hands.

    python -m handseg.finetune.pretrain --config finetune/lite.yaml --data DATA --output runs/lite

The same command with the same output goes on from the last checkpoint. `accelerate launch` and
`torchrun` spread it over several processes.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from handseg.errors import HandsegError
from handseg.finetune.checkpoints import load_checkpoint, save_checkpoint
from handseg.finetune.losses import LossWeights, batch_iou
from handseg.finetune.pretrain.lite import (
    PIXEL_MEAN,
    PIXEL_STD,
    build_lite,
    depthwise_in_float32,
    freeze_batch_norms,
    freeze_early_layers,
    load_imagenet_weights,
    set_image_size,
)
from handseg.finetune.pretrain.samples import DataConfig, Samples, load_samples
from handseg.finetune.step import PromptSampling, SampledPrompts, StepLoss, forward_loss
from handseg.prompts import PromptRecipe
from handseg.runtime.config import load_yaml, save_yaml
from handseg.runtime.threads import limit_worker

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainConfig:
    """One training run. Sizes in px; learning rates are AdamW's at the schedule's peak."""

    data: DataConfig
    recipe: PromptRecipe = field(default_factory=PromptRecipe)
    loss: LossWeights = field(default_factory=LossWeights)
    init: str | None = None
    image_size: int = 384
    steps: int = 2000
    batch_size: int = 8
    learning_rate: float = 5e-4
    backbone_learning_rate: float = 2e-4
    final_learning_rate: float = 0.02
    warmup_steps: int = 200
    weight_decay: float = 0.02
    max_grad_norm: float = 1.0
    ema_decay: float = 0.998
    mixed_precision: str = "bf16"
    compile: bool = False
    workers: int = 1
    validation_samples: int = 64
    checkpoint_every: int = 250
    seed: int = 0


def build_model(config: PretrainConfig) -> Any:
    """`config.init` as a starting point, else ImageNet's backbone and a random decoder."""
    if config.init is None:
        model = build_lite(config.image_size)
        load_imagenet_weights(model)
    else:
        from transformers import EdgeTamModel

        if not Path(config.init).is_dir():
            raise ValueError(
                f"init must be a folder that a run wrote, no such folder: {config.init}"
            )
        model = EdgeTamModel.from_pretrained(config.init, local_files_only=True).float()
        set_image_size(model, config.image_size)
    freeze_early_layers(model)
    return model


@torch.inference_mode()
def validate(model: Any, loader: DataLoader, mix: SampledPrompts, accelerator: Any) -> float:
    """Mean IoU over the validation samples, prompted by `mix`."""
    scores = []
    for batch in loader:
        with accelerator.autocast():
            _, logits = forward_loss(model, batch, mix, LossWeights(), 0)
        shape = batch["target"].shape[-2:]
        logits = torch.nn.functional.interpolate(logits[:, None].float(), shape, mode="bilinear")
        score = batch_iou(logits[:, 0], batch["target"], batch["valid"])
        # Drops what was repeated to give every process as many samples.
        scores.append(accelerator.gather_for_metrics(score))
    return float(torch.cat(scores).mean())


def schedule(step: int, config: PretrainConfig) -> float:
    """Linear warm-up, then a cosine down to `final_learning_rate` of the peak."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.final_learning_rate + (1 - config.final_learning_rate) * cosine


@dataclass
class Progress:
    """How far a run is; saved with each checkpoint."""

    step: int = 0

    def state_dict(self) -> dict[str, int]:
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.step = state["step"]


def pretrain(config: PretrainConfig, data: Path, output: Path) -> None:
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from accelerate.utils import set_seed
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    # The second mask token has no part in the loss.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(mixed_precision=config.mixed_precision, kwargs_handlers=[unused])
    set_seed(config.seed)
    output.mkdir(parents=True, exist_ok=True)
    with accelerator.main_process_first():
        # One process finds the landmarks; the others read them.
        training, validation = load_samples(config.data, config.recipe, data, output)
    model = build_model(config)
    averaged = AveragedModel(
        model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=False
    )
    if accelerator.device.type == "cpu":
        depthwise_in_float32(model)
    model = model.to(memory_format=torch.channels_last)
    if config.compile:
        model.vision_encoder.compile()
    backbone = [p for p in model.vision_encoder.backbone.parameters() if p.requires_grad]
    chosen = {id(p) for p in backbone}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in chosen]
    optimizer = torch.optim.AdamW(
        [
            {"params": others, "lr": config.learning_rate},
            {"params": backbone, "lr": config.backbone_learning_rate},
        ],
        weight_decay=config.weight_decay,
        fused=True,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, config))
    progress = Progress()
    step_loss, optimizer = accelerator.prepare(StepLoss(model, config.loss), optimizer)
    averaged.to(accelerator.device)
    accelerator.register_for_checkpointing(scheduler, averaged, progress)
    if load_checkpoint(accelerator, output):
        accelerator.print(f"going on from step {progress.step}")
    if accelerator.is_main_process:
        save_yaml(config, output / "config.yaml")

    held_out = Samples(validation, config.image_size, config.seed + 1, 0, config.validation_samples)
    validation_loader = accelerator.prepare(DataLoader(held_out, config.batch_size))
    first = progress.step * config.batch_size * accelerator.num_processes
    total = config.steps * config.batch_size * accelerator.num_processes
    samples = Samples(training, config.image_size, config.seed, first, total - first)
    loader = accelerator.prepare(
        DataLoader(
            samples,
            config.batch_size,
            num_workers=config.workers,
            drop_last=True,
            worker_init_fn=limit_worker,
            prefetch_factor=4 if config.workers else None,
        )
    )
    usual = SampledPrompts.of(config.recipe)
    started, losses = time.time(), []
    for batch in loader:
        model.train()
        freeze_batch_norms(model)
        rng = np.random.default_rng([config.seed, 7, progress.step])
        mix = SampledPrompts.draw(rng, PromptSampling())
        loss = step_loss(batch, mix, progress.step)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        averaged.update_parameters(model)
        progress.step += 1
        losses.append(float(loss.detach()))
        if progress.step % 50 == 0:
            accelerator.print(
                f"step {progress.step} loss {np.mean(losses[-50:]):.4f} "
                f"{(time.time() - started) / len(losses):.2f} s a step",
                flush=True,
            )
        if progress.step % config.checkpoint_every == 0 or progress.step == config.steps:
            averaged.eval()
            score = validate(averaged.module, validation_loader, usual, accelerator)
            accelerator.print(f"step {progress.step} validation IoU {score:.4f}", flush=True)
            save_checkpoint(accelerator, output)
            if accelerator.is_main_process:
                save_model(averaged.module, config, output, progress.step, score)
        if progress.step >= config.steps:
            break
    accelerator.end_training()


def save_model(model: Any, config: PretrainConfig, output: Path, step: int, score: float) -> None:
    """Write the averaged weights with their recipe, pixel statistics and training record."""
    model.save_pretrained(output)
    config.recipe.save(output)
    size = {"height": config.image_size, "width": config.image_size}
    processor = {
        "image_processor_type": "Sam2ImageProcessor",
        "processor_class": "Sam2Processor",
        "image_mean": list(PIXEL_MEAN),
        "image_std": list(PIXEL_STD),
        "rescale_factor": 1 / 255,
        "size": size,
        "mask_size": {key: side // 4 for key, side in size.items()},
    }
    (output / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")
    record = {"steps": step, "validation_iou": score}
    (output / "training.json").write_text(json.dumps(record, indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", type=Path, required=True, help="YAML, see finetune/lite.yaml")
    parser.add_argument("--data", type=Path, required=True, help="folder that its paths start at")
    parser.add_argument("--output", type=Path, required=True, help="folder of the run")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        config = load_yaml(PretrainConfig, options.config)
        pretrain(config, options.data, options.output)
    except (HandsegError, ValueError) as error:
        parser.error(str(error))
