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

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from handseg.finetune.compose import Composer, Sample
from handseg.finetune.config import load_yaml, save_yaml
from handseg.finetune.lite import (
    PIXEL_MEAN,
    PIXEL_STD,
    build_lite,
    depthwise_in_float32,
    freeze_batch_norms,
    freeze_early_layers,
    load_imagenet_weights,
    set_image_size,
)
from handseg.finetune.losses import LossWeights, batch_iou, mask_loss
from handseg.finetune.sources import Example, add_landmarks, count_by_set, find_pairs
from handseg.prompts import IGNORED, PromptRecipe

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


class Samples(Dataset):
    """Sample number i of a run depends on the seed and i alone, so a run can go on anywhere."""

    def __init__(self, composer: Composer, image_size: int, seed: int, first: int, count: int):
        self.composer, self.image_size, self.seed = composer, image_size, seed
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        # OpenCV's own threads would fight with the training process for the cores.
        cv2.setNumThreads(1)
        rng = np.random.default_rng([self.seed, self.first + index])
        return to_tensors(self.composer.sample(rng, self.image_size))


def to_tensors(sample: Sample) -> dict[str, torch.Tensor]:
    """A sample as the model takes it; truth at half the region's side."""
    half = sample.image.shape[0] // 2
    pixels = (sample.image.astype(np.float32) / 255 - PIXEL_MEAN) / PIXEL_STD
    target = cv2.resize(sample.alpha, (half, half), interpolation=cv2.INTER_AREA)
    valid = cv2.resize(sample.valid.astype(np.float32), (half, half), interpolation=cv2.INTER_AREA)
    return {
        "pixel_values": torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32)),
        "target": torch.from_numpy(target),
        "valid": torch.from_numpy(np.floor(valid)),
        "points": torch.from_numpy(sample.points)[None],
        "labels": torch.from_numpy(sample.labels)[None],
        "box": torch.from_numpy(sample.box)[None],
        "skeleton": torch.from_numpy(sample.skeleton)[None],
    }


@dataclass(frozen=True)
class PromptMix:
    """Which prompts a training step uses; the same for all of its batch."""

    box: bool
    points: bool
    skeleton: bool
    second_pass: bool
    keep: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> PromptMix:
        kind = rng.choice(["both", "box", "points"], p=[0.76, 0.12, 0.12])
        return cls(
            box=kind != "points",
            points=kind != "box",
            skeleton=rng.random() < 0.4,
            second_pass=rng.random() < 0.4,
            keep=rng.choice([1.0, 0.7, 0.2], p=[0.6, 0.2, 0.2]),
        )


DEFAULT_MIX = PromptMix(box=True, points=True, skeleton=False, second_pass=False, keep=1.0)


