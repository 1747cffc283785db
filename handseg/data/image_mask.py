"""Photos of hands with their masks."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from handseg.io.files import IMAGE_SUFFIXES
from handseg.io.images import load_image

logger = logging.getLogger(__name__)


class LabelledPhoto(Protocol):
    """A photo with the mask of all hands in it, read when it is asked for.

    An attribute `group`, where there is one, names what photos share that are not independent of
    each other: a person, a burst.
    """

    @property
    def id(self) -> str:
        """Names the photo among others."""

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """The photo, (H, W, 3) uint8 RGB, and the mask, (H, W) bool."""


@dataclass(frozen=True)
class ImageMaskPair:
    """A photo and the mask of all hands in it.

    Attributes:
        id: "<folder>/<stem>".
        image_path: the photo.
        mask_path: 8-bit mask of the same size, 255 on the hands.
    """

    id: str
    image_path: Path
    mask_path: Path

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """The photo, (H, W, 3) uint8 RGB, and the mask, (H, W) bool.

        Raises:
            ValueError: if one of them cannot be read, the mask is not one or of another size.
        """
        image = load_image(self.image_path)
        return image, load_mask(self.mask_path, image.shape[:2])


def load_mask(path: Path, shape: Sequence[int]) -> np.ndarray:
    """A mask file as (H, W) bool, true above half of white.

    Raises:
        ValueError: if it cannot be read, is not of `shape` (H, W), or is not black all over and
            yet has nothing above half of white, as a mask of zeros and ones.
    """
    values = load_image(path)[..., 0]
    if values.shape != tuple(shape):
        raise ValueError(f"{path} is {values.shape}, but its photo is {tuple(shape)} (H, W)")
    return to_mask(values, str(path))


def to_mask(values: np.ndarray, name: str) -> np.ndarray:
    """Greys (H, W) uint8 as a mask (H, W) bool, true above half of white.

    Raises:
        ValueError: naming `name`, if they are not black all over and yet have nothing above half
            of white, as a mask of zeros and ones.
    """
    if 0 < (highest := int(values.max())) <= 127:
        raise ValueError(f"{name} has values up to {highest}, expected 0 and 255")
    return values > 127


def find_pairs(folder: str | Path) -> list[ImageMaskPair]:
    """Every photo in `<folder>/images` whose mask is in `<folder>/masks` under the same stem.

    Photos without a mask are logged.

    Raises:
        ValueError: if the folder has no `images` or `masks`, one of them holds two files of one
            stem, or there is no pair.
    """
    folder = Path(folder)
    images, masks = (by_stem(folder / name) for name in ("images", "masks"))
    for stem in sorted(images.keys() - masks.keys()):
        logger.warning("%s has no mask in %s", images[stem], folder / "masks")
    name = os.path.basename(os.path.abspath(folder))  # noqa: PTH100, PTH119
    pairs = [
        ImageMaskPair(f"{name}/{stem}", images[stem], masks[stem])
        for stem in sorted(images.keys() & masks.keys())
    ]
    if not pairs:
        raise ValueError(f"no photo in {folder}/images has a mask of its name in {folder}/masks")
    return pairs


def by_stem(folder: Path) -> dict[str, Path]:
    """The images in `folder` by their names without suffix, sorted.

    Raises:
        ValueError: if there is no such folder, or two of them differ in nothing but the suffix.
    """
    if not folder.is_dir():
        raise ValueError(f"expected the folder {folder}; a data folder holds images/ and masks/")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in files:
            raise ValueError(f"{files[path.stem]} and {path.name} have the same stem")
        files[path.stem] = path
    return files
