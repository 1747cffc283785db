"""Model cards: the results of a run, with metadata for the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from handseg.runtime.files import write_atomic

CARD = "README.md"
_TEMPLATES = Path(__file__).parent / "templates"

Rows = Mapping[str, Mapping[str, Any]]
"""Rows of a results table by name; values by column."""


def write_card(card: str, folder: Path) -> None:
    """Write a card into its model's folder."""
    with write_atomic(folder / CARD) as temporary:
        temporary.write_text(card, encoding="utf-8")


def fill_card(
    template: str, metadata: Mapping[str, Any], data: str, figures: Rows, **values: Any
) -> str:
    """Fill a template of `templates/` and return the card in Markdown.

    Args:
        template: name of the template.
        metadata: metadata for the hub, besides the metrics.
        data: name of the data set, for readers.
        figures: rows of metrics such as "val, tuned"; the model before the run is "zero-shot".
        values: other values in the template; mappings become YAML.
    """
    results = [
        EvalResult(
            task_type=metadata["pipeline_tag"],
            dataset_type=data,
            dataset_name=data,
            dataset_split=row.partition(",")[0],
            metric_type=column.lower().replace(" ", "_"),
            metric_name=f"{column} ({row})",
            metric_value=value,
        )
        for row, columns in figures.items()
        for column, value in columns.items()
        if isinstance(value, float) and "zero-shot" not in row
    ]
    shown = {
        name: yaml.safe_dump(dict(value), sort_keys=False).strip()
        if isinstance(value, Mapping)
        else value
        for name, value in values.items()
    }
    card = ModelCard.from_template(
        ModelCardData(model_name="handseg", eval_results=results or None, **metadata),
        template_path=str(_TEMPLATES / f"{template}.md"),
        data=data,
        figures=_table(figures),
        **shown,
    )
    return str(card)


def _table(rows: Rows) -> str:
    if not rows:
        return "Not measured."
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *(_cell(row.get(column)) for column in columns)] for name, row in rows.items()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
