"""The weights that come with the package."""

from __future__ import annotations

import os
from pathlib import Path

LITE = "handseg-lite"
LITE_FOLDER = Path(__file__).parents[1] / "assets" / LITE
LITE_OBJECT_FOLDER = LITE_FOLDER.with_name("handseg-lite-object")
"""The adapter that makes it cut out what a hand holds."""


def home(name_or_path: str | os.PathLike[str]) -> str | Path:
    """The bundled model's folder in place of its name; anything else as it is."""
    name = os.fspath(name_or_path)
    return LITE_FOLDER if name == LITE else name
