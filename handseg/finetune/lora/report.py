"""Results of a run: base and adapter compared on its photos, and the adapter's model card."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from handseg.data import LabelledPhotos
from handseg.data.splits import TEST, TRAIN, VALIDATION
from handseg.evaluation.comparison import Systems
from handseg.evaluation.held_objects import evaluate_objects
from handseg.evaluation.report import write_report
from handseg.evaluation.run import MASK, MEDIAPIPE, Evaluation, evaluate_pairs
from handseg.finetune.lora.adapter import model_card
from handseg.finetune.lora.hands import TrainingHand
from handseg.finetune.lora.mask_offset import measure_outline
from handseg.finetune.lora.outcome import ADAPTER, BASE, REPORT, Figures
from handseg.finetune.lora.settings import FinetuneConfig
from handseg.finetune.model_cards import write_card
from handseg.finetune.settings import CONFIG_FILE
from handseg.models.semantic.config import OBJECT
from handseg.prompts import PromptRecipe
from handseg.runtime.progress import tracked
from handseg.runtime.versions import versions
from handseg.segmenter import HandSegmenter

logger = logging.getLogger(__name__)


def report_run(
    config: FinetuneConfig,
    recipe: PromptRecipe,
    photos: Mapping[str, LabelledPhotos],
    output: Path,
    device: Any,
) -> Figures:
    """Evaluate base and adapter on the validation and test parts; write reports and metrics.

    Both run in the whole pipeline, the base with its own recipe.

    Returns:
        The metrics for the card: a row for each part and model, such as "val, tuned"; for held
        objects, a row for each part.
    """
    command = f"handseg finetune --config {CONFIG_FILE} --output {output.name}"
    rows: dict[str, dict[str, Any]] = {}
    for part in (VALIDATION, TEST):
        if config.report and photos.get(part) and config.data.target == OBJECT:
            rows[part] = _report_objects(config, output, part, photos[part], device)
        elif config.report and photos.get(part):
            systems = {
                name: _evaluate(config, adapter, part, photos[part], device)
                for name, adapter in ((BASE, None), (ADAPTER, output))
            }
            if write_part(systems, command, config.data.source, part, output):
                rows |= {
                    f"{part}, {name}": _row(evaluations[MEDIAPIPE])
                    for name, evaluations in systems.items()
                }
    card = model_card(
        base=config.model,
        target=config.data.target,
        recipe=recipe,
        settings=config.lora,
        data=Path(config.data.source).name,
        photos=len(photos[TRAIN]),
        command=command,
        metrics=rows,
        versions=versions(),
    )
    write_card(card, output)
    return rows


def write_part(systems: Systems, command: str, data: str, part: str, output: Path) -> bool:
    """Write the report of a part of the split into the run's folder.

    If a system could compare no photo with a prompt source, log why, and return False: it would
    have no figures, and the run must still end.
    """
    for by_source in systems.values():
        for evaluation in by_source.values():
            if not evaluation.photos:
                name, why = next(iter(evaluation.failures.items()))
                logger.warning("no report of the part %r: %s: %s", part, name, why)
                return False
    details = {"command": command, "data": data, "part": part, "versions": versions()}
    write_report(systems, output / REPORT / part, details)
    return True


def find_outline(
    config: FinetuneConfig,
    recipe: PromptRecipe,
    hands: Sequence[TrainingHand],
    output: Path,
    device: Any,
) -> PromptRecipe:
    """Return `recipe` with the outline that the tuned model's masks need, as saved in `output`.

    The decoder learns what belongs to the hand, but its contour is moved to the photo's edges, so
    how generously masks are drawn must be learned separately.
    """
    with HandSegmenter.from_pretrained(config.model, adapter=output, device=device) as segmenter:
        outline = measure_outline(segmenter, hands, lambda items: tracked(items, "outline"))
    recipe = replace(recipe, outline=round(outline, 4))
    recipe.save(output)
    return recipe


def _evaluate(
    config: FinetuneConfig, adapter: Path | None, part: str, photos: LabelledPhotos, device: Any
) -> dict[str, Evaluation]:
    name = "adapter" if adapter else "base"
    with HandSegmenter.from_pretrained(config.model, adapter=adapter, device=device) as segmenter:
        return {
            prompts: evaluate_pairs(
                segmenter,
                photos,
                prompts=prompts,
                progress=partial(tracked, description=f"report, {part}: {name}, prompts {prompts}"),
            )
            for prompts in (MEDIAPIPE, MASK)
        }


def _report_objects(
    config: FinetuneConfig, output: Path, part: str, photos: LabelledPhotos, device: Any
) -> dict[str, Any]:
    """Report the adapter in `output` on held objects; return the metrics."""
    with HandSegmenter.from_pretrained(
        config.model, object_adapter=output, device=device
    ) as segmenter:
        scores = evaluate_objects(
            segmenter, photos, lambda items: tracked(items, f"report, {part}: objects")
        )
    scores.save(output / REPORT / part)
    return scores.summary()


def _row(evaluation: Evaluation) -> dict[str, Any]:
    summary = evaluation.summary
    iou, boundary = summary.metrics["iou"], summary.metrics["boundary_f"]
    return {
        "photos": len(evaluation.photos),
        "missed": summary.missed,
        "mean IoU": iou["mean"],
        "median IoU": iou["median"],
        "boundary F": boundary["mean"],
    }