def forward_loss(
    model: Any, batch: dict[str, torch.Tensor], mix: PromptMix, weights: LossWeights, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of one step, and the logits (N, h, w) of its last pass."""
    generator = torch.Generator().manual_seed(seed)
    points, labels = choose_points(batch["points"], batch["labels"], mix.keep, generator)
    prompts: dict[str, Any] = {
        "input_points": points if mix.points else None,
        "input_labels": labels if mix.points else None,
        "input_boxes": batch["box"] if mix.box else None,
        "input_masks": batch["skeleton"] if mix.skeleton else None,
        "multimask_output": False,
    }
    output = model(pixel_values=batch["pixel_values"], **prompts)
    logits = output.pred_masks[:, 0, 0]
    loss = mask_loss(logits, output.iou_scores[:, 0, 0], batch["target"], batch["valid"], weights)
    if not mix.second_pass:
        return loss, logits
    # A click where the first pass was wrong, and its mask: what a person does on the page.
    click, click_label = _correction(logits.detach(), batch, generator)
    prompts |= {
        "input_points": torch.cat([points, click], 2) if mix.points else click,
        "input_labels": torch.cat([labels, click_label], 2) if mix.points else click_label,
        "input_masks": logits.detach()[:, None].float().clamp(-20, 20),
    }
    second = model(image_embeddings=output.image_embeddings, **prompts)
    logits = second.pred_masks[:, 0, 0]
    loss = loss + mask_loss(
        logits, second.iou_scores[:, 0, 0], batch["target"], batch["valid"], weights
    )
    return loss / 2, logits


def choose_points(
    points: torch.Tensor, labels: torch.Tensor, keep: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A random share `keep` of each row's points, (N, 1, K, 2) and labels (N, 1, K).

    A point labelled -10 still takes its share of SAM's attention, so rows with fewer points than
    the fullest are filled up with repetitions of their own, and none is -10.
    """
    order = torch.rand(labels.shape, generator=generator).to(labels.device)
    order = order.masked_fill(labels == IGNORED, 2.0).argsort(-1)
    counts = (labels != IGNORED).sum(-1, keepdim=True)
    length = max(1, round(int(counts.max()) * keep))
    picks = torch.arange(length, device=labels.device) % counts.clamp(1, length)
    chosen = order.gather(-1, picks.expand(*order.shape[:-1], length))
    return points.gather(2, chosen[..., None].expand(*chosen.shape, 2)), labels.gather(2, chosen)


def _correction(
    logits: torch.Tensor, batch: dict[str, torch.Tensor], generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """One point a sample, drawn from its wrong pixels: (N, 1, 1, 2) px and labels (N, 1, 1)."""
    size = logits.shape[-1]
    shape = (size, size)
    target = torch.nn.functional.adaptive_avg_pool2d(batch["target"], shape) > 0.5
    valid = torch.nn.functional.adaptive_avg_pool2d(batch["valid"], shape) > 0.99
    wrong = ((logits > 0) != target) & valid
    # A row without an error gets a click somewhere else.
    anywhere = ~wrong.flatten(1).any(1, keepdim=True)
    weights = (wrong.flatten(1) | anywhere).float().cpu()
    index = torch.multinomial(weights, 1, generator=generator)[:, 0].to(logits.device)
    label = target.flatten(1).gather(1, index[:, None])[:, 0].long()
    point = torch.stack([index % size, index // size], 1).float() * 4 + 1.5
    return point[:, None, None], label[:, None, None]


def load_data(config: PretrainConfig, root: Path, cache: Path) -> tuple[Composer, Composer]:
    """The composers of training and validation; a held-out id or file is in one of them only."""
    data = config.data

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
                config.recipe,
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


def build_model(config: PretrainConfig) -> Any:
    """`config.init` as a starting point, else ImageNet's backbone and a random decoder."""
    if config.init is None:
        model = build_lite(config.image_size)
        load_imagenet_weights(model)
    else:
        from transformers import EdgeTamModel

        model = EdgeTamModel.from_pretrained(config.init, local_files_only=True).float()
        set_image_size(model, config.image_size)
    freeze_early_layers(model)
    return model


@torch.inference_mode()
def validate(model: Any, loader: DataLoader, accelerator: Any) -> float:
    """Mean IoU of the default prompts over the validation samples."""
    scores = []
    for batch in loader:
        with accelerator.autocast():
            _, logits = forward_loss(model, batch, DEFAULT_MIX, LossWeights(), 0)
        shape = batch["target"].shape[-2:]
        logits = torch.nn.functional.interpolate(logits[:, None].float(), shape, mode="bilinear")
        scores.append(batch_iou(logits[:, 0], batch["target"], batch["valid"]))
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


def train(config: PretrainConfig, data: Path, output: Path) -> None:
    from accelerate import Accelerator
    from accelerate.utils import set_seed
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    set_seed(config.seed)
    output.mkdir(parents=True, exist_ok=True)
    with accelerator.main_process_first():
        # One process finds the landmarks; the others read them.
        training, validation = load_data(config, data, output)
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
    model, optimizer = accelerator.prepare(model, optimizer)
    averaged.to(accelerator.device)
    accelerator.register_for_checkpointing(scheduler, averaged, progress)
    checkpoint = output / "checkpoint"
    if checkpoint.is_dir():
        accelerator.load_state(str(checkpoint))
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
            prefetch_factor=4 if config.workers else None,
        )
    )
    started, losses = time.time(), []
    for batch in loader:
        model.train()
        freeze_batch_norms(model)
        mix = PromptMix.draw(np.random.default_rng([config.seed, 7, progress.step]))
        with accelerator.autocast():
            loss, _ = forward_loss(model, batch, mix, config.loss, progress.step)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        averaged.update_parameters(accelerator.unwrap_model(model))
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
            score = validate(averaged.module, validation_loader, accelerator)
            accelerator.print(f"step {progress.step} validation IoU {score:.4f}", flush=True)
            accelerator.save_state(str(checkpoint))
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
    config = load_yaml(PretrainConfig, options.config)
    train(config, options.data, options.output)


if __name__ == "__main__":
    main()
