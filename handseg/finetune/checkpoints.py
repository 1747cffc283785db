"""Checkpoints of a run: always complete, with only the trained part of the model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from handseg.errors import TrainingError
from handseg.runtime.files import give_usual_rights

NAME = "checkpoint"
_LEARNT = "learnt.safetensors"


def keep_only_what_learns(accelerator: Any) -> None:
    """Let `accelerator` save and load only what the run changes.

    The frozen base has its own files; checkpointing it too would take hundreds of megabytes.
    """

    def save(models: list[torch.nn.Module], weights: list[Any], folder: str) -> None:
        weights.clear()
        (model,) = models
        if accelerator.is_main_process:
            learnt = {name: tensor.contiguous() for name, tensor in _learning(accelerator, model)}
            save_file(learnt, Path(folder) / _LEARNT)
            give_usual_rights(Path(folder) / _LEARNT)

    def load(models: list[torch.nn.Module], folder: str) -> None:
        model = models.pop()
        learnt = load_file(Path(folder) / _LEARNT)
        with torch.no_grad():
            for name, parameter in _learning(accelerator, model):
                parameter.copy_(learnt[name])

    accelerator.register_save_state_pre_hook(save)
    accelerator.register_load_state_pre_hook(load)


def _learning(accelerator: Any, model: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Return what training changes: parameters with gradients and their batch norm statistics."""
    model = accelerator.unwrap_model(model)
    learning: list[tuple[str, torch.Tensor]]
    learning = [(name, tensor) for name, tensor in model.named_parameters() if tensor.requires_grad]
    for name, module in model.named_modules():
        norm = isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
        if norm and any(parameter.requires_grad for parameter in module.parameters()):
            learning += [(f"{name}.{part}", tensor) for part, tensor in module.named_buffers()]
    return learning


def save_checkpoint(accelerator: Any, output: Path) -> None:
    """Write the state next to the last checkpoint, then replace it: one is always complete.

    Raises:
        TrainingError: if it cannot be written; the last checkpoint stays.
    """
    new, current, old = (output / f"{NAME}{ending}" for ending in ("_new", "", "_old"))
    try:
        accelerator.save_state(str(new))
    # torch and safetensors raise their own errors when the disk is full.
    except Exception as error:
        shutil.rmtree(new, ignore_errors=True)
        kept = (
            f"the last good one is kept in {current}" if current.is_dir() else "there is none yet"
        )
        reason = " ".join(str(error).split())
        raise TrainingError(f"no checkpoint could be written, {kept}: {reason}") from error
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(old, ignore_errors=True)
        if current.is_dir():
            current.rename(old)
        new.rename(current)
        shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def load_checkpoint(accelerator: Any, output: Path) -> bool:
    """Load the last complete checkpoint in `output`; return False if there is none.

    Raises:
        TrainingError: if it cannot be read.
    """
    for folder in (output / NAME, output / f"{NAME}_old"):
        if folder.is_dir():
            try:
                accelerator.load_state(str(folder))
            # torch, safetensors and pickle raise their own errors for damaged files.
            except Exception as error:
                reason = " ".join(str(error).split())
                raise TrainingError(
                    f"{folder} cannot be read: {reason}; to begin again, remove it"
                ) from error
            return True
    return False
