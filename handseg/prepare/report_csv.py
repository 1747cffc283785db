"""The outcome of each pair of a data set: the rows of `report.csv`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handseg.runtime.files import write_text_atomic

KEPT, REPAIRED, REJECTED = "kept", "repaired", "rejected"

REPORT_FILE = "report.csv"

_MEASURES = (
    "coverage", "landmarks_on_mask", "outside", "filled", "surplus", "difference", "dropped_px",
    "filled_px",
)  # fmt: skip
_FIELDS = (
    "id",
    "status",
    "reasons",
    "group",
    "name",
    "width",
    "height",
    *_MEASURES,
    "sha256",
    "stamp",
)
_BETWEEN = " | "  # reasons


@dataclass(frozen=True)
class ReportRow:
    """The outcome of a pair, a row of the report.

    Attributes:
        id: in the source.
        status: "kept", "repaired" or "rejected".
        reasons: for repairs and rejections, each "kind: details".
        group: the group that a split must keep together.
        name: of its files in the output, without suffix.
        values: further columns of the report.
    """

    id: str
    status: str
    reasons: tuple[str, ...]
    group: str
    name: str
    values: Mapping[str, str]


def row_of(record: Mapping[str, Any]) -> ReportRow:
    """Restore a row from its `asdict` form after a JSON round trip."""
    return ReportRow(**{**record, "reasons": tuple(record["reasons"])})


def write_report(rows: Iterable[ReportRow], path: Path) -> None:
    """Write `report.csv`."""
    with write_text_atomic(path) as file:
        writer = csv.DictWriter(file, _FIELDS, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            columns = {name: getattr(row, name) for name in ("id", "status", "group", "name")}
            writer.writerow({**row.values, **columns, "reasons": _BETWEEN.join(row.reasons)})
