"""Closing message of a run: base against adapter, where the adapter is, which command to type."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from handseg.data.splits import TEST, VALIDATION
from handseg.finetune.lora.hands import TrainingHand
from handseg.finetune.lora.mask_offset import count_past_wrist
from handseg.models.semantic.config import OBJECT
from handseg.prompts import PromptRecipe
from handseg.runtime.progress import tracked

REPORT = "report"
"""Folder of the reports in the run's folder."""
BASE, ADAPTER = "zero-shot", "tuned"
"""Names of the model before and after the run in the reports."""

Figures = Mapping[str, Mapping[str, Any]]
"""Metrics by row name, see `handseg.finetune.lora.report.report_run`."""

_MANY = 0.25
"""Share of masks past the wrist at which the data set counts as drawn that way. In eleven sets, it
is 0 to 0.23 if masks or photos end at the wrist, and 0.3 to 0.83 if they show more of the arm."""


def warn_of_wrist(hands: Sequence[TrainingHand], recipe: PromptRecipe) -> str:
    """Return a warning if masks include a forearm that `recipe` cuts off, else ""."""
    if recipe.forearm > 0:
        return ""
    past, measured = count_past_wrist(hands, lambda items: tracked(items, "wrists"))
    if not past or past < _MANY * measured:
        return ""
    return (
        f"{past} of {measured} training masks reach past the wrist, but the prompt recipe ends "
        "every result there. If the forearm is wanted, set recipe.forearm, as "
        "finetune/forearm.yaml does."
    )


def say_outcome(figures: Figures, output: Path, base: str, target: str) -> list[str]:
    """Return the lines of the message, in reading order."""
    lines: list[str] = []
    worse: list[str] = []
    for part in (VALIDATION, TEST):
        if part in figures and figures[part]["mean IoU"] is not None:  # of objects
            row = figures[part]
            lines.append(f"{part}: IoU {row['mean IoU']:.3f} on {_photos(row['photos'])}")
        if f"{part}, {ADAPTER}" not in figures:
            continue
        before, after = (figures[f"{part}, {name}"] for name in (BASE, ADAPTER))
        gains = (
            f"{shown} {before[name]:.3f} -> {after[name]:.3f}"
            for shown, name in (("IoU", "mean IoU"), ("boundary F", "boundary F"))
        )
        lines.append(
            f"{part}, base -> adapter through segment(): {', '.join(gains)} "
            f"on {_photos(after['photos'])}"
        )
        if after["mean IoU"] < before["mean IoU"]:
            worse.append(part)
    if worse:
        lines.append(
            f"The adapter is worse than the base on {' and '.join(worse)}: stay with {base}, or "
            "tune with more photos or a lower learning rate."
        )
    lines.append(f"Adapter: {output}")
    if figures:
        lines.append(f"Report: {output / REPORT}")
    if target == OBJECT:
        lines.append(f'Next: HandSegmenter.from_pretrained("{base}", object_adapter="{output}")')
    else:
        lines.append(f"Next: handseg segment PHOTO --model {shlex.quote(str(output))}")
    return lines


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{count} photos"
