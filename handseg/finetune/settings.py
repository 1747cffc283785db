"""Settings that all training runs share."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from handseg.data.splits import TEST, TRAIN, VALIDATION
from handseg.runtime.config import STRICT, Count, Fraction, NotNegative, Positive, Share

CONFIG_FILE = "config.yaml"
"""Settings file in a run's folder."""


@dataclass(frozen=True, config=STRICT)
class DataSettings:
    """Photos and masks, and how they are split.

    Attributes:
        source: a folder; for layout "hub", also a data set's id.
        layout: "folder", "aitaca", "coco", "hub", "freihand", "ho3d", "egohos", "egohands",
            "webdataset" or "mix".
        options: further arguments of the layout's loader, see `handseg.data.load_data`.
        splits: file of an existing split, such as from `handseg prepare`; "official" takes the
            publisher's split, with "val" taken from "train" if it has none; None splits by group.
        ratios: sizes of the parts "train", "val" and, optionally, "test".
        target: which mask is learned, "hand" or "object": what a hand holds.
    """

    source: str
    layout: str = "folder"
    options: dict[str, Any] = field(default_factory=dict)
    splits: str | None = None
    ratios: dict[str, float] = field(
        default_factory=lambda: {TRAIN: 0.8, VALIDATION: 0.1, TEST: 0.1}
    )
    target: Literal["hand", "object"] = "hand"


@dataclass(frozen=True, config=STRICT, kw_only=True)
class RunSettings:
    """Settings that all training runs share.

    Attributes:
        epochs: passes over the data.
        batch_size: samples per forward pass, on each device.
        gradient_accumulation: forward passes per step.
        optimizer: "adamw", "adam" (weight decay added to the gradient, which is L2
            regularisation) or "sgd" (likewise).
        momentum: momentum of SGD.
        learning_rate: learning rate at the schedule's peak.
        schedule: "cosine" falls to `final_learning_rate` at the end, "step" is multiplied by
            `step_factor` every `step_epochs`, "constant" stays.
        final_learning_rate: end of the cosine, as a share of the peak.
        step_epochs, step_factor: see above.
        warmup: share of the steps in which the learning rate rises to its peak.
        weight_decay: weight decay of the optimiser.
        max_grad_norm: clip longer gradients to this norm; None does not clip.
        patience: epochs without a better validation IoU until the run stops; None never stops it.
        mixed_precision: "no", "bf16" or "fp16"; None takes the setting of `accelerate launch`.
        workers: processes that read samples, on each device.
        seed: seed of the split, the augmentation, the order and the initial weights.
        report: whether to evaluate the result at the end.
    """

    epochs: Count = 20
    batch_size: Count = 8
    gradient_accumulation: Count = 1
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: Fraction = 0.9
    learning_rate: Positive = 1e-3
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    final_learning_rate: Share = 0.0
    step_epochs: Count = 10
    step_factor: Positive = 0.3
    warmup: Fraction = 0.05
    weight_decay: NotNegative = 0.01
    max_grad_norm: Positive | None = 1.0
    patience: Count | None = None
    mixed_precision: Literal["no", "bf16", "fp16"] | None = None
    workers: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0)] = 0
    report: bool = True

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Return the share of the peak learning rate at `step` of `steps`, 0..1."""
        warm = round(self.warmup * steps)
        if step < warm:
            return (step + 1) / warm
        if self.schedule == "cosine":
            done = min(1.0, (step - warm) / max(1, steps - warm))
            cosine = 0.5 * (1 + math.cos(math.pi * done))
            return self.final_learning_rate + (1 - self.final_learning_rate) * cosine
        if self.schedule == "step":
            return self.step_factor ** int(step * self.epochs / steps // self.step_epochs)
        return 1.0
