"""Fine-tune a SAM-family model on photos of hands with masks.

    accelerate launch -m handseg.finetune.train --config finetune/aitaca.yaml --output runs/aitaca

is `handseg finetune` on several devices or machines.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch.utils.data import DataLoader, Dataset

from handseg.errors import TrainingError
from handseg.finetune.adapter import save_adapter
from handseg.finetune.checkpoints import keep_only_what_learns, load_checkpoint, save_checkpoint
from handseg.finetune.config import from_mapping, read_yaml, save_yaml, to_mapping
from handseg.finetune.features import Item, collate
from handseg.finetune.hands import HAND
from handseg.finetune.lite import depthwise_in_float32, freeze_batch_norms
from handseg.finetune.lora import add_lora, format_trainable, trainable_parameters
from handseg.finetune.losses import LossWeights, batch_iou
from handseg.finetune.plan import Plan
from handseg.finetune.progress import watched
from handseg.finetune.run_data import prepare_data
from handseg.finetune.run_report import find_outline, report_run
from handseg.finetune.settings import CONFIG_FILE, FinetuneConfig
from handseg.finetune.step import PromptMix, StepLoss, forward_loss
from handseg.models import load_mask_model
from handseg.models.carried import home
from handseg.models.transformers_sam import TransformersMaskModel
from handseg.prompts import PromptRecipe
from handseg.prompts.recipe import find_recipe


@dataclass
class State:
    """How far a run is and how well it does; saved with each checkpoint.

    Attributes:
        step: optimiser steps taken.
        best: the best validation IoU so far.
        best_epoch: when that was.
        waited: epochs since then.
        history: a row for each epoch.
    """

    step: int = 0
    best: float = -1.0
    best_epoch: int = 0
    waited: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def train(config: FinetuneConfig, output: Path) -> State:
    """Run or go on with a run in the folder `output`, which becomes an adapter folder.

    Raises:
        TrainingError: if data, base or an earlier run in `output` do not fit, or the loss is not
            finite. The last checkpoint stays, and the adapter of the best epoch.
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from accelerate.utils import set_seed

    accelerator = Accelerator(
        mixed_precision=config.mixed_precision,
        gradient_accumulation_steps=config.gradient_accumulation,
        log_with="tensorboard",
        project_dir=str(output),
        # What a step's prompts do not use gets no gradient in that step.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    output.mkdir(parents=True, exist_ok=True)
    with accelerator.main_process_first():
        _check_same_run(config, output)
    base = load_mask_model(config.model, device=accelerator.device)
    if not isinstance(base, TransformersMaskModel):
        raise TrainingError(
            f"model: {config.model} is an original segment-anything checkpoint, which cannot be "
            "tuned; take the same model in transformers' form, such as facebook/sam-vit-base"
        )
    recipe = config.recipe or find_recipe(home(config.model))
    data = prepare_data(config, base, recipe, output, accelerator)

    set_seed(config.seed)
    model = add_lora(base.model, config.lora)
    accelerator.print(format_trainable(trainable_parameters(model)))
    if accelerator.device.type == "cpu" and accelerator.mixed_precision == "bf16":
        depthwise_in_float32(model)
    optimizer = torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
    )
    state = State()
    # The loss is the forward pass, as distributed wrappers want one call a step.
    step_loss, optimizer = accelerator.prepare(StepLoss(model, config.loss), optimizer)
    keep_only_what_learns(accelerator)
    accelerator.register_for_checkpointing(state)
    if load_checkpoint(accelerator, output):
        accelerator.print(f"going on after {state.step} steps")
    accelerator.print(f"{accelerator.num_processes} process(es) on {accelerator.device.type}")

    plan = Plan(
        data.training.hands,
        config.epochs,
        config.batch_size,
        config.gradient_accumulation,
        accelerator.num_processes,
    )
    first, last = (step * plan.samples_a_step for step in (state.step, plan.steps))
    loader = accelerator.prepare(_loader(data.training.between(first, last), config))
    validation = accelerator.prepare(_loader(data.validation, config))
    accelerator.init_trackers("logs")
    usual = PromptMix.of(recipe)
    losses: list[float] = []
    if config.patience is not None and state.waited >= config.patience:
        loader = ()  # it was stopped early
    started = time.perf_counter()
    with Progress(transient=True, disable=not watched(accelerator.is_main_process)) as progress:
        bar = progress.add_task("steps", total=plan.steps, completed=state.step)
        for count, batch in enumerate(loader):
            step_loss.train()
            freeze_batch_norms(step_loss)
            if config.lora.encoder_is_frozen:
                model.vision_encoder.eval()
            part = count % config.gradient_accumulation
            # A batch gets the same prompts however many processes share the step's.
            turn = plan.batch_number(state.step, part, accelerator.process_index)
            # Dropout of a batch depends on nothing that came before: not on where a run went on.
            torch.manual_seed(int(np.random.SeedSequence([config.seed, turn]).generate_state(1)[0]))
            with accelerator.accumulate(step_loss):
                batch = with_pixels(base, batch)
                loss = step_loss(batch, _draw_mix(config, recipe, turn), turn)
                mean = accelerator.reduce(loss.detach(), "mean")
                losses.append(_finite("loss", mean, state.step, output))
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    norm = accelerator.clip_grad_norm_(step_loss.parameters(), config.max_grad_norm)
                    # In half precision the scaler skips such a step and goes on with less scale.
                    if accelerator.scaler is None:
                        _finite("gradient", norm, state.step, output)
                    rate = config.learning_rate * config.learning_rate_at(state.step, plan.steps)
                    for group in optimizer.param_groups:
                        group["lr"] = rate
                optimizer.step()
                optimizer.zero_grad()
            if not accelerator.sync_gradients:
                continue
            state.step += 1
            progress.update(bar, completed=state.step, description=f"loss {losses[-1]:.3f}")
            epoch = plan.ended_epoch(state.step)
            if epoch is None:
                continue
            score = validate(accelerator, base, model, validation, usual)
            row = {
                "epoch": epoch,
                "step": state.step,
                "loss": float(np.mean(losses)),
                "learning_rate": rate,
                "validation_iou": score,
            }
            losses.clear()
            state.history.append(row)
            accelerator.log(row, step=state.step)
            accelerator.print(
                f"epoch {epoch} step {state.step} loss {row['loss']:.4f} "
                f"validation IoU {score:.4f} {time.perf_counter() - started:.0f} s"
            )
            state.waited += 1
            if score > state.best:
                state.best, state.best_epoch, state.waited = score, epoch, 0
                # Before the checkpoint: a run killed in between comes here again.
                _save(accelerator, model, config, recipe, output)
            save_checkpoint(accelerator, output)
            if config.patience is not None and state.waited >= config.patience:
                accelerator.print(f"no better epoch since {state.best_epoch}: stopped early")
                break
    accelerator.end_training()
    if accelerator.is_main_process:
        if config.data.target == HAND:
            recipe = find_outline(config, recipe, data.hands, output, accelerator.device)
        report_run(config, recipe, data.photos, output, accelerator.device)
    return state


