"""Measurements as rows for JSON, CSV and tables."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from typing import Any, TextIO

from handseg.measure.fingers import DEVIATIONS, FingerMeasurement, HandMeasurement
from handseg.measure.ring_sizes import RingFit, ring_size

_SYSTEMS = ("circumference_mm", "eu", "us", "uk", "japan")

FINGER_KEYS = (
    "finger", "width_mm", "width_low_mm", "width_high_mm", "joint_mm", "joint_low_mm",
    "joint_high_mm", "length_mm", "ring_diameter_mm", "ring_low_mm", "ring_high_mm",
    *(f"ring_{name}" for name in _SYSTEMS), "reason",
)  # fmt: skip
"""Keys of `finger_row`."""

COLUMNS = ("file", *FINGER_KEYS)
"""Columns of the table that `write_csv` writes."""

HEADS = ("finger", "width mm", "joint mm", "length mm", "ring mm", "EU", "US", "UK", "Japan")
"""Headings of the table that `cells` fills."""


def finger_row(
    finger: FingerMeasurement, relation: RingFit | None = None, fit: str = "fitted"
) -> dict[str, Any]:
    """Return a finger's measures and ring size as a row, None for missing values; mm to 0.01.

    The low and high values are the ends of 95 % intervals. Those of the ring's inner diameter
    include the scatter of the calibration pairs.

    Args:
        finger: a finger measured in mm.
        relation: relation between width and ring; None for the default one.
        fit: "fitted" or "loose".
    """
    relation = relation or RingFit()
    row: dict[str, Any] = dict.fromkeys(FINGER_KEYS)
    row |= {"finger": finger.name, "reason": finger.reason}
    values = {
        "width_mm": finger.width_mm,
        "width_low_mm": finger.width_range[0],
        "width_high_mm": finger.width_range[1],
        "joint_mm": finger.joint_mm,
        "joint_low_mm": finger.joint_range[0],
        "joint_high_mm": finger.joint_range[1],
        "length_mm": finger.length_mm,
    }
    if math.isfinite(finger.width_mm):
        diameter = relation.diameter(finger.width_mm, fit)
        half = (finger.width_range[1] - finger.width_range[0]) / 2
        half = math.hypot(relation.slope * half, DEVIATIONS * relation.deviation)
        values |= {
            "ring_diameter_mm": diameter,
            "ring_low_mm": diameter - half,
            "ring_high_mm": diameter + half,
        }
        try:
            size = ring_size(diameter)
        except ValueError:  # A toy hand, or the wrong scale.
            pass
        else:
            row |= {f"ring_{name}": getattr(size, name) for name in _SYSTEMS}
            row["ring_circumference_mm"] = round(size.circumference_mm, 2)
    return row | {key: round(value, 2) for key, value in values.items() if math.isfinite(value)}


def hand_dict(
    measured: HandMeasurement, relation: RingFit | None = None, fit: str = "fitted"
) -> dict[str, Any]:
    """Return a hand as a JSON object: scale, coins, card and a `finger_row` for each finger."""
    return {
        "mm_per_px": measured.mm_per_px if math.isfinite(measured.mm_per_px) else None,
        "tilt_degrees": round(measured.tilt, 1),
        "coins": [
            {
                "centre": coin.centre.round(2).tolist(),
                "diameter_px": round(coin.diameter, 2),
                "ratio": round(coin.ratio, 4),
                "on_hand": coin.on_hand,
            }
            for coin in measured.coins
        ],
        "card": None if measured.card is None else measured.card.corners.round(2).tolist(),
        "fingers": [finger_row(finger, relation, fit) for finger in measured],
    }


def write_csv(rows: Iterable[dict[str, Any]], out: TextIO) -> None:
    """Write a table with one line per finger to a file opened with `newline=""`.

    Args:
        rows: from `finger_row`, each with the photo's name as "file".
        out: the open file.
    """
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)


def scale_text(measured: HandMeasurement) -> str:
    """Describe the scale and the camera's tilt."""
    tilt = f", {measured.tilt:.0f} degrees aslant" if measured.tilt else ""
    return f"{measured.mm_per_px:.4g} mm a pixel{tilt}"


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Format a `finger_row` of a finger measured in mm as table cells under `HEADS`."""
    return (
        row["finger"],
        _value(row, "width"),
        _value(row, "joint"),
        f"{row['length_mm']:.0f}",
        _value(row, "ring", "ring_diameter_mm"),
        *(_text(row[f"ring_{name}"]) for name in ("eu", "us", "uk", "japan")),
    )


def _value(row: dict[str, Any], what: str, key: str = "") -> str:
    value = row[key or f"{what}_mm"]
    if value is None:
        return "-"
    return f"{value:.1f} ({row[f'{what}_low_mm']:.1f}-{row[f'{what}_high_mm']:.1f})"


def _text(value: float | str | None) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
