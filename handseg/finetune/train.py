"""The training loop: optimiser, schedule, checkpoints, logs; a `Task` supplies model and data.

    accelerate launch -m handseg.finetune --config finetune/aitaca.yaml --output runs/aitaca

runs `handseg finetune` on several devices or machines.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset

from handseg.errors import TrainingError
from handseg.finetune.baselines.settings import BaselineConfig
from handseg.finetune.batches import BatchSchedule
from handseg.finetune.checkpoints import keep_only_what_learns, load_checkpoint, save_checkpoint
from handseg.finetune.finder.settings import FinderConfig
from handseg.finetune.lora.data import SPLITS_FILE
from handseg.finetune.lora.settings import FinetuneConfig
from handseg.finetune.pretrain.settings import PretrainConfig
from handseg.finetune.sampler import Item, collate
from handseg.finetune.settings import CONFIG_FILE, RunSettings
from handseg.finetune.task import Task
from handseg.runtime.config import from_mapping, save_yaml, to_mapping
from handseg.runtime.progress import watched
from handseg.runtime.run_folder import RUN, SETTINGS_FILE, RunFolder
from handseg.runtime.threads import limit_worker, one_opencv_thread


@dataclass
class State:
    """Progress and results of a run; saved with each checkpoint.

    Attributes:
        step: optimiser steps taken.
        best: best validation IoU so far.
        best_epoch: epoch of the best validation IoU.
        waited: epochs since then.
        history: a row for each epoch.
    """

    step: int = 0
    best: float = -1.0
    best_epoch: int = 0
    waited: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> bool:
        """Record an epoch; return whether it is the best so far."""
        self.history.append(row)
        better = row["validation_iou"] > self.best
        self.waited += 1
        if better:
            self.best, self.best_epoch, self.waited = row["validation_iou"], row["epoch"], 0
        return better

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def train(config: RunSettings, output: Path) -> State:
    """Start or resume a run in the folder `output`, which becomes an adapter or a model.

    Raises:
        RunMismatch: if `output` holds another run.
        TrainingError: if data or model do not fit, or the loss is not finite. The last checkpoint
            and the weights of the best epoch stay.
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs

    accelerator = Accelerator(
        mixed_precision=config.mixed_precision,
        gradient_accumulation_steps=config.gradient_accumulation,
        log_with="tensorboard",
        project_dir=str(output),
        # Each process counts steps like a single process, which is what the schedule is based on.
        step_scheduler_with_optimizer=False,
        # Parameters that a step's prompts do not use get no gradient in that step.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    output.mkdir(parents=True, exist_ok=True)
    with accelerator.main_process_first():
        _check_same_run(config, output)
    task = _task(config, output, accelerator)
    plan = BatchSchedule(
        task.training.hands,
        config.epochs,
        config.batch_size,
        config.gradient_accumulation,
        accelerator.num_processes,
    )
    optimizer = _optimizer(config, task)
    scheduler = LambdaLR(optimizer, lambda step: config.learning_rate_at(step, plan.steps))
    state = State()
    step_loss, optimizer, scheduler = accelerator.prepare(task.step, optimizer, scheduler)
    keep_only_what_learns(accelerator)
    accelerator.register_for_checkpointing(state, *task.checkpointed)
    if load_checkpoint(accelerator, output):
        accelerator.print(f"going on after {state.step} steps")
    accelerator.print(f"{accelerator.num_processes} process(es) on {accelerator.device.type}")
    first, last = (step * plan.samples_a_step for step in (state.step, plan.steps))
    loader = accelerator.prepare(_loader(task.training.between(first, last), config))
    validation = accelerator.prepare(_loader(task.validation, config))
    accelerator.init_trackers("logs")
    if config.patience is not None and state.waited >= config.patience:
        loader = ()  # stopped early

    losses: list[float] = []
    started = time.perf_counter()
    for count, batch in enumerate(_shown(loader, state, plan, accelerator)):
        task.start_training()
        # A batch gets the same prompts, however many processes share the step.
        part = count % config.gradient_accumulation
        turn = plan.batch_number(state.step, part, accelerator.process_index)
        # Make a batch's dropout independent of earlier draws, and so of where a run resumed.
        torch.manual_seed(int(np.random.SeedSequence([config.seed, turn]).generate_state(1)[0]))
        with accelerator.accumulate(step_loss):
            loss = step_loss(batch, turn)
            losses.append(_learn(loss, step_loss, optimizer, accelerator, config, state.step))
        if not accelerator.sync_gradients:
            continue
        task.after_step()
        rate = optimizer.param_groups[0]["lr"]
        scheduler.step()
        state.step += 1
        epoch = plan.ended_epoch(state.step)
        if epoch is None:
            continue
        row = {
            "epoch": epoch,
            "step": state.step,
            "loss": float(np.mean(losses)),
            "learning_rate": rate,
            "validation_iou": _validate(accelerator, task, validation),
        }
        losses.clear()
        accelerator.log(row, step=state.step)
        accelerator.print(
            f"epoch {epoch} step {state.step} loss {row['loss']:.4f} "
            f"validation IoU {row['validation_iou']:.4f} {time.perf_counter() - started:.0f} s"
        )
        if state.add(row):
            # Save before the checkpoint: a run killed in between gets here again.
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
    # Each imports libraries that the others do not need.
    if isinstance(config, BaselineConfig):
        from handseg.finetune.baselines.task import BaselineTask

        return BaselineTask(config, output, accelerator)
    if isinstance(config, FinderConfig):
        from handseg.finetune.finder.task import FinderTask

        return FinderTask(config, output, accelerator)
    if isinstance(config, PretrainConfig):
        from handseg.finetune.pretrain.task import PretrainTask

        return PretrainTask(config, output, accelerator)
    from handseg.finetune.lora.task import LoraTask

    assert isinstance(config, FinetuneConfig)
    return LoraTask(config, output, accelerator)


def _optimizer(config: RunSettings, task: Task) -> torch.optim.Optimizer:
    groups = task.parameter_groups()
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=config.momentum, weight_decay=decay)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=rate, weight_decay=decay, fused=True)


