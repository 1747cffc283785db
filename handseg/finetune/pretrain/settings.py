"""Settings of a pretraining run, as in `finetune/lite*.yaml`."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from handseg.finetune.losses import LossWeights
from handseg.finetune.settings import RunSettings
from handseg.finetune.step import PromptSampling
from handseg.prompts import PromptRecipe
from handseg.runtime.config import STRICT, Count, Fraction, NotNegative, Positive, Share


@dataclass(frozen=True, config=STRICT)
class ComposedData:
    """Sources of pasted hands, scenes and backgrounds.

    Attributes:
        cutouts: folder of pairs -> how often hands are cut from it.
        scenes: folder of pairs -> how often its photos are shown unchanged.
        backgrounds, objects: folders of images.
        root: folder that all these paths are relative to.
        scene_share: share of scenes among the samples that are not rendered.
        held_out: prefixes of the ids of validation's examples and backgrounds; an example's id is
            <set>/<stem>, a background's <folder as given>/<stem>.
        rendered: folder of rendered people -> how often its hands are shown.
        rendered_share: share of samples that are rendered.
    """

    cutouts: dict[str, NotNegative]
    scenes: dict[str, NotNegative]
    backgrounds: tuple[str, ...]
    objects: str
    root: str = "."
    scene_share: Share = 0.2
    held_out: tuple[str, ...] = ()
    rendered: dict[str, NotNegative] = field(default_factory=dict)
    rendered_share: Share = 0.5


@dataclass(frozen=True, config=STRICT, kw_only=True)
class PretrainConfig(RunSettings):
    """A run that trains handseg-lite on pasted hands.

    Attributes:
        data: sources of the images.
        epoch_samples: images per epoch, all different.
        validation_samples: images to validate on.
        recipe: makes the prompts and is saved with the model.
        loss: weights of the loss terms.
        prompts: which prompts it is trained with.
        init: folder of a model to start from; None takes ImageNet's backbone and a random decoder.
        image_size: side of the model's input, px; a multiple of 32.
        backbone_learning_rate: the backbone's learning rate at the schedule's peak.
        ema_decay: share of the averaged weights that a step keeps; they become the model.
        compile: compile the encoder; steps are faster, but the first is slow.
    """

    data: ComposedData
    epoch_samples: Count = 2000
    validation_samples: Count = 64
    recipe: PromptRecipe = field(default_factory=PromptRecipe)
    loss: LossWeights = field(default_factory=LossWeights)
    prompts: PromptSampling = field(default_factory=PromptSampling)
    init: str | None = None
    image_size: Annotated[int, Field(ge=32, multiple_of=32)] = 384
    backbone_learning_rate: Positive = 2e-4
    ema_decay: Fraction = 0.998
    compile: bool = False
    epochs: Count = 8
    learning_rate: Positive = 5e-4
    final_learning_rate: Share = 0.02
    warmup: Fraction = 0.1
    weight_decay: NotNegative = 0.02
    mixed_precision: Literal["no", "bf16", "fp16"] | None = "bf16"
    workers: Annotated[int, Field(ge=0)] = 1
