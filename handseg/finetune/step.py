"""One training step of a promptable model: prompts, rounds of correction, loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import cv2
import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as settings

from handseg.finetune.losses import LossWeights, batch_iou, mask_loss
from handseg.models.torch_common import image_embeddings
from handseg.prompts import IGNORED, PromptRecipe
from handseg.runtime.config import STRICT, Share

Rounds = Annotated[int, Field(ge=2, le=16)]


@settings(frozen=True, config=STRICT)
class PromptSampling:
    """How often training steps use each kind of prompt, each 0..1.

    Attributes:
        box_only: only the box.
        points_only: only points; all other steps use both.
        fewer_points: a random subset of the points.
        skeleton: the bones as a mask prompt.
        second_pass: further rounds, each with the last round's mask and a click on its largest
            error, as when a person corrects a mask.
        rounds: minimum and maximum rounds of such a step, including the first.
    """

    box_only: Share = 0.12
    points_only: Share = 0.12
    fewer_points: Share = 0.4
    skeleton: Share = 0.4
    second_pass: Share = 0.4
    rounds: tuple[Rounds, Rounds] = (2, 2)

    def __post_init__(self) -> None:
        if self.box_only + self.points_only > 1:
            raise ValueError(
                "box_only and points_only must sum to at most 1, "
                f"got {self.box_only} and {self.points_only}"
            )
        if self.rounds[0] > self.rounds[1]:
            raise ValueError(f"rounds must be the fewest and the most, got {self.rounds}")


@dataclass(frozen=True)
class SampledPrompts:
    """The prompts of a training step, the same for its whole batch."""

    box: bool
    points: bool
    skeleton: bool = False
    rounds: int = 1
    keep: float = 1.0

    @classmethod
    def draw(
        cls, rng: np.random.Generator, chances: PromptSampling, recipe: PromptRecipe
    ) -> SampledPrompts:
        """Draw from the kinds of prompts that `recipe` makes."""
        usual = cls.of(recipe)
        only = chances.box_only, chances.points_only
        kind = rng.choice(["both", "box", "points"], p=[1 - sum(only), *only])
        fewer = chances.fewer_points / 2
        both = usual.box and usual.points
        return cls(
            box=kind != "points" if both else usual.box,
            points=kind != "box" if both else usual.points,
            skeleton=rng.random() < chances.skeleton,
            rounds=_draw_rounds(rng, chances),
            keep=rng.choice([1.0, 0.7, 0.2], p=[1 - 2 * fewer, fewer, fewer]),
        )

    @classmethod
    def of(cls, recipe: PromptRecipe) -> SampledPrompts:
        """Take all prompts of a recipe, as the predictor does."""
        points = bool(recipe.positives or recipe.negatives)
        return cls(box=recipe.box, points=points, skeleton=recipe.skeleton)


def _draw_rounds(rng: np.random.Generator, chances: PromptSampling) -> int:
    fewest, most = chances.rounds
    return int(rng.integers(fewest, most + 1)) if rng.random() < chances.second_pass else 1


def forward_loss(
    model: Any, batch: dict[str, Any], mix: SampledPrompts, weights: LossWeights, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of a step, averaged over its rounds, and the last logits (N, h, w).

    `batch` holds the values of `Sample.tensors`, and the images either as "pixel_values" or encoded
    as "embeddings".
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
    losses: list[torch.Tensor] = []
    while True:
        output = model(**embeddings, **prompts)
        logits = output.pred_masks[:, 0, 0]
        scores = output.iou_scores[:, 0, 0]
        losses.append(mask_loss(logits, scores, batch["target"], batch["valid"], weights))
        if len(losses) == mix.rounds:
            return torch.stack(losses).mean(), logits
        click, label = correct(logits.detach(), batch["target"], batch["valid"], generator)
        if prompts["input_points"] is not None:
            click = torch.cat([prompts["input_points"], click], 2)
            label = torch.cat([prompts["input_labels"], label], 2)
        prompts |= {
            "input_points": click,
            "input_labels": label,
            "input_masks": logits.detach()[:, None].float().clamp(-20, 20),
        }


def choose_points(
    points: torch.Tensor, labels: torch.Tensor, keep: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose a random share `keep` of each row's points, (N, 1, K, 2), with labels (N, 1, K).

    Points labelled -10 still take a share of SAM's attention. So shorter rows are padded with
    repetitions of their own points, and no label is -10.
    """
    order = torch.rand(labels.shape, generator=generator).to(labels.device)
    order = order.masked_fill(labels == IGNORED, 2.0).argsort(-1)
    counts = (labels != IGNORED).sum(-1, keepdim=True)
    length = max(1, round(int(counts.max()) * keep))
    picks = torch.arange(length, device=labels.device) % counts.clamp(1, length)
    chosen = order.gather(-1, picks.expand(*order.shape[:-1], length))
    return points.gather(2, chosen[..., None].expand(*chosen.shape, 2)), labels.gather(2, chosen)


