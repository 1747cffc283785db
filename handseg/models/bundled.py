"""Weights bundled with the package."""

from __future__ import annotations

import os
from pathlib import Path

LITE = "handseg-lite"
LITE_FOLDER = Path(__file__).parents[1] / "assets" / LITE
LITE_OBJECT_FOLDER = LITE_FOLDER.with_name("handseg-lite-object")
"""Its adapter for held objects."""


def home(name_or_path: str | os.PathLike[str]) -> str | Path:
    """Replace the bundled model's name by its folder; return anything else as it is."""
    name = os.fspath(name_or_path)
    return LITE_FOLDER if name == LITE else name
