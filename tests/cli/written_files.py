"""List written files, and watch segmenting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import Result

ONE_HAND = (80, 60, 40, 25)


Run = Callable[..., Result]


def files_in(folder: Path) -> set[str]:
    """Return all files below `folder`, including hidden ones."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def read_mask(path: Path) -> np.ndarray:
    mask = np.asarray(Image.open(path))
    assert set(np.unique(mask)) <= {0, 255}
    return mask == 255


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())
