"""Training loss of masks and predicted IoUs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass

from handseg.runtime.config import STRICT, NotNegative


@dataclass(frozen=True, config=STRICT)
class LossWeights:
    """Weights of the loss terms.

    Attributes:
        focal: per-pixel cross entropy, weighted by its error (Lin et al., ICCV 2017).
        focal_gamma: how much more wrong pixels count than right ones; 0 is plain cross entropy.
        edge: extra weight of the pixels near the contour in that cross entropy.
        dice: overlap of the whole masks.
        boundary: overlap of the contours (Bokhovkin and Burnaev, ISNN 2019).
        iou: error of the predicted IoU.
    """

    focal: NotNegative = 1.0
    focal_gamma: NotNegative = 0.0
    edge: NotNegative = 4.0
    dice: NotNegative = 1.0
    boundary: NotNegative = 0.5
    iou: NotNegative = 0.1


def mask_loss(
    logits: torch.Tensor,
    iou_scores: torch.Tensor,
    target: torch.Tensor,
    valid: torch.Tensor,
    weights: LossWeights,
) -> torch.Tensor:
    """Compute focal, dice and boundary loss of the masks, and the error of their predicted IoU.

    Args:
        logits: (N, h, w).
        iou_scores: (N,) 0..1.
        target: (N, H, W) 0..1, soft at the edge; logits are upsampled to it, so the loss demands
            a contour finer than the logits' own grid.
        valid: (N, H, W) 1 where a pixel counts, 0 outside the photo.
        weights: weights of the terms.
    """
    logits = F.interpolate(
        logits[:, None].float(), size=target.shape[-2:], mode="bilinear", align_corners=False
    )[:, 0]
    weight = valid * (1 + weights.edge * _edge_band(target))
    pixel = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if weights.focal_gamma:
        # Below 1, the exponent's gradient at 0 is infinite.
        error = (logits.sigmoid() - target).abs().clamp(min=1e-6)
        pixel = pixel * error**weights.focal_gamma
    focal = (pixel * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)
    probability = logits.sigmoid() * valid
    overlap = (probability * target).sum((1, 2))
    total = (probability.square() + (target * valid).square()).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (total + 1)
    true_iou = batch_iou(logits.detach(), target, valid)
    iou = F.mse_loss(iou_scores.float(), true_iou, reduction="none")
    loss = weights.focal * focal + weights.dice * dice + weights.iou * iou
    if weights.boundary:
        loss = loss + weights.boundary * (1 - _boundary_overlap(probability, target * valid, valid))
    return loss.mean()


def batch_iou(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Return the IoU (N,) of `logits` > 0 and `target` > 0.5 on valid pixels; 1 if both empty."""
    predicted, true = (logits > 0) & (valid > 0), (target > 0.5) & (valid > 0)
    union = (predicted | true).sum((1, 2))
    return ((predicted & true).sum((1, 2)) / union.clamp(min=1)).where(union > 0, 1.0)


def _boundary_overlap(
    predicted: torch.Tensor, true: torch.Tensor, valid: torch.Tensor, tolerance: int = 2
) -> torch.Tensor:
    """Return the F1 (N,), 0..1, of soft contours one pixel wide, matched within `tolerance` px."""

    def rim(mask: torch.Tensor) -> torch.Tensor:
        return (mask + F.max_pool2d(-mask[:, None], 3, 1, 1)[:, 0]) * valid

    def near(contour: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(contour[:, None], 2 * tolerance + 1, 1, tolerance)[:, 0]

    predicted_rim, true_rim = rim(predicted), rim(true)
    precision = ((predicted_rim * near(true_rim)).sum((1, 2)) + 1) / (predicted_rim.sum((1, 2)) + 1)
    recall = ((true_rim * near(predicted_rim)).sum((1, 2)) + 1) / (true_rim.sum((1, 2)) + 1)
    return 2 * precision * recall / (precision + recall)


def _edge_band(target: torch.Tensor, radius: int = 3) -> torch.Tensor:
    """Return 1 within `radius` px of the contour of `target` (N, H, W), 0 elsewhere."""
    size = 2 * radius + 1
    spread = F.max_pool2d(target[:, None], size, 1, radius)
    shrunk = -F.max_pool2d(-target[:, None], size, 1, radius)
    return (spread - shrunk)[:, 0].clamp(0, 1)
