"""Measure, print, draw and record each photo of `handseg measure`."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text

from handseg.cli.json_file import JsonFile
from handseg.cli.outputs import InputPhoto
from handseg.io.files import save_image
from handseg.measure import HandMeasurement, RingFit, Scale, measure_hand
from handseg.measure.report import (
    COLUMNS,
    HEADS,
    cells,
    finger_row,
    hand_dict,
    scale_text,
    write_csv,
)
from handseg.results import HandSegmentation
from handseg.runtime.files import write_text_atomic
from handseg.runtime.terminal import results

_WIDTHS = (8, 18, 18, 11, 18, 4, 7, 7, 5)


@dataclass
class Measuring:
    """Measures photos with the scale and options of the command."""

    scale: Scale | None
    mm_per_px: float | None
    relation: RingFit
    fit: str
    overlay: bool
    rows: list[dict[str, Any]] = field(default_factory=list)

    def write(self, photo: InputPhoto, result: HandSegmentation, rows: JsonFile | None) -> None:
        """Measure the photo's hand, and print and write the results.

        Raises:
            MeasurementError: if the hand cannot be measured.
        """
        measured = measure_hand(result, scale=self.scale, mm_per_px=self.mm_per_px)
        fingers = [finger_row(finger, self.relation, self.fit) for finger in measured]
        if self.overlay:
            photo.measured.parent.mkdir(parents=True, exist_ok=True)
            save_image(measured.overlay(), photo.measured)
        self.rows += [{"file": photo.path.as_posix(), **row} for row in fingers]
        if rows is not None:
            rows.add(photo.path, hand_dict(measured, self.relation, self.fit))
        results.print(Text(_table(photo, measured, fingers)), soft_wrap=True)

    @staticmethod
    def check_csv(path: Path) -> None:
        """Make sure that a table can be written to `path`.

        Raises:
            ValueError: if the folder is missing, or the file exists and is not such a table.
        """
        if not path.absolute().parent.is_dir():
            raise ValueError(f"--csv {path}: the folder does not exist")
        if path.exists():
            with path.open(encoding="utf-8", errors="replace", newline="") as file:
                if next(csv.reader(file), []) != list(COLUMNS):
                    raise ValueError(
                        f"--csv {path}: already exists, and was not written by handseg measure; "
                        "choose another name"
                    )

    def write_csv(self, path: Path) -> None:
        with write_text_atomic(path) as out:
            write_csv(self.rows, out)


def _table(photo: InputPhoto, measured: HandMeasurement, fingers: list[dict[str, Any]]) -> str:
    lines = [f"{photo.path}: {scale_text(measured)}", _line(HEADS)]
    for row in fingers:
        refused = f"  {row['finger']:<8}{row['reason']}"
        lines.append(refused if row["reason"] else _line(cells(row)))
    return "\n".join(lines) + "\n"


def _line(texts: tuple[str, ...]) -> str:
    padded = (f"{text:<{width}}" for text, width in zip(texts, _WIDTHS, strict=True))
    return f"  {''.join(padded)}".rstrip()
