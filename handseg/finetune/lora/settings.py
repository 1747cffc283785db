"""What a LoRA run is told: the YAML files in `finetune/` hold these fields."""

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
    """A run that tunes a SAM-family model; a pass shows each hand in the next of its views.

    Attributes:
        data: what to learn from.
        model: the base: "handseg-lite", a hub id or a folder of a SAM-family model.
        recipe: makes the prompts and goes with the adapter; None takes the model's own.
        lora: what of the model learns.
        loss: how its masks are scored.
        prompts: which prompts it is trained with.
        augmentation: how the photos are varied.
        cache: keep what a frozen encoder makes of the views on disk.
        cache_dir: where to keep it, and the landmarks; None is `cache` in the run's folder. Runs
            that differ in what follows the encoder can share one.
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
        """Views of a hand that the run shows."""
        return min(self.augmentation.views, self.epochs)
