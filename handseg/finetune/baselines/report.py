"""Results of a baseline run: metrics on the validation and test parts, and the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handseg.data import LabelledPhotos
from handseg.data.schema import PhotoRow
from handseg.data.splits import TEST, TRAIN, VALIDATION
from handseg.evaluation.contact_sheet import MATCHES, draw_matches, draw_sheet
from handseg.evaluation.run import NONE, Evaluation, evaluate_pairs
from handseg.evaluation.summary import matlab_scores
from handseg.finetune.baselines.settings import BaselineConfig
from handseg.finetune.lora.report import REPORT, write_part
from handseg.finetune.model_cards import fill_card, write_card
from handseg.finetune.settings import CONFIG_FILE
from handseg.io.files import save_image
from handseg.pipeline.semantic import SemanticSegmenter
from handseg.runtime.config import to_mapping
from handseg.runtime.progress import tracked

MATCHES_FILE = "matches.png"
"""File next to a part's report: matches white, mismatches green."""
_SHOWN = 12


def report_baseline(
    config: BaselineConfig, photos: Mapping[str, LabelledPhotos], output: Path, device: Any
) -> None:
    """Evaluate the best epoch's network in `output`; write the reports and the model card."""
    command = f"handseg finetune --config {CONFIG_FILE} --output {output.name}"
    rows: dict[str, dict[str, Any]] = {}
    with SemanticSegmenter.from_pretrained(output, device=device) as segmenter:
        for part in (VALIDATION, TEST):
            if not (config.report and photos.get(part)):
                continue
            evaluation = evaluate_pairs(
                segmenter,
                photos[part],
                prompts=NONE,
                progress=lambda items: tracked(items, "evaluating"),
            )
            systems = {config.network.architecture: {NONE: evaluation}}
            if write_part(systems, command, config.data.source, part, output):
                compared = [one for one in photos[part] if one.id not in evaluation.failures]
                _draw_matches(segmenter, compared, output / REPORT / part / MATCHES_FILE)
                rows |= _rows(part, evaluation)
    card = fill_card(
        "baseline",
        {"library_name": "handseg", "pipeline_tag": "image-segmentation", "tags": ["handseg"]},
        Path(config.data.source).name,
        rows,
        architecture=config.network.architecture,
        photos=len(photos[TRAIN]),
        command=command,
        settings=to_mapping(config),
    )
    write_card(card, output)


def _rows(part: str, evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Return a row for the data set, with the hand's IoU over photos, and one per class."""
    summary = evaluation.summary
    first: dict[str, Any] = {
        "photos": len(evaluation.photos),
        "missed": summary.missed,
        "hand IoU": summary.metrics["iou"]["mean"],
    }
    scores = matlab_scores(summary)
    rows = {part: first | scores.pop("data set")}
    return rows | {f"{part}, {name}": dict(values) for name, values in scores.items()}


def _draw_matches(segmenter: SemanticSegmenter, photos: Sequence[PhotoRow], path: Path) -> None:
    """Draw photos spread over the part, and where prediction and ground truth agree or differ."""
    cases = []
    for place in np.linspace(0, len(photos) - 1, min(_SHOWN, len(photos))).astype(int):
        row = photos[int(place)]
        image, truth = row.load()
        predicted = segmenter.segment(image).mask
        union = np.count_nonzero(predicted | truth)
        iou = np.count_nonzero(predicted & truth) / union if union else 1.0
        cases.append(draw_matches(row.id, iou, image, truth, predicted))
    save_image(draw_sheet(cases, "Matches and mismatches", MATCHES), path)
