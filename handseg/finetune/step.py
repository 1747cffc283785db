"""One training step: which prompts it uses, its passes through the model, its loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from handseg.finetune.losses import LossWeights, mask_loss
from handseg.prompts import IGNORED


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


class StepLoss(torch.nn.Module):
    """A model that returns its loss: one forward call a step, as distributed wrappers want it."""

    def __init__(self, model: torch.nn.Module, weights: LossWeights) -> None:
        super().__init__()
        self.model = model
        self.weights = weights

    def forward(self, batch: dict[str, torch.Tensor], mix: PromptMix, seed: int) -> torch.Tensor:
        return forward_loss(self.model, batch, mix, self.weights, seed)[0]
