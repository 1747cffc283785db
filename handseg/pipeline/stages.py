"""Protocol for the stages that a photo goes through."""

from __future__ import annotations

from typing import Protocol

from handseg.landmarks import HandLandmarker
from handseg.models import MaskModel
from handseg.pipeline.held_objects import ObjectStage
from handseg.prompts import PromptRecipe


class Stages(Protocol):
    """The parts of a segmenter; landmarker and object stage are created when first needed."""

    model: MaskModel
    recipe: PromptRecipe

    @property
    def landmarker(self) -> HandLandmarker:
        """Finds hands."""
        ...

    @property
    def object_stage(self) -> ObjectStage:
        """Cuts out what hands hold."""
        ...
