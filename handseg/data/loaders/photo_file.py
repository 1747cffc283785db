"""Photos in files of their own, whose labels are drawn or brought to the photo's size."""

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
    """A photo in a file of its own; its row needs no more of the file than the head."""

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
        """The labels of a photo of `shape` (H, W); ValueError if there are none that fit."""


def upright_shape(path: Path) -> tuple[int, int]:
    """(H, W) of the photo as `load_image` turns it; ValueError if it is no image."""
    try:
        with open_image(path) as opened:
            width, height = opened.image.size
            turned = opened.orientation() in range(5, 9)
    except ValueError as error:
        raise ValueError(f"cannot read {path} as a photo: {error}") from error
    return (width, height) if turned else (height, width)


def fitted(
    masks: list[np.ndarray], shape: tuple[int, int], path: Path
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Masks of one size, from the file `path`, at `shape` (H, W), and what was mended."""
    try:
        repairs = () if masks[0].shape == shape else (resized(masks[0].shape, shape),)
        return [fit(mask, shape) for mask in masks], repairs
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
