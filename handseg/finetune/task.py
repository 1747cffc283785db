"""What a run trains, on what: all that the training loop does not know by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from handseg.finetune.sampler import EpochSampler, Item


class Task(ABC):
    """One run's model, samples and outcome.

    Attributes:
        training: the order of the samples.
        validation: each sample once.
        step: a module that takes a batch and its number and returns the loss: distributed wrappers
            want one forward call a step.
        checkpointed: what has a state besides the weights that learn.
    """

    training: EpochSampler
    validation: Dataset[Item]
    step: torch.nn.Module
    checkpointed: tuple[Any, ...] = ()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The weights that learn, as an optimiser takes them; groups may have own rates."""
        return [{"params": [one for one in self.step.parameters() if one.requires_grad]}]

    @abstractmethod
    def start_training(self) -> None:
        """Put every part of the model into the mode in which it learns, or does not."""

    def after_step(self) -> None:  # noqa: B027
        """Follow the weights, which the optimiser has changed."""

    @abstractmethod
    def score(self, batch: Item) -> torch.Tensor:
        """The IoU of each sample of a batch, (N,), without gradients; may leave training mode."""

    @abstractmethod
    def save(self, output: Path) -> None:
        """Write what has been learnt into `output`, in place of an earlier epoch's."""

    def finish(self, output: Path) -> None:  # noqa: B027
        """Evaluate what the best epoch left in `output`, in words and figures."""
