"""What every training run is told, whatever it trains."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from handseg.data.splits import TEST, TRAIN, VALIDATION
from handseg.models.semantic.config import HAND, OBJECT

CONFIG_FILE = "config.yaml"
"""In the folder of a run, its settings."""
TARGETS = (HAND, OBJECT)
"""Which mask is learned: of the hand, or of what it holds."""


@dataclass(frozen=True)
class DataSettings:
    """Photos and masks, and how they are split.

    Attributes:
        source: a folder, or for layout "hub" also a data set's id.
        layout: "folder", "aitaca", "coco", "hub", "freihand", "ho3d", "egohos", "egohands" or
            "mix".
        options: further arguments of the layout's loader, see `handseg.data.load_data`.
        splits: file of a split made before, such as by `handseg prepare`; "official" takes that of
            the data set's publisher, with "val" out of "train" where it has none; None splits by
            group.
        ratios: sizes of the parts "train", "val" and, if wanted, "test".
        target: which mask is learned, "hand" or "object": what a hand holds.
    """

    source: str
    layout: str = "folder"
    options: dict[str, Any] = field(default_factory=dict)
    splits: str | None = None
    ratios: dict[str, float] = field(
        default_factory=lambda: {TRAIN: 0.8, VALIDATION: 0.1, TEST: 0.1}
    )
    target: str = HAND

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise ValueError(f"target must be {' or '.join(TARGETS)}, got {self.target!r}")


@dataclass(frozen=True)
class RunSettings:
    """What every training run is told, whatever it trains.

    Attributes:
        data: what to learn from.
        epochs: passes over the data.
        batch_size: samples a forward pass, on each device.
        gradient_accumulation: forward passes a step.
        optimizer: "adamw", "adam" (weight decay added to the gradient, which is L2
            regularisation) or "sgd" (likewise).
        momentum: SGD's.
        learning_rate: the optimiser's, at the schedule's peak.
        schedule: "cosine" falls to 0 at the end, "step" is multiplied by `step_factor` every
            `step_epochs`, "constant" stays.
        step_epochs, step_factor: see above.
        warmup: share of the steps in which the learning rate rises to its peak.
        weight_decay: the optimiser's.
        max_grad_norm: longer gradients are clipped to it; None clips none.
        patience: epochs without a better validation IoU until the run is stopped; None goes on.
        mixed_precision: "no", "bf16" or "fp16"; None takes what `accelerate launch` was told.
        workers: processes that read the samples, on each device.
        seed: of the split, the variations, the order and the start of what learns.
        report: whether the outcome is evaluated at the end.
    """

    data: DataSettings
    epochs: int = 20
    batch_size: int = 8
    gradient_accumulation: int = 1
    optimizer: str = "adamw"
    momentum: float = 0.9
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    step_epochs: int = 10
    step_factor: float = 0.3
    warmup: float = 0.05
    weight_decay: float = 0.01
    max_grad_norm: float | None = 1.0
    patience: int | None = None
    mixed_precision: str | None = None
    workers: int = 0
    seed: int = 0
    report: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "gradient_accumulation", "step_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "step_factor", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be above 0, got {value}")
        for name, choices in (
            ("optimizer", ("adamw", "adam", "sgd")),
            ("schedule", ("cosine", "step", "constant")),
            ("mixed_precision", (None, "no", "bf16", "fp16")),
        ):
            if getattr(self, name) not in choices:
                known = ", ".join(choice or "null" for choice in choices)
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        for name in ("warmup", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be from 0 to below 1, got {getattr(self, name)}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1 or null, got {self.patience}")

    def learning_rate_at(self, step: int, steps: int) -> float:
        """The share of the peak learning rate at `step` of `steps`, 0..1."""
        warm = round(self.warmup * steps)
        if step < warm:
            return (step + 1) / warm
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))
        if self.schedule == "step":
            return self.step_factor ** int(step * self.epochs / steps // self.step_epochs)
        return 1.0
