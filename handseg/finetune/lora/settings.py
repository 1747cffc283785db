"""Settings of a LoRA run, as in the YAML files in `finetune/`."""

from __future__ import annotations

from dataclasses import field

from pydantic.dataclasses import dataclass

from handseg.finetune.lora.augment import Augmentation
from handseg.finetune.lora.lora import LoraSettings
from handseg.finetune.losses import LossWeights
from handseg.finetune.settings import DataSettings, RunSettings
from handseg.finetune.step import PromptSampling
from handseg.prompts import PromptRecipe
from handseg.runtime.config import STRICT


@dataclass(frozen=True, config=STRICT, kw_only=True)
class FinetuneConfig(RunSettings):
    """A run that fine-tunes a SAM-family model; each pass shows each hand in its next view.

    Attributes:
        data: training data.
        model: the base: "handseg-lite", a hub id or a folder of a SAM-family model.
        recipe: makes the prompts and is saved with the adapter; None takes the model's own.
        lora: which parts of the model are trained.
        loss: weights of the loss terms.
        prompts: which prompts it is trained with.
        augmentation: how the photos are varied.
        cache: keep a frozen encoder's features of the views on disk.
        cache_dir: where to keep them, and the landmarks; None is `cache` in the run's folder. Runs
            that differ only after the encoder can share it.
    """

    data: DataSettings
    model: str = "handseg-lite"
    recipe: PromptRecipe | None = None
    lora: LoraSettings = field(default_factory=LoraSettings)
    loss: LossWeights = field(default_factory=LossWeights)
    prompts: PromptSampling = field(default_factory=PromptSampling)
    augmentation: Augmentation = field(default_factory=Augmentation)
    cache: bool = True
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        if self.cache and not self.lora.encoder_is_frozen:
            raise ValueError(
                f"cache must be false with placement {self.lora.placement!r}: the encoder learns, "
                "so its features do not stay the same"
            )

    @property
    def views(self) -> int:
        """Number of views of each hand in the run."""
        return min(self.augmentation.views, self.epochs)
