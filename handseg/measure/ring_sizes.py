"""Convert a finger's width to a ring's inner diameter and jewellers' sizes.

Sizes by the inner diameter d and circumference c = pi d, mm:

- ISO 8653 and the EU: the size is c, in whole mm.
- US and Canada: d is 0.458 in for size 0, and 0.032 in more per size: d = 11.63 + 0.8128 n. There
  are half and quarter sizes.
- UK, Ireland, Australia and New Zealand, BS 6820: c is 37.5 for A, and 1.25 more per letter. There
  are half sizes; Z+1 and so on follow Z.
- Japan: d is 13 for size 1, and 1/3 more per size.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

GIRTH = 3.11
"""Ratio of a finger's girth to its width where a ring sits: the mean of four fingers of 82 rendered
hands (MakeHuman's bodies), standard deviation 0.07. These are meshes, not measured people, so a
calibration with your own rings is better."""

FITS = {"fitted": 0.0, "loose": 0.4}
"""mm added to the inner diameter: loose is half a US size more."""

_LEAST_PAIRS = 3
_SLOPES = 0.5, 1.5  # mm of ring per mm of finger that a calibration may have.
_OFF = 1.5  # mm: largest distance of a pair from the line through all.
_MM = 8.0, 35.0  # Plausible widths and diameters.
_LEAST_RANGE = 1.0  # mm between the thinnest and the thickest finger of a calibration.


@dataclass(frozen=True)
class RingFit:
    """The relation between a finger's width and a ring's inner diameter, mm.

    Attributes:
        slope: mm of diameter per mm of width.
        shift: mm added to the diameter.
        deviation: standard deviation of the pairs from the line, mm; 0 if it was not fitted.
    """

    slope: float = GIRTH / math.pi
    shift: float = 0.0
    deviation: float = 0.0

    def diameter(self, width_mm: float, fit: str = "fitted") -> float:
        """Return the inner diameter, mm, of a ring for this width; `fit` is a key of `FITS`."""
        if fit not in FITS:
            raise ValueError(f"fit must be {' or '.join(FITS)}, got {fit!r}")
        return self.slope * width_mm + self.shift + FITS[fit]


@dataclass(frozen=True)
class RingSize:
    """A ring's size in the common systems.

    Attributes:
        diameter_mm: inner diameter.
        circumference_mm: inner circumference; the size in ISO 8653.
        eu: the circumference in whole mm.
        us: size in the US and Canada, in quarters; None below size 0.
        uk: letter in the UK and Australia, in halves; None below A.
        japan: whole size in Japan; None below size 1.
    """

    diameter_mm: float
    circumference_mm: float
    eu: int
    us: float | None
    uk: str | None
    japan: int | None


def ring_size(diameter_mm: float) -> RingSize:
    """Find the nearest sizes for an inner diameter.

    Raises:
        ValueError: unless it is 8 to 35 mm.
    """
    if not _MM[0] <= diameter_mm <= _MM[1]:
        raise ValueError(
            f"a ring's inner diameter must be {_MM[0]:.0f} to {_MM[1]:.0f} mm, got {diameter_mm}"
        )
    circumference = math.pi * diameter_mm
    us_quarters = _nearest(4 * (diameter_mm - 0.458 * 25.4) / (0.032 * 25.4))
    uk_halves = _nearest(2 * (circumference - 37.5) / 1.25)
    japan = _nearest(3 * (diameter_mm - 13) + 1)
    return RingSize(
        diameter_mm,
        circumference,
        _nearest(circumference),
        us_quarters / 4 if us_quarters >= 0 else None,
        _letter(uk_halves) if uk_halves >= 0 else None,
        japan if japan >= 1 else None,
    )


def _nearest(value: float) -> int:
    """Round to the nearest integer, halves up: a ring that is slightly wide can be worn."""
    return math.floor(value + 0.5)


def _letter(halves: int) -> str:
    """Return the UK size `halves` half sizes above A."""
    whole, half = divmod(halves, 2)
    name = chr(ord("A") + whole) if whole < 26 else f"Z+{whole - 25}"
    return f"{name}½" if half else name


def fit_rings(pairs: Sequence[tuple[float, float]]) -> RingFit:
    """Fit a line through pairs of measured width and inner diameter of the ring, mm.

    Raises:
        ValueError: if there are fewer than 3, or they are implausible.
    """
    if len(pairs) < _LEAST_PAIRS:
        raise ValueError(f"a calibration needs at least {_LEAST_PAIRS} pairs, got {len(pairs)}")
    values = np.array(pairs, float)
    for width, diameter in values:
        for what, value in (("width", width), ("inner diameter", diameter)):
            if not _MM[0] <= value <= _MM[1]:
                raise ValueError(f"a {what} must be {_MM[0]:.0f} to {_MM[1]:.0f} mm, got {value}")
    widths, diameters = values.T
    if np.ptp(widths) < _LEAST_RANGE:
        raise ValueError(
            f"the widths must differ by at least {_LEAST_RANGE} mm, got {np.ptp(widths):.2f} mm"
        )
    slope, shift = np.polyfit(widths, diameters, 1)
    off = diameters - slope * widths - shift
    if not _SLOPES[0] <= slope <= _SLOPES[1]:
        raise ValueError(
            f"rings grow by {slope:.2f} mm per mm of width, expected {_SLOPES[0]} to {_SLOPES[1]}: "
            "are the columns width, inner diameter?"
        )
    if np.abs(off).max() > _OFF:
        worst = int(np.abs(off).argmax())
        raise ValueError(
            f"the pair {widths[worst]:g}, {diameters[worst]:g} is {abs(off[worst]):.1f} mm off the "
            f"line through all pairs, expected at most {_OFF}"
        )
    return RingFit(float(slope), float(shift), float(np.sqrt((off**2).sum() / (len(off) - 2))))


def read_pairs(path: str | Path) -> list[tuple[float, float]]:
    """Read pairs from a CSV file with the columns width_mm and diameter_mm; a header is optional.

    Raises:
        ValueError: if a line is not two numbers; the message names file and line.
        OSError: if the file cannot be read.
    """
    pairs = []
    try:
        rows = list(csv.reader(Path(path).read_text(encoding="utf-8-sig").splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a text file of pairs") from error
    first = True
    for number, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#"):
            continue
        numbers = [_number(cell) for cell in cells]
        if first and not any(value is not None for value in numbers):
            first = False  # The header.
            continue
        first = False
        if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
            raise ValueError(
                f"{path}, line {number}: expected width_mm,diameter_mm, got {','.join(row)!r}"
            )
        pairs.append((numbers[0], numbers[1]))
    return pairs


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
