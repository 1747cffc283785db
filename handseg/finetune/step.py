"""One training step: which prompts it uses, its passes through the model, its loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from handseg.finetune.losses import LossWeights, mask_loss
from handseg.models.torch_common import image_embeddings
from handseg.prompts import IGNORED, PromptRecipe


@dataclass(frozen=True)
class PromptSampling:
    """How often a training step uses which prompts, each 0..1.

    Attributes:
        box_only: the box alone.
        points_only: points alone; what is left are steps with both.
        fewer_points: a random part of the points in place of all.
        skeleton: the bones as a mask prompt.
        second_pass: a second pass with the first one's mask and a click on one of its errors.
    """

    box_only: float = 0.12
    points_only: float = 0.12
    fewer_points: float = 0.4
    skeleton: float = 0.4
    second_pass: float = 0.4

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {value!r}")
        if self.box_only + self.points_only > 1:
            raise ValueError(
                "box_only and points_only must sum to at most 1, "
                f"got {self.box_only} and {self.points_only}"
            )


@dataclass(frozen=True)
class SampledPrompts:
    """Which prompts a training step uses; the same for all of its batch."""

    box: bool
    points: bool
    skeleton: bool = False
    second_pass: bool = False
    keep: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator, chances: PromptSampling) -> SampledPrompts:
        only = chances.box_only, chances.points_only
        kind = rng.choice(["both", "box", "points"], p=[1 - sum(only), *only])
        fewer = chances.fewer_points / 2
        return cls(
            box=kind != "points",
            points=kind != "box",
            skeleton=rng.random() < chances.skeleton,
            second_pass=rng.random() < chances.second_pass,
            keep=rng.choice([1.0, 0.7, 0.2], p=[1 - 2 * fewer, fewer, fewer]),
        )

    @classmethod
    def of(cls, recipe: PromptRecipe) -> SampledPrompts:
        """All that a recipe makes: what the predictor gives the model."""
        points = bool(recipe.positives or recipe.negatives)
        return cls(box=recipe.box, points=points, skeleton=recipe.skeleton)


def forward_loss(
    model: Any, batch: dict[str, Any], mix: SampledPrompts, weights: LossWeights, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of one step, and the logits (N, h, w) of its last pass.

    `batch` holds what `samples.to_tensors` makes, and the pictures either as "pixel_values" or
    encoded as "embeddings".
    """
    embeddings = batch.get("embeddings") or image_embeddings(model, batch["pixel_values"])
    generator = torch.Generator().manual_seed(seed)
    points, labels = choose_points(batch["points"], batch["labels"], mix.keep, generator)
    prompts: dict[str, Any] = {
        "input_points": points if mix.points else None,
        "input_labels": labels if mix.points else None,
        "input_boxes": batch["box"] if mix.box else None,
        "input_masks": batch["skeleton"] if mix.skeleton else None,
        "multimask_output": False,
    }
    output = model(**embeddings, **prompts)
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
    second = model(**embeddings, **prompts)
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
    logits: torch.Tensor, batch: dict[str, Any], generator: torch.Generator
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
    # Targets have half the side of the model's input.
    scale = 2 * batch["target"].shape[-1] / size
    point = (torch.stack([index % size, index // size], 1).float() + 0.5) * scale - 0.5
    return point[:, None, None], label[:, None, None]


class StepLoss(torch.nn.Module):
    """A model that returns its loss: one forward call a step, as distributed wrappers want it."""

    def __init__(self, model: torch.nn.Module, weights: LossWeights) -> None:
        super().__init__()
        self.model = model
        self.weights = weights

    def forward(self, batch: dict[str, Any], mix: SampledPrompts, seed: int) -> torch.Tensor:
        return forward_loss(self.model, batch, mix, self.weights, seed)[0]
