"""Prompts made from hand landmarks, independent of SAM's classes."""

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
