"""Settings of a baseline run, as in the YAML files in `finetune/baselines/`."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from handseg.finetune.settings import DataSettings, RunSettings
from handseg.models.semantic.config import NetworkConfig
from handseg.runtime.config import STRICT, NotNegative, Share


def _in_order(factors: tuple[float, float]) -> tuple[float, float]:
    if factors[0] > factors[1]:
        raise ValueError(f"the lower factor must come first, got {factors}")
    return factors


Factors = Annotated[tuple[NotNegative, NotNegative], AfterValidator(_in_order)]


@dataclass(frozen=True, config=STRICT)
class PhotoAugmentation:
    """Augmentation of whole photos; by default, none.

    Attributes:
        flip: share of photos that are mirrored.
        rotation: largest angle either way, degrees.
        shift: largest translation, as a share of the side.
        zoom: largest change of scale, as a share of it.
        shear: largest shear, as a share of the height (its tangent).
        brightness: lowest and highest factor; 1 and 1 change nothing.
        contrast: likewise.
        saturation: likewise.
        hue: largest shift of the hue, 0..0.5 of the circle.
    """

    flip: Share = 0.0
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    shift: Share = 0.0
    zoom: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    shear: Share = 0.0
    brightness: Factors = (1.0, 1.0)
    contrast: Factors = (1.0, 1.0)
    saturation: Factors = (1.0, 1.0)
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0


@dataclass(frozen=True, config=STRICT, kw_only=True)
class BaselineConfig(RunSettings):
    """A run that trains a network on whole photos.

    Attributes:
        data: training data.
        network: which network to train.
        encoder_weights: initial weights of the encoder: "imagenet", a file (safetensors, or a
            state dict saved by torch), or None for random weights.
        encoder_learns: train "all" of the encoder, only its "last" stage, or "none".
        start: folder of an earlier run with the same network, to continue from with other data;
            replaces `encoder_weights`.
        balance: weight hand and background pixels by the median of the two class frequencies
            divided by their own (Eigen and Fergus, ICCV 2015).
        augmentation: how the photos are varied.
    """

    data: DataSettings
    network: NetworkConfig = field(default_factory=NetworkConfig)
    encoder_weights: str | None = "imagenet"
    encoder_learns: Literal["all", "last", "none"] = "all"
    start: str | None = None
    balance: bool = False
    augmentation: PhotoAugmentation = field(default_factory=PhotoAugmentation)

    def __post_init__(self) -> None:
        if self.network.encoder is None and self.encoder_learns != "all":
            raise ValueError(
                f"encoder_learns must be all with {self.network.architecture}, which has no "
                f"encoder of its own, got {self.encoder_learns!r}"
            )
