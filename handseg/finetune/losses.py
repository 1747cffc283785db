"""What masks and predicted IoUs are scored by while training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts. `edge` is the extra weight of pixels near the contour."""

    bce: float = 1.0
    dice: float = 1.0
    iou: float = 0.1
    edge: float = 4.0


def mask_loss(
    logits: torch.Tensor,
    iou_scores: torch.Tensor,
    target: torch.Tensor,
    valid: torch.Tensor,
    weights: LossWeights,
) -> torch.Tensor:
    """Cross entropy weighted towards the contour, dice, and the regression of the mask's own IoU.

    Args:
        logits: (N, h, w).
        iou_scores: (N,) 0..1.
        target: (N, H, W) 0..1, soft at the edge; logits are upsampled to it, so the loss asks for
            a contour finer than the logits' own grid.
        valid: (N, H, W) 1 where a pixel counts, 0 outside of the photo.
        weights: of the terms.
    """
    logits = F.interpolate(
        logits[:, None].float(), size=target.shape[-2:], mode="bilinear", align_corners=False
    )[:, 0]
    weight = valid * (1 + weights.edge * _edge_band(target))
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    bce = (bce * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)
    probability = logits.sigmoid() * valid
    overlap = (probability * target).sum((1, 2))
    total = (probability.square() + (target * valid).square()).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (total + 1)
    true_iou = batch_iou(logits.detach(), target, valid)
    iou = F.mse_loss(iou_scores.float(), true_iou, reduction="none")
    return (weights.bce * bce + weights.dice * dice + weights.iou * iou).mean()


def batch_iou(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """(N,) IoU of `logits` > 0 with `target` > 0.5 on valid pixels; 1 where both are empty."""
    predicted, true = (logits > 0) & (valid > 0), (target > 0.5) & (valid > 0)
    union = (predicted | true).sum((1, 2))
    return ((predicted & true).sum((1, 2)) / union.clamp(min=1)).where(union > 0, 1.0)


def _edge_band(target: torch.Tensor, radius: int = 3) -> torch.Tensor:
    """1 within `radius` px of the contour of `target` (N, H, W), 0 elsewhere."""
    size = 2 * radius + 1
    spread = F.max_pool2d(target[:, None], size, 1, radius)
    shrunk = -F.max_pool2d(-target[:, None], size, 1, radius)
    return (spread - shrunk)[:, 0].clamp(0, 1)
