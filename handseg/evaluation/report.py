"""Reports on one or several systems as JSON, CSV and a self-contained HTML page."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

import jinja2
from PIL import Image

from handseg.evaluation.comparison import (
    SOURCE_TITLES,
    Difference,
    Systems,
    compare_with_first,
    result_rows,
    with_hits,
)
from handseg.evaluation.contact_sheet import COLOURS, SIDE_BY_SIDE, Case, draw_sheet
from handseg.evaluation.plots import color_of, draw_plots
from handseg.evaluation.run import HITS, Evaluation, PhotoScore
from handseg.evaluation.summary import CONFIDENCE, RESAMPLES, matlab_scores
from handseg.io.files import save_image
from handseg.runtime.files import write_text_atomic

SUMMARY_FILE, PER_PHOTO_FILE = "summary.json", "per_photo.csv"
PAGE_FILE, WORST_FILE = "report.html", "worst.jpg"

_TEMPLATE = Path(__file__).parent / "templates" / "report.html"


def check_place(output: Path) -> None:
    """Check that a report in the folder `output` replaces nothing but another report.

    Raises:
        ValueError: if it holds files with a report's names, but no report.
    """
    names = SUMMARY_FILE, PER_PHOTO_FILE, PAGE_FILE, WORST_FILE
    there = [output / name for name in names if (output / name).exists()]
    try:
        stored = json.loads((output / SUMMARY_FILE).read_text(encoding="utf-8"))
        is_report = isinstance(stored, dict) and {"systems", "against_the_first"} <= stored.keys()
    except (OSError, ValueError):
        is_report = False
    if there and not is_report:
        raise ValueError(f"{there[0]}: there already, and not of a report; choose another folder")


def write_report(
    systems: Systems, output: str | Path, details: Mapping[str, Any] | None = None
) -> None:
    """Write `summary.json`, `per_photo.csv`, `report.html` and `worst.jpg` into a folder.

    Args:
        systems: by name and prompt source, "mediapipe" or "mask"; "hits" is added. The others are
            compared with the first system.
        output: created if missing.
        details: JSON-serialisable details such as the command, versions and models. The page shows
            `data` and `part` at the top and all of them at the end.

    Raises:
        ValueError: if no photo could be compared, or `output` holds files with these names that
            are not a report.
    """
    if not any(one.photos for evaluations in systems.values() for one in evaluations.values()):
        raise ValueError("there is nothing to report: at least one photo must be compared")
    output, systems, details = Path(output), with_hits(systems), details or {}
    check_place(output)
    differences = compare_with_first(systems)
    summary = {
        **details,
        "bootstrap": {"resamples": RESAMPLES, "confidence": CONFIDENCE},
        "systems": {
            name: {source: _summary(one) for source, one in evaluations.items()}
            for name, evaluations in systems.items()
        },
        "against_the_first": {
            name: {source: asdict(difference) for source, difference in by_source.items()}
            for name, by_source in differences.items()
        },
    }
    with write_text_atomic(output / SUMMARY_FILE) as file:
        file.write(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    with write_text_atomic(output / PER_PHOTO_FILE) as file:
        _write_photos(systems, file)
    with write_text_atomic(output / PAGE_FILE) as file:
        file.write(_page(systems, differences, details))
    cases = _worst_cases(systems)
    if cases:
        title = f"Worst of {' and '.join(systems)}"
        save_image(draw_sheet(cases, title), output / WORST_FILE)


def _summary(evaluation: Evaluation) -> dict[str, Any]:
    """Summarise an evaluation, with the same keys whether or not a photo could be compared."""
    known: dict[str, Any] = {
        "photos": len(evaluation.photos),
        "failed": dict(evaluation.failures),
        "seed": evaluation.seed,
    }
    missing = (
        "missed", "resampled", "units", "metrics", "classes", "confusion",
        "evaluateSemanticSegmentation",
    )  # fmt: skip
    if not evaluation.photos:
        return known | dict.fromkeys((*missing, "seconds_per_photo"))
    summary = evaluation.summary
    return known | {
        "missed": summary.missed,
        "resampled": summary.resampled,
        "units": summary.units,
        "metrics": summary.metrics,
        "classes": {name: asdict(scores) for name, scores in summary.counts.classes.items()},
        "confusion": summary.counts.confusion,
        "evaluateSemanticSegmentation": matlab_scores(summary),
        "seconds_per_photo": evaluation.seconds_per_photo,
    }


def _write_photos(systems: Systems, file: TextIO) -> None:
    """Write a row per system, prompt source and photo; those of "hits" would be duplicates."""
    rows = [
        {"system": name, "prompts": source, **_photo_row(photo)}
        for name, evaluations in systems.items()
        for source, evaluation in evaluations.items()
        if source != HITS
        for photo in evaluation.photos
    ]
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)


def _photo_row(photo: PhotoScore) -> dict[str, Any]:
    return {
        "photo": photo.id,
        "group": photo.group,
        "hands": photo.hands,
        "missed": int(photo.metrics.missed),
        "predicted_iou": photo.predicted_iou,
        **photo.metrics.as_dict(),
        "seconds": photo.seconds,
    }


def _worst_cases(systems: Systems) -> list[Case]:
    """Collect the worst cases of all systems with their first prompt source, worst first."""
    cases = [
        replace(case, name=f"{case.name} ({name})") if len(systems) > 1 else case
        for name, evaluations in systems.items()
        for case in next(iter(evaluations.values())).worst
    ]
    return sorted(cases, key=lambda case: case.iou)[: 4 * SIDE_BY_SIDE]


def _page(
    systems: Systems,
    differences: Mapping[str, Mapping[str, Difference]],
    details: Mapping[str, Any],
) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["uri"] = _data_uri
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    columns = [one for evaluations in systems.values() for one in evaluations.values()]
    subject = [str(details[key]) for key in ("data", "part") if details.get(key)]
    return template.render(
        subject=", ".join(subject),
        systems=[(name, color_of(at), systems[name]) for at, name in enumerate(systems)],
        source_titles=SOURCE_TITLES,
        rows=result_rows(columns),
        differences=differences,
        plots=draw_plots(list(systems.values())),
        legend=COLOURS,
        resamples=RESAMPLES,
        details=json.dumps(details, indent=2, ensure_ascii=False),
    )


def _data_uri(picture: Image.Image | bytes) -> str:
    """Encode a picture as JPEG, or SVG bytes, in a data URI."""
    if isinstance(picture, bytes):
        kind, content = "svg+xml", picture
    else:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=80)
        kind, content = "jpeg", stream.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
