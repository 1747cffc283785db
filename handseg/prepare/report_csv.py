"""What became of each pair of a data set: the rows of `report.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from handseg.runtime.files import write_atomic

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
    """How a pair came out, a row of the report.

    Attributes:
        id: in the source.
        status: "kept", "repaired" or "rejected".
        reasons: of repairs and rejections, each "kind: details".
        group: what it must stay together with in a split.
        name: without suffix, of its files in the output.
        values: further columns of the report.
    """

    id: str
    status: str
    reasons: tuple[str, ...]
    group: str
    name: str
    values: Mapping[str, str]


class Report:
    """`report.csv`, written row by row, so that an interrupted run can go on.

    Attributes:
        rows: by id, those of this run and of earlier ones.
        photos: by SHA-256, the ids of photos that are not rejected.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, ReportRow] = {}
        self.photos: dict[str, str] = {}
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        # A kill may have cut the last row; its pair is done again.
        whole = text[: text.rfind("\n") + 1]
        for row in csv.DictReader(io.StringIO(whole)):
            self._keep(
                ReportRow(
                    row["id"],
                    row["status"],
                    tuple(filter(None, row["reasons"].split(_BETWEEN))),
                    row["group"],
                    row["name"],
                    {name: row[name] for name in _FIELDS[5:] if row[name]},
                )
            )
        if whole != text or not text:
            with write_atomic(path) as temporary:
                temporary.write_text(whole or ",".join(_FIELDS) + "\n", encoding="utf-8")

    def __enter__(self) -> Report:
        self._file = self.path.open("a", newline="", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, row: ReportRow) -> None:
        line = io.StringIO()
        writer = csv.DictWriter(line, _FIELDS, restval="", lineterminator="\n")
        writer.writerow(
            {
                **row.values,
                "id": row.id,
                "status": row.status,
                "reasons": _BETWEEN.join(row.reasons),
                "group": row.group,
                "name": row.name,
            }
        )
        self._file.write(line.getvalue())
        self._file.flush()
        self._keep(row)

    def _keep(self, row: ReportRow) -> None:
        self.rows[row.id] = row
        if row.status != REJECTED and "sha256" in row.values:
            self.photos[row.values["sha256"]] = row.id
