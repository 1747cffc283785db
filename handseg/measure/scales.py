"""Scales for a photo: coins by name, a diameter, or a card."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import yaml

CARD_MM = (85.60, 53.98)
"""Width and height of bank and identity cards: format ID-1 of ISO/IEC 7810."""

CARD: Literal["card"] = "card"

Scale: TypeAlias = str | float | Sequence[str | float]
"""A coin by name ("2 euro") or diameter in mm (25.75 or "25.75 mm"), "card", or two coins."""

DIAMETERS = (10.0, 60.0)
"""mm, smallest and largest: coins, and rings that lie beside the hand."""


@cache
def coins() -> dict[str, float]:
    """Return the diameters in mm of all named coins; `coins.yaml` has the sources."""
    return {
        name: float(diameter)
        for currency in _currencies()
        for name, diameter in currency["coins"].items()
    }


@cache
def two_metal_diameters() -> frozenset[float]:
    """Return the diameters in mm of the named coins with a core of another metal."""
    names = chain.from_iterable(currency.get("two_metals", ()) for currency in _currencies())
    return frozenset(coins()[name] for name in names)


def _currencies() -> list[dict[str, Any]]:
    text = Path(__file__).with_name("coins.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load(text).values())


def parse_scale(scale: Scale) -> tuple[float, ...] | Literal["card"]:
    """Parse a scale: diameters in mm of one or two coins, or "card".

    Case, spaces and plurals do not matter.

    Raises:
        ValueError: if the name or diameter is invalid; the message suggests the closest name.
    """
    several = [scale] if isinstance(scale, str | float | int) else list(scale)
    if not 1 <= len(several) <= 2:
        raise ValueError(f"a scale is one or two coins, got {len(several)}")
    found = [_parse(one) for one in several]
    if CARD in found:
        if len(found) > 1:
            raise ValueError("a card cannot be combined with a coin")
        return CARD
    return tuple(float(one) for one in found)


def _parse(scale: str | float) -> float | Literal["card"]:
    if isinstance(scale, str):
        text = _plain(scale)
        if text == CARD:
            return CARD
        known = {_plain(name): diameter for name, diameter in coins().items()}
        if text in known:
            return known[text]
        if not (number := re.fullmatch(r"(\d+(?:[.,]\d*)?)\s*mm", text)):
            raise ValueError(f"{scale!r} is not a known coin{_nearest(text)}")
        scale = float(number[1].replace(",", "."))
    if not (np.isfinite(scale) and DIAMETERS[0] <= scale <= DIAMETERS[1]):
        low, high = DIAMETERS
        raise ValueError(f"a coin's diameter must be {low:.0f} to {high:.0f} mm, got {scale}")
    return float(scale)


def _plain(name: str) -> str:
    text = " ".join(name.casefold().replace("ş", "s").split())
    return re.sub(r"(?<=[a-z]{3})s\b(?<!kurus)", "", text)


def _nearest(text: str) -> str:
    names = {_plain(name): name for name in coins()} | {CARD: CARD}
    if near := difflib.get_close_matches(text, names, 1):
        return f"; did you mean {names[near[0]]!r}?"
    return f"; known are {', '.join(names.values())}, a diameter as in '23.25 mm', and 'card'"
