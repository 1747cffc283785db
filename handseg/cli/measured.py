"""What `handseg measure` does with each photo: measure, print, draw, keep the rows."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text

from handseg.cli.json_file import JsonFile
from handseg.cli.outputs import InputPhoto
from handseg.io.files import save_image
from handseg.measure import HandMeasurement, RingFit, measure_hand
from handseg.measure.report import FINGER_KEYS, finger_row, hand_dict
from handseg.results import HandSegmentation
from handseg.runtime.files import write_atomic
from handseg.runtime.terminal import results

_HEADS = ("finger", "width mm", "joint mm", "length mm", "ring mm", "EU", "US", "UK", "Japan")
_COLUMNS = ("file", *FINGER_KEYS)
_WIDTHS = (8, 18, 18, 11, 18, 4, 7, 7, 5)


@dataclass
class Measuring:
    """Measures photos; `how` is the scale as `measure_hand` takes it."""

    how: dict[str, Any]
    relation: RingFit
    fit: str
    overlay: bool
    rows: list[dict[str, Any]] = field(default_factory=list)

    def write(self, photo: InputPhoto, result: HandSegmentation, rows: JsonFile | None) -> None:
        """Measure the photo's hand, and say it.

        Raises:
            MeasurementError: if it cannot be measured.
        """
        measured = measure_hand(result, **self.how)
        fingers = [finger_row(finger, self.relation, self.fit) for finger in measured]
        if self.overlay:
            photo.measured.parent.mkdir(parents=True, exist_ok=True)
            save_image(measured.overlay(result.overlay()), photo.measured)
        self.rows += [{"file": photo.path.as_posix(), **row} for row in fingers]
        if rows is not None:
            rows.add(photo.path, hand_dict(measured, self.relation, self.fit))
        results.print(Text(_table(photo, measured, fingers)), soft_wrap=True)

    @staticmethod
    def check_csv(path: Path) -> None:
        """Make sure that a table can be written to `path`.

        Raises:
            ValueError: if its folder is missing, or a file is there that is no such table.
        """
        if not path.absolute().parent.is_dir():
            raise ValueError(f"--csv {path}: there is no such folder")
        if path.exists():
            with path.open(encoding="utf-8", errors="replace", newline="") as file:
                if next(csv.reader(file), []) != list(_COLUMNS):
                    raise ValueError(
                        f"--csv {path}: there already, and not written by handseg measure; choose "
                        "another name"
                    )

    def write_csv(self, path: Path) -> None:
        with (
            write_atomic(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as out,
        ):
            writer = csv.DictWriter(out, _COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)


def _table(photo: InputPhoto, measured: HandMeasurement, fingers: list[dict[str, Any]]) -> str:
    tilt = f", {measured.tilt:.0f} degrees aslant" if measured.tilt else ""
    lines = [f"{photo.path}: {measured.mm_per_px:.4g} mm a pixel{tilt}", _line(_HEADS)]
    for row in fingers:
        if row["reason"]:
            lines.append(f"  {row['finger']:<8}{row['reason']}")
            continue
        lines.append(
            _line((
                row["finger"],
                _value(row, "width"),
                _value(row, "joint"),
                f"{row['length_mm']:.0f}",
                _value(row, "ring", "ring_diameter_mm"),
                *(_text(row[f"ring_{name}"]) for name in ("eu", "us", "uk", "japan")),
            ))
        )  # fmt: skip
    return "\n".join(lines) + "\n"


def _line(cells: tuple[str, ...]) -> str:
    padded = (f"{cell:<{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))
    return f"  {''.join(padded)}".rstrip()


def _value(row: dict[str, Any], what: str, key: str = "") -> str:
    value = row[key or f"{what}_mm"]
    if value is None:
        return "-"
    return f"{value:.1f} ({row[f'{what}_low_mm']:.1f}-{row[f'{what}_high_mm']:.1f})"


def _text(value: float | str | None) -> str:
    return "-" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)
