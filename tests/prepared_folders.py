"""What `handseg prepare` wrote, for comparison."""

from __future__ import annotations

import csv
from pathlib import Path


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(output: Path) -> dict[str, dict[str, str]]:
    with (output / "report.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}
