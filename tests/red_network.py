"""A network that labels whole photos: red is hand, green is object."""

from __future__ import annotations

import torch
from torch import nn

from handseg.models.semantic.config import NetworkConfig
from handseg.models.semantic.model import SemanticModel


class Redness(nn.Module):
    """Returns high logits where the normalised image is red; needs no training."""

    def __init__(self, classes: int = 1) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.classes = classes

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        red = self.scale * (pixels[:, :1] - pixels[:, 1:2])
        return torch.cat([red, -red], 1)[:, : self.classes]


def red_labeller(opening: int = 0, objects: bool = False) -> SemanticModel:
    """Wrap `Redness` as a model; with `objects`, green is an object."""
    classes = ("hand", "object") if objects else ("hand",)
    config = NetworkConfig("small_resnet", None, classes, image_size=128, opening=opening)
    return SemanticModel(Redness(len(classes)), config)
