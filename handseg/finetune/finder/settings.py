"""Settings for training the hand finder, as in `finetune/finder.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from handseg.finetune.settings import RunSettings
from handseg.runtime.config import STRICT, Count, NotNegative, Positive, Share


@dataclass(frozen=True, config=STRICT)
class FinderData:
    """Training images and their hands.

    Attributes:
        rendered: folder of rendered people -> how often its images are shown.
        boxes: folder with images/ and boxes.json -> the same.
        masked: folder of pairs with one hand each -> the same, without pasting.
        empty: folder of images without hands -> the same.
        pasted: how often hands of `masked` are shown on images of `empty`.
        root: folder that all these paths are relative to.
        held_out: prefixes of the validation images' ids; an id is <folder as given>/<stem>.
    """

    rendered: dict[str, NotNegative]
    boxes: dict[str, NotNegative]
    masked: dict[str, NotNegative]
    empty: dict[str, NotNegative]
    pasted: NotNegative = 1.0
    root: str = "."
    held_out: tuple[str, ...] = ()


@dataclass(frozen=True, config=STRICT, kw_only=True)
class FinderConfig(RunSettings):
    """A run that trains the hand finder.

    Attributes:
        data: sources of the images.
        epoch_samples: images per epoch, all different.
        validation_samples: images to validate on.
        init: folder of a run to start from, or "hand-finder" for the bundled one; None starts from
            an ImageNet backbone.
        init_share: share of `init` in the finder's weights; the rest is the best epoch (Wortsman
            et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
        close_ups: train on close-ups of what the bundled finder takes for hands, cut from images
            of `image_size`, instead of on these images.
        image_size: side of the square images, px; a multiple of 32.
        rotation: standard deviation of the angle, degrees; one image in eight is turned by any
            angle.
        ema_decay: share of the averaged weights that a step keeps; they become the finder.
    """

    data: FinderData
    epoch_samples: Count = 4000
    validation_samples: Count = 300
    init: str | None = None
    init_share: Share = 0.0
    close_ups: bool = False
    image_size: Annotated[int, Field(ge=64, multiple_of=32)] = 320
    rotation: NotNegative = 12.0
    ema_decay: Share = 0.99
    epochs: Count = 8
    batch_size: Count = 16
    learning_rate: Positive = 1e-3
    final_learning_rate: Share = 0.02
    warmup: Share = 0.05
    weight_decay: NotNegative = 0.02
    max_grad_norm: Positive | None = 10.0
    mixed_precision: Literal["no", "bf16", "fp16"] | None = "no"
    workers: Annotated[int, Field(ge=0)] = 1

    def __post_init__(self) -> None:
        if self.init_share and self.init is None:
            raise ValueError(f"init_share needs init to average with, got {self.init_share}")
