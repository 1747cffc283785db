"""Interface between the training loop and a run's model and data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from handseg.finetune.sampler import EpochSampler, Item


class Task(ABC):
    """The model, samples and results of a run.

    Attributes:
        training: training samples in order.
        validation: each validation sample once.
        step: a module that takes a batch and its number and returns the loss; distributed wrappers
            need a single forward call per step.
        checkpointed: objects with state besides the trainable weights.
    """

    training: EpochSampler
    validation: Dataset[Item]
    step: torch.nn.Module
    checkpointed: tuple[Any, ...] = ()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the trainable weights for the optimiser; groups may set their own rates."""
        return [{"params": [one for one in self.step.parameters() if one.requires_grad]}]

    @abstractmethod
    def start_training(self) -> None:
        """Put each part of the model into training or evaluation mode."""

    def after_step(self) -> None:  # noqa: B027
        """Update state that follows the weights, after an optimiser step."""

    @abstractmethod
    def score(self, batch: Item) -> torch.Tensor:
        """Return each sample's IoU, (N,), without gradients; may leave training mode."""

    @abstractmethod
    def save(self, output: Path) -> None:
        """Write the trained weights into `output`, replacing those of an earlier epoch."""

    def finish(self, output: Path) -> None:  # noqa: B027
        """Evaluate the best epoch, saved in `output`, and report the results."""