def correct(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a click per sample, well inside its largest error, or anywhere if it has none.

    Args:
        logits: (N, s, s), from the last round.
        target: (N, S, S) 0..1, half the side of the model's input.
        valid: (N, S, S) 1 where a pixel counts.
        generator: draws the clicks.

    Returns:
        Clicks (N, 1, 1, 2) x, y px of the model's input, and the true labels there, (N, 1, 1).
    """
    size = logits.shape[-1]
    truth = torch.nn.functional.adaptive_avg_pool2d(target, (size, size)) > 0.5
    known = torch.nn.functional.adaptive_avg_pool2d(valid, (size, size)) > 0.99
    wrong = (((logits > 0) != truth) & known).cpu().numpy()
    places = [_inner_error(one, true) for one, true in zip(wrong, truth.cpu().numpy(), strict=True)]
    weights = torch.from_numpy(np.stack(places)).flatten(1).float()
    index = torch.multinomial(weights, 1, generator=generator)[:, 0].to(logits.device)
    label = truth.flatten(1).gather(1, index[:, None])[:, 0].long()
    scale = 2 * target.shape[-1] / size
    point = (torch.stack([index % size, index // size], 1).float() + 0.5) * scale - 0.5
    return point[:, None, None], label[:, None, None]


def _inner_error(wrong: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the core of the largest island of missed or superfluous pixels, (s, s) bool."""
    largest = np.zeros(wrong.shape, bool)
    for kind in (wrong & truth, wrong & ~truth):
        _, islands, stats, _ = cv2.connectedComponentsWithStats(kind.astype(np.uint8))
        if len(stats) > 1 and stats[1:, cv2.CC_STAT_AREA].max() > largest.sum():
            largest = islands == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    if not largest.any():
        return ~largest
    depth = cv2.distanceTransform(np.pad(largest, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    return depth > 0.5 * depth.max()


class PromptedStep(torch.nn.Module):
    """Compute the loss of a batch, with prompts drawn from its number.

    Args:
        model: the SAM-family model to train.
        pixel_values: converts images (N, S, S, 3) uint8 to the model's input.
        recipe: decides which kinds of prompts are drawn.
        sampling: how often each kind is drawn.
        weights: weights of the loss.
        seed: seed of the draws.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        pixel_values: Callable[[torch.Tensor], torch.Tensor],
        recipe: PromptRecipe,
        sampling: PromptSampling,
        weights: LossWeights,
        seed: int,
    ) -> None:
        super().__init__()
        self.model = model
        self._pixel_values, self._recipe = pixel_values, recipe
        self._sampling, self._weights, self._seed = sampling, weights, seed

    def forward(self, batch: dict[str, Any], turn: int) -> torch.Tensor:
        rng = np.random.default_rng([self._seed, 7, turn])
        mix = SampledPrompts.draw(rng, self._sampling, self._recipe)
        return forward_loss(self.model, self._with_pixels(batch), mix, self._weights, turn)[0]

    def score(self, model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
        """Return the IoU (N,) of the masks of `model` for a batch, with the recipe's prompts."""
        mix = SampledPrompts.of(self._recipe)
        _, logits = forward_loss(model, self._with_pixels(batch), mix, self._weights, 0)
        shape = batch["target"].shape[-2:]
        logits = torch.nn.functional.interpolate(logits[:, None].float(), shape, mode="bilinear")
        return batch_iou(logits[:, 0], batch["target"], batch["valid"])

    def _with_pixels(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Convert a batch of images to the model's input; leave cached features unchanged."""
        if "image" not in batch:
            return batch
        return {**batch, "pixel_values": self._pixel_values(batch["image"])}
