"""Hand landmarks and the prompts made of them. Knows nothing of SAM's classes."""

from handseg.prompts.anatomy import draw_skeleton
from handseg.prompts.batch import IGNORED, NEGATIVE, POSITIVE, PromptBatch
from handseg.prompts.landmarks import HandLandmarker, HandLandmarks
from handseg.prompts.recipe import HandPrompts, PromptRecipe

__all__ = [
    "IGNORED",
    "NEGATIVE",
    "POSITIVE",
    "HandLandmarker",
    "HandLandmarks",
    "HandPrompts",
    "PromptBatch",
    "PromptRecipe",
    "draw_skeleton",
]
