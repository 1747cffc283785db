"""Networks used by earlier systems: U-Net, DeepLabV3, DeepLabV3+ and a small CNN."""

from __future__ import annotations

import torch
from torch import nn

from handseg.errors import ModelError
from handseg.models.semantic.config import ARCHITECTURES, SMALL, NetworkConfig

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def statistics(encoder: str | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of RGB in 0..1 that `encoder` was pretrained with."""
    from timm import get_pretrained_cfg

    known = get_pretrained_cfg(encoder) if encoder is not None else None
    return (known.mean, known.std) if known else (_IMAGENET_MEAN, _IMAGENET_STD)


def library_name(encoder: str) -> str:
    """The name of `encoder` in segmentation-models-pytorch: timm's have the prefix "tu-"."""
    from segmentation_models_pytorch.encoders import encoders

    return encoder if encoder in encoders else f"tu-{encoder}"


def build_network(config: NetworkConfig) -> nn.Module:
    """Build the network with random weights: (N, 3, S, S) to logits (N, classes, S, S).

    Raises:
        ModelError: if segmentation-models-pytorch is missing or does not know the encoder.
    """
    if config.architecture == SMALL:
        return SmallResidualNet(len(config.classes), config.filters, config.dropout)
    try:
        import segmentation_models_pytorch as smp
    except ImportError as error:
        raise ModelError(
            f"{config.architecture} needs segmentation-models-pytorch: "
            "pip install 'handseg[baselines]'"
        ) from error
    try:
        network: nn.Module = getattr(smp, ARCHITECTURES[config.architecture])(
            library_name(str(config.encoder)), encoder_weights=None, classes=len(config.classes)
        )
        return network
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"encoder {config.encoder!r} with {config.architecture}: {error}"
        ) from error


class SmallResidualNet(nn.Module):
    """A small U-Net of residual blocks (He et al., CVPR 2016) to train from scratch.

    Four levels, each with half the side and twice the channels, up to `filters`; on the way up each
    is joined with its counterpart. Dropout drops whole channels.

    Args:
        classes: number of output channels.
        filters: number of channels of the lowest level.
        dropout: share of the channels dropped in a training step, there and above.
    """

    def __init__(self, classes: int, filters: int = 128, dropout: float = 0.2) -> None:
        super().__init__()
        widths = [max(1, filters // 2**level) for level in (3, 2, 1, 0)]
        self.stem = _Residual(3, widths[0], 1, 0.0)
        self.down = nn.ModuleList(
            _Residual(widths[level], widths[level + 1], 2, dropout) for level in range(3)
        )
        self.bottom = _Residual(widths[3], widths[3], 2, dropout)
        above = [widths[3], *widths[:0:-1]]
        self.up = nn.ModuleList(
            _Residual(coarse + fine, fine, 1, dropout if level < 2 else 0.0)
            for level, (coarse, fine) in enumerate(zip(above, widths[::-1], strict=True))
        )
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes, S, S) of normalised `pixels` (N, 3, S, S)."""
        features = [self.stem(pixels)]
        for block in self.down:
            features.append(block(features[-1]))
        result = self.bottom(features[-1])
        for block, fine in zip(self.up, reversed(features), strict=True):
            result = nn.functional.interpolate(result, size=fine.shape[-2:], mode="nearest")
            result = block(torch.cat([result, fine], 1))
        return self.head(result)


class _Residual(nn.Module):
    def __init__(self, before: int, after: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.skip = nn.Sequential(
            nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(self.body(features) + self.skip(features))
