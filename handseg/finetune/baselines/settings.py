"""What the run of a baseline is told: the YAML files in `finetune/baselines/` hold these fields."""

from __future__ import annotations

from dataclasses import dataclass, field

from handseg.finetune.settings import RunSettings
from handseg.models.semantic.config import NetworkConfig

LEARNING = ("all", "last", "none")


@dataclass(frozen=True)
class PhotoAugmentation:
    """How the photos that a network sees whole are varied; nothing is by default.

    Attributes:
        flip: share of photos that are mirrored.
        rotation: the largest angle either way, degrees.
        shift: the farthest move, as a share of the side.
        zoom: the largest change of scale, as a share of it.
        shear: the largest shear, as a share of the height (its tangent).
        brightness: lowest and highest factor; 1 and 1 change nothing.
        contrast: likewise.
        saturation: likewise.
        hue: the largest turn of the hue, 0..0.5 of the circle.
    """

    flip: float = 0.0
    rotation: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    shear: float = 0.0
    brightness: tuple[float, ...] = (1.0, 1.0)
    contrast: tuple[float, ...] = (1.0, 1.0)
    saturation: tuple[float, ...] = (1.0, 1.0)
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name, top in (
            ("flip", 1.0), ("rotation", 180.0), ("shift", 1.0), ("zoom", 0.9), ("shear", 1.0),
            ("hue", 0.5),
        ):  # fmt: skip
            if not 0 <= (value := getattr(self, name)) <= top:
                raise ValueError(f"{name} must be from 0 to {top:g}, got {value!r}")
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            if len(value) != 2 or not 0 <= value[0] <= value[1]:
                raise ValueError(f"{name} must be two factors, the lower one first, got {value}")


@dataclass(frozen=True)
class BaselineConfig(RunSettings):
    """A run that trains a network on whole photos.

    Attributes:
        network: which one.
        encoder_weights: what its encoder starts from: "imagenet", a file (safetensors, or a state
            of tensors that torch saved), or None for random weights.
        encoder_learns: "all" of it, its "last" stage alone, or "none".
        start: folder of an earlier run with the same network, to go on from with other data; takes
            the place of `encoder_weights`.
        balance: weigh the pixels of hand and background by the median of the two classes'
            frequencies over their own (Eigen and Fergus, ICCV 2015).
        augmentation: how the photos are varied.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    encoder_weights: str | None = "imagenet"
    encoder_learns: str = "all"
    start: str | None = None
    balance: bool = False
    augmentation: PhotoAugmentation = field(default_factory=PhotoAugmentation)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder_learns not in LEARNING:
            raise ValueError(
                f"encoder_learns must be one of {', '.join(LEARNING)}, got {self.encoder_learns!r}"
            )
        if self.network.encoder is None and self.encoder_learns != "all":
            raise ValueError(
                f"encoder_learns must be all with {self.network.architecture}, which has no "
                f"encoder of its own, got {self.encoder_learns!r}"
            )
