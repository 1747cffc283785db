"""Photos in separate files, whose labels are drawn at or resized to the photo's size."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handseg.data.align_mask import fit, resized
from handseg.data.schema import Candidate, Labels, cells
from handseg.io.decode import open_image


@dataclass(frozen=True, eq=False)
class PhotoFile(Candidate):
    """A photo in its own file; building its row reads only the file's header."""

    id: str
    group: str
    source: str
    image_path: Path

    @property
    def photo(self) -> Path:
        return self.image_path

    def labels(self, image: np.ndarray) -> Labels:
        return self.drawn(image.shape[:2])

    def row(self) -> dict[str, Any]:
        return self._row(**cells(self.drawn(upright_shape(self.image_path))))

    @abstractmethod
    def drawn(self, shape: tuple[int, int]) -> Labels:
        """Return the labels of a photo of `shape` (H, W); ValueError if there are none that fit."""


def upright_shape(path: Path) -> tuple[int, int]:
    """Return (H, W) of the photo as `load_image` rotates it; ValueError if it is not an image."""
    try:
        with open_image(path) as opened:
            width, height = opened.image.size
            # Pillow gives the upright size of TIFF files.
            turned = opened.orientation() in range(5, 9) and opened.image.format != "TIFF"
    except ValueError as error:
        raise ValueError(f"cannot read {path} as a photo: {error}") from error
    return (width, height) if turned else (height, width)


def fitted(
    masks: list[np.ndarray], shape: tuple[int, int], path: Path
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Resize masks of one size, from the file `path`, to `shape` (H, W), and describe repairs."""
    try:
        repairs = () if masks[0].shape == shape else (resized(masks[0].shape, shape),)
        return [fit(mask, shape) for mask in masks], repairs
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
