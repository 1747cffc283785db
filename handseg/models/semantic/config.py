"""Configuration of a semantic segmentation network and its output classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from handseg.models.semantic.preprocess import STEPS

HAND, OBJECT = "hand", "object"
"""Possible classes of an output channel."""

SMALL = "small_resnet"

ARCHITECTURES = {"unet": "Unet", "deeplabv3": "DeepLabV3", "deeplabv3plus": "DeepLabV3Plus"}
"""Names in settings, and their classes in segmentation-models-pytorch."""


@dataclass(frozen=True)
class NetworkConfig:
    """A network that labels every pixel of a whole photo without prompts.

    Attributes:
        architecture: "unet" (Ronneberger et al., 2015), "deeplabv3", "deeplabv3plus" (Chen et al.,
            2017 and 2018) or "small_resnet", see `SmallResidualNet`.
        encoder: an encoder of segmentation-models-pytorch or timm, such as "resnet18" or
            "tf_efficientnet_lite0"; None for "small_resnet", which has its own.
        classes: class of each output channel, "hand" or "hand" and "object". A pixel may be both
            or neither: each channel has its own sigmoid.
        image_size: side of the square, px, that photos are stretched to; a multiple of 32.
        preprocess: steps before the network, of `handseg.models.semantic.preprocess.STEPS`.
        opening: side, px at `image_size`, of the square for a morphological opening of the output;
            0 for none.
        filters: maximum number of channels of "small_resnet".
        dropout: share of the channels of "small_resnet" dropped in a training step.
    """

    # For run settings that contain one: unknown keys and wrong types are errors there, too.
    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}

    architecture: str = "unet"
    encoder: str | None = "resnet18"
    classes: tuple[str, ...] = (HAND,)
    image_size: int = 256
    preprocess: tuple[str, ...] = ()
    opening: int = 0
    filters: int = 128
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for name, value, known in (
            ("architecture", self.architecture, (*ARCHITECTURES, SMALL)),
            ("classes", tuple(self.classes), ((HAND,), (HAND, OBJECT))),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got {value}")
        if unknown := set(self.preprocess) - set(STEPS):
            raise ValueError(
                f"preprocess must be steps of {', '.join(STEPS)}, got {', '.join(sorted(unknown))}"
            )
        if (self.encoder is None) != (self.architecture == SMALL):
            raise ValueError(
                f"encoder must be null with {SMALL} and a name with all others, got "
                f"{self.encoder!r} with {self.architecture}"
            )
        if self.image_size < 32 or self.image_size % 32:
            raise ValueError(f"image_size must be a multiple of 32, got {self.image_size}")
        if self.opening < 0:
            raise ValueError(f"opening must be at least 0, got {self.opening}")
        if self.filters < 8:
            raise ValueError(f"filters must be at least 8, got {self.filters}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be from 0 to below 1, got {self.dropout}")
        for name in ("classes", "preprocess"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
