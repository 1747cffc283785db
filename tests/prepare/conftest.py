from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pairs(photo_folder: Path, tmp_path: Path) -> Path:
    """A folder of six pairs: four of the photos and two more of people named in groups.csv."""
    source = tmp_path / "pairs"
    shutil.copytree(photo_folder, source)
    for stem in ("a", "b"):
        shutil.copy(source / "masks" / "3_pic00043.png", source / "masks" / f"{stem}.png")
        pixels = np.asarray(Image.open(source / "images" / "3_pic00043.jpg"))
        Image.fromarray(255 - pixels if stem == "a" else pixels // 2).save(
            source / "images" / f"{stem}.png"
        )
    return source