def _shown(
    loader: Iterable[Item], state: State, plan: BatchSchedule, accelerator: Any
) -> Iterator[Item]:
    """Yield the batches, with a progress bar of the run's steps if someone is watching."""
    with Progress(transient=True, disable=not watched(accelerator.is_main_process)) as progress:
        bar = progress.add_task("steps", total=plan.steps)
        for batch in _batches(loader):
            progress.update(bar, completed=state.step)
            yield batch


def _learn(
    loss: torch.Tensor,
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Any,
    config: RunSettings,
    step: int,
) -> float:
    """Train on one batch; return its loss, averaged over the processes."""
    mean = _finite("loss", accelerator.reduce(loss.detach(), "mean"), step)
    accelerator.backward(loss)
    if accelerator.sync_gradients:
        longest = math.inf if config.max_grad_norm is None else config.max_grad_norm
        norm = accelerator.clip_grad_norm_(module.parameters(), longest)
        # In half precision, the scaler skips such a step and continues with a smaller scale.
        if accelerator.scaler is None:
            _finite("gradient", norm, step)
    optimizer.step()
    optimizer.zero_grad()
    return mean


@torch.no_grad()
def _validate(accelerator: Any, task: Task, loader: DataLoader) -> float:
    """Return the mean IoU of the validation samples, each counted once."""
    scores = []
    for batch in _batches(loader):
        with accelerator.autocast():
            score = task.score(batch)
        # Drops samples repeated to give every process the same number of batches.
        scores.append(accelerator.gather_for_metrics(score))
    return float(torch.cat(scores).mean())


def _batches(loader: Iterable[Item]) -> Iterator[Item]:
    """Yield the batches of `loader`; its workers are forked while OpenCV has no threads.

    A forked process that sets a lower thread count waits forever for its parent's threads.
    """
    batches = iter(loader)
    with one_opencv_thread():
        first = list(islice(batches, 1))
    yield from chain(first, batches)


def _loader(samples: Dataset[Item], config: RunSettings) -> DataLoader:
    return DataLoader(
        samples,
        config.batch_size,
        num_workers=config.workers,
        collate_fn=collate,
        worker_init_fn=limit_worker,
        prefetch_factor=4 if config.workers else None,
    )


def _finite(name: str, value: torch.Tensor, step: int) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise TrainingError(
            f"the {name} is {number} at step {step}: lower learning_rate, or use mixed_precision "
            '"no" or "bf16"; the checkpoint and the best epoch are from before'
        )
    return number


def parse_settings(values: dict[str, Any], where: str) -> RunSettings:
    """Parse settings from nested mappings: of a baseline if there is a `network`, else of LoRA.

    Raises:
        ValueError: if keys are unknown or values are invalid; `where` names their source.
    """
    return from_mapping(BaselineConfig if "network" in values else FinetuneConfig, values, where)


def _check_same_run(config: RunSettings, output: Path) -> None:
    """Save the settings in `output`, or raise if it holds another run."""
    # Files that exist before the first checkpoint; settings of no run are somebody's own.
    preparations = [SPLITS_FILE, "logs"]
    if (output / RUN / SETTINGS_FILE).exists():
        preparations.append(CONFIG_FILE)
    RunFolder(output, to_mapping(config), preparations).claim()
    save_yaml(config, output / CONFIG_FILE)
