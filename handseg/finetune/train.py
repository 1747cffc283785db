"""The training loop: optimiser, schedule, checkpoints, logs; a `Task` brings what it trains.

    accelerate launch -m handseg.finetune --config finetune/aitaca.yaml --output runs/aitaca

is `handseg finetune` on several devices or machines.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from rich.progress import Progress
from torch.utils.data import DataLoader, Dataset

from handseg.errors import TrainingError
from handseg.finetune.baselines.settings import BaselineConfig
from handseg.finetune.checkpoints import keep_only_what_learns, load_checkpoint, save_checkpoint
from handseg.finetune.lora.features import EpochSampler, Item, collate
from handseg.finetune.lora.settings import FinetuneConfig
from handseg.finetune.schedule import BatchSchedule
from handseg.finetune.settings import CONFIG_FILE, RunSettings
from handseg.runtime.config import from_mapping, read_yaml, save_yaml, to_mapping
from handseg.runtime.progress import watched
from handseg.runtime.threads import limit_worker


class Task(Protocol):
    """What a run trains, on what: all that the loop does not know by itself.

    Attributes:
        training: the order of the samples.
        validation: each sample once.
        step: a module that takes a batch and its number and returns the loss: distributed wrappers
            want one forward call a step.
    """

    @property
    def training(self) -> EpochSampler: ...
    @property
    def validation(self) -> Dataset[Item]: ...
    @property
    def step(self) -> torch.nn.Module: ...

    def start_training(self) -> None:
        """Put every part of the model into the mode in which it learns, or does not."""

    def score(self, batch: Item) -> torch.Tensor:
        """The IoU of each sample of a batch, (N,), without gradients; leaves training mode."""

    def save(self, output: Path) -> None:
        """Write what has been learnt into `output`, in place of an earlier epoch's."""

    def finish(self, output: Path) -> None:
        """Evaluate what the best epoch left in `output`, in words and figures."""


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


def train(config: RunSettings, output: Path) -> State:
    """Run or go on with a run in the folder `output`, which becomes an adapter or a model.

    Raises:
        TrainingError: if data, model or an earlier run in `output` do not fit, or the loss is not
            finite. The last checkpoint stays, and what the best epoch has learnt.
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs

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
    task = _task(config, output, accelerator)
    optimizer = _optimizer(config, task.step)
    state = State()
    step_loss, optimizer = accelerator.prepare(task.step, optimizer)
    keep_only_what_learns(accelerator)
    accelerator.register_for_checkpointing(state)
    if load_checkpoint(accelerator, output):
        accelerator.print(f"going on after {state.step} steps")
    accelerator.print(f"{accelerator.num_processes} process(es) on {accelerator.device.type}")

    plan = BatchSchedule(
        task.training.hands,
        config.epochs,
        config.batch_size,
        config.gradient_accumulation,
        accelerator.num_processes,
    )
    first, last = (step * plan.samples_a_step for step in (state.step, plan.steps))
    loader = accelerator.prepare(_loader(task.training.between(first, last), config))
    validation = accelerator.prepare(_loader(task.validation, config))
    accelerator.init_trackers("logs")
    losses: list[float] = []
    if config.patience is not None and state.waited >= config.patience:
        loader = ()  # it was stopped early
    started = time.perf_counter()
    with Progress(transient=True, disable=not watched(accelerator.is_main_process)) as progress:
        bar = progress.add_task("steps", total=plan.steps, completed=state.step)
        for count, batch in enumerate(loader):
            task.start_training()
            part = count % config.gradient_accumulation
            # A batch gets the same prompts however many processes share the step's.
            turn = plan.batch_number(state.step, part, accelerator.process_index)
            # Dropout of a batch depends on nothing that came before: not on where a run went on.
            torch.manual_seed(int(np.random.SeedSequence([config.seed, turn]).generate_state(1)[0]))
            with accelerator.accumulate(step_loss):
                loss = step_loss(batch, turn)
                mean = accelerator.reduce(loss.detach(), "mean")
                losses.append(_finite("loss", mean, state.step, output))
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    longest = math.inf if config.max_grad_norm is None else config.max_grad_norm
                    norm = accelerator.clip_grad_norm_(step_loss.parameters(), longest)
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
            score = _validate(accelerator, task, validation)
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
                if accelerator.is_main_process:
                    task.save(output)
                accelerator.wait_for_everyone()
            save_checkpoint(accelerator, output)
            if config.patience is not None and state.waited >= config.patience:
                accelerator.print(f"no better epoch since {state.best_epoch}: stopped early")
                break
    accelerator.end_training()
    if accelerator.is_main_process:
        task.finish(output)
    return state


def _task(config: RunSettings, output: Path, accelerator: Any) -> Task:
    # Each brings libraries that the other has no use for.
    if isinstance(config, BaselineConfig):
        from handseg.finetune.baselines.task import BaselineTask

        return BaselineTask(config, output, accelerator)
    from handseg.finetune.lora.task import LoraTask

    assert isinstance(config, FinetuneConfig)
    return LoraTask(config, output, accelerator)


def _optimizer(config: RunSettings, module: torch.nn.Module) -> torch.optim.Optimizer:
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(learning, lr=rate, momentum=config.momentum, weight_decay=decay)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(learning, lr=rate, weight_decay=decay)


@torch.no_grad()
def _validate(accelerator: Any, task: Task, loader: DataLoader) -> float:
    """Mean IoU of the validation samples, each counted once."""
    scores = []
    for batch in loader:
        with accelerator.autocast():
            score = task.score(batch)
        # Drops what was repeated to give every process as many batches.
        scores.append(accelerator.gather_for_metrics(score))
    return float(torch.cat(scores).mean())


def _loader(samples: Dataset[Item], config: RunSettings) -> DataLoader:
    return DataLoader(
        samples,
        config.batch_size,
        num_workers=config.workers,
        collate_fn=collate,
        worker_init_fn=limit_worker,
        prefetch_factor=4 if config.workers else None,
    )


def _finite(name: str, value: torch.Tensor, step: int, output: Path) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise TrainingError(
            f"the {name} is {number} at step {step}: lower learning_rate, or use mixed_precision "
            f'"no" or "bf16"; the checkpoint and the best epoch in {output} are from before'
        )
    return number


def parse_settings(values: dict[str, Any], where: str) -> RunSettings:
    """Settings from nested mappings: of a baseline where there is a `network`, else of tuning.

    Raises:
        ValueError: if keys are unknown or values do not fit; `where` names their source.
    """
    return from_mapping(BaselineConfig if "network" in values else FinetuneConfig, values, where)


def _check_same_run(config: RunSettings, output: Path) -> None:
    """Keep the settings in `output`, or refuse it if another run is there."""
    path = output / CONFIG_FILE
    if not path.is_file():
        save_yaml(config, path)
        return
    stored, wanted = (
        to_mapping(parse_settings(read_yaml(path), str(path))),
        to_mapping(config),
    )
    if differing := sorted(
        name for name in wanted | stored if wanted.get(name) != stored.get(name)
    ):
        raise TrainingError(
            f"the run in {output} has other settings of {', '.join(differing)}: go on with "
            f"its own ({path}), or choose another output"
        )