def with_pixels(base: TransformersMaskModel, batch: Item) -> Item:
    """A batch of pictures as the model takes them; one of cached features as it is."""
    if "image" not in batch:
        return batch
    return {**batch, "pixel_values": base.pixel_values(batch["image"])}


@torch.no_grad()
def validate(
    accelerator: Any, base: TransformersMaskModel, model: Any, loader: DataLoader, mix: PromptMix
) -> float:
    """Mean IoU in the regions of interest of the validation hands, each counted once."""
    model.eval()
    scores = []
    for batch in loader:
        with accelerator.autocast():
            _, logits = forward_loss(model, with_pixels(base, batch), mix, LossWeights(), 0)
        shape = batch["target"].shape[-2:]
        logits = torch.nn.functional.interpolate(logits[:, None].float(), shape, mode="bilinear")
        score = batch_iou(logits[:, 0], batch["target"], batch["valid"])
        # Drops what was repeated to give every process as many batches.
        scores.append(accelerator.gather_for_metrics(score))
    return float(torch.cat(scores).mean())


def _save(
    accelerator: Any, model: Any, config: FinetuneConfig, recipe: PromptRecipe, output: Path
) -> None:
    """Write the adapter into `output`, in place of that of an earlier epoch."""
    if accelerator.is_main_process:
        save_adapter(model, output, base=config.model, recipe=recipe, card="")
    accelerator.wait_for_everyone()


def _draw_mix(config: FinetuneConfig, recipe: PromptRecipe, turn: int) -> PromptMix:
    """The prompts of batch number `turn`, of the kinds that the recipe makes."""
    usual = PromptMix.of(recipe)
    mix = PromptMix.draw(np.random.default_rng([config.seed, 7, turn]), config.prompts)
    if not (usual.box and usual.points):
        mix = replace(mix, box=usual.box, points=usual.points)
    return mix


def _loader(samples: Dataset[Item], config: FinetuneConfig) -> DataLoader:
    return DataLoader(
        samples,
        config.batch_size,
        num_workers=config.workers,
        collate_fn=collate,
        prefetch_factor=4 if config.workers else None,
    )


def _finite(name: str, value: torch.Tensor, step: int, output: Path) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise TrainingError(
            f"the {name} is {number} at step {step}: lower learning_rate, or use mixed_precision "
            f'"no" or "bf16"; the checkpoint and the best adapter in {output} are from before'
        )
    return number


def _check_same_run(config: FinetuneConfig, output: Path) -> None:
    """Keep the settings in `output`, or refuse it if another run is there."""
    path = output / CONFIG_FILE
    if not path.is_file():
        save_yaml(config, path)
        return
    stored, wanted = (
        to_mapping(from_mapping(FinetuneConfig, read_yaml(path), str(path))),
        to_mapping(config),
    )
    if differing := sorted(name for name in wanted if wanted[name] != stored[name]):
        raise TrainingError(
            f"the run in {output} has other settings of {', '.join(differing)}: go on with "
            f"its own ({path}), or choose another output"
        )


if __name__ == "__main__":
    # The command line is at home in handseg.cli; `accelerate launch -m` needs a module of its own.
    from handseg.cli.finetune import main

    main()
