"""The prompts made of hand landmarks. Knows nothing of SAM's classes."""

from handseg.prompts.batch import IGNORED, NEGATIVE, POSITIVE, PromptBatch
from handseg.prompts.recipe import HandPrompts, PromptRecipe

__all__ = [
    "IGNORED",
    "NEGATIVE",
    "POSITIVE",
    "HandPrompts",
    "PromptBatch",
    "PromptRecipe",
]
