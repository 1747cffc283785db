"""The finder's target maps and loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from handseg.finetune.finder.network import CHANNELS
from handseg.finetune.sampler import Item
from handseg.landmarks.finder import STRIDE

LEAST = 6.0
"""Least longer side of a box, px of the input, for its hand to be a target."""
_OVERLAP = 0.7  # IoU with the true box at which a centre still counts as nearly right.


@dataclass(frozen=True, eq=False)
class TrueHand:
    """A hand in an image.

    Attributes:
        box: (4,) xyxy px.
        right: 1.0 for a right hand, 0.0 for a left one, NaN if unknown.
        wrist: (2,) unit vector from the box centre to the wrist; NaN if unknown.
        doubtful: ignored by the loss, found or not: mostly hidden, gloved, cut off.
    """

    box: np.ndarray
    right: float
    wrist: np.ndarray
    doubtful: bool = False


def target_maps(hands: list[TrueHand], height: int, width: int) -> dict[str, torch.Tensor]:
    """Make the maps for an image of `height` x `width` px.

    Returns:
        `heat`, (h, w) float32: 1 at centres, falling off around them; `weight`, (h, w) float32: 0
        where the loss ignores the map; `values`, (7, h, w) float32: the other `CHANNELS` at
        centres, NaN where unknown.
    """
    rows, columns = height // STRIDE, width // STRIDE
    heat = np.zeros((rows, columns), np.float32)
    weight = np.ones((rows, columns), np.float32)
    values = np.full((len(CHANNELS) - 1, rows, columns), np.nan, np.float32)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    for hand in sorted(hands, key=_is_target):  # So that no ignored hand covers a target.
        sides = np.maximum(hand.box[2:] - hand.box[:2], 1.0)
        if not _is_target(hand):
            low = np.floor(hand.box[:2] / STRIDE - 0.5).clip(0).astype(int)
            high = np.ceil(hand.box[2:] / STRIDE + 0.5).clip(0).astype(int)
            weight[low[1] : high[1] + 1, low[0] : high[0] + 1] = 0
            continue
        middle = ((hand.box[:2] + hand.box[2:]) / 2 + 0.5) / STRIDE - 0.5
        column, row = np.clip(np.round(middle).astype(int), 0, [columns - 1, rows - 1])
        # At this offset along both axes, a box of the true size has IoU `_OVERLAP` with the truth.
        spread = np.maximum((1 - np.sqrt(2 * _OVERLAP / (1 + _OVERLAP))) * sides / STRIDE, 0.5)
        peak = np.exp(-(((x - column) / spread[0]) ** 2 + ((y - row) / spread[1]) ** 2) / 2)
        heat = np.maximum(heat, peak)
        weight[row, column] = 1
        values[:, row, column] = [
            *np.log(sides / STRIDE), *(middle - [column, row]), hand.right, *hand.wrist,
        ]  # fmt: skip
    return {
        "heat": torch.from_numpy(heat),
        "weight": torch.from_numpy(weight),
        "values": torch.from_numpy(values),
    }


def _is_target(hand: TrueHand) -> bool:
    return not hand.doubtful and float((hand.box[2:] - hand.box[:2]).max()) >= LEAST


def finder_loss(found: torch.Tensor, batch: Item) -> torch.Tensor:
    """Compute the loss of a batch: CenterNet's focal loss for centres, L1 for sizes and offsets.

    `found` is (N, 8, h, w); `batch` holds the `target_maps` of each image.
    """
    found = found.float()
    heat, weight, values = batch["heat"], batch["weight"], batch["values"]
    logit = found[:, 0]
    sure = torch.sigmoid(logit).clamp(1e-4, 1 - 1e-4)
    middle = (heat == 1).float()
    positive = -((1 - sure) ** 2) * torch.log(sure) * middle
    negative = -(sure**2) * torch.log(1 - sure) * (1 - heat) ** 4 * (1 - middle)
    count = (middle * weight).sum().clamp(min=1)
    loss = ((positive + negative) * weight).sum() / count

    known = ~torch.isnan(values)
    wanted = torch.nan_to_num(values)
    off = (found[:, 1:] - wanted).abs() * known
    sizes = off[:, :2].sum() / known[:, :2].sum().clamp(min=1)
    places = off[:, 2:4].sum() / known[:, 2:4].sum().clamp(min=1)
    sides = functional.binary_cross_entropy_with_logits(found[:, 5], wanted[:, 4], reduction="none")
    sides = (sides * known[:, 4]).sum() / known[:, 4].sum().clamp(min=1)
    wrist = 1 - functional.cosine_similarity(found[:, 6:8], wanted[:, 5:7], dim=1)
    wrist = (wrist * known[:, 5]).sum() / known[:, 5].sum().clamp(min=1)
    return loss + sizes + 0.5 * places + 0.2 * sides + 0.3 * wrist
