"""Pairs of a hand photo and its mask."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from handseg.data.mask_file import MaskValue, read_mask_file
from handseg.io.files import IMAGE_SUFFIXES
from handseg.io.images import load_image

logger = logging.getLogger(__name__)


class LabelledPhoto(Protocol):
    """A photo with the mask of all hands in it, read on demand.

    The optional attribute `group` names what dependent photos share, such as a person or a burst.
    """

    @property
    def id(self) -> str:
        """A name that identifies the photo."""

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """Read the photo, (H, W, 3) uint8 RGB, and the mask, (H, W) bool."""


class PhotoWithObjects(LabelledPhoto, Protocol):
    """A photo that may also have a mask of the objects that its hands hold."""

    def load_object_mask(self) -> np.ndarray | None:
        """Read the mask of held objects, (H, W) bool; None if they are not labelled."""


@dataclass(frozen=True)
class ImageMaskPair:
    """A photo and the mask of all hands in it.

    Attributes:
        id: "<folder>/<stem>".
        image_path: the photo.
        mask_path: mask of the same size, in a form that `read_mask_file` reads.
        mask_value: the hands' value or colour in a mask with several classes.
    """

    id: str
    image_path: Path
    mask_path: Path
    mask_value: MaskValue | None = field(default=None, kw_only=True)

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """Read the photo, (H, W, 3) uint8 RGB, and the mask, (H, W) bool.

        Raises:
            ValueError: if either cannot be read, or the mask is not a mask or has another size.
        """
        image = load_image(self.image_path)
        return image, load_mask(self.mask_path, image.shape[:2], self.mask_value)

    def digest(self) -> str:
        """Hash the contents of both files and the mask value.

        Raises:
            OSError: if a file is gone.
        """
        value = b"" if self.mask_value is None else repr(self.mask_value).encode()
        return digest_of(self.image_path.read_bytes(), self.mask_path.read_bytes(), value)


def digest_of(*contents: bytes) -> str:
    """Return one SHA-256 of several files' contents, in hexadecimal; empty contents are skipped."""
    parts = [hashlib.sha256(content).digest() for content in contents if content]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def load_mask(path: Path, shape: Sequence[int], value: MaskValue | None = None) -> np.ndarray:
    """Read a mask file as (H, W) bool, see `read_mask_file`.

    Raises:
        ValueError: if it cannot be read, is not of `shape` (H, W), or has several classes.
    """
    mask, _ = read_mask_file(path, str(path), value)
    if mask.shape != tuple(shape):
        raise ValueError(f"{path} is {mask.shape}, but its photo is {tuple(shape)} (H, W)")
    return mask


def find_pairs(folder: str | Path, mask_value: MaskValue | None = None) -> list[ImageMaskPair]:
    """Pair the photos in `<folder>/images` with the masks in `<folder>/masks` by file stem.

    Photos without a mask are logged. `mask_value` applies to all masks, see `read_mask_file`.

    Raises:
        ValueError: if the folder has no `images` or `masks`, one of them holds two files with the
            same stem, or there is no pair.
    """
    folder = Path(folder)
    images, masks = (by_stem(folder / name) for name in ("images", "masks"))
    for stem in sorted(images.keys() - masks.keys()):
        logger.warning("%s has no mask in %s", images[stem], folder / "masks")
    name = os.path.basename(os.path.abspath(folder))  # noqa: PTH100, PTH119
    pairs = [
        ImageMaskPair(f"{name}/{stem}", images[stem], masks[stem], mask_value=mask_value)
        for stem in sorted(images.keys() & masks.keys())
    ]
    if not pairs:
        raise ValueError(f"no photo in {folder}/images has a mask of its name in {folder}/masks")
    return pairs


def by_stem(folder: Path) -> dict[str, Path]:
    """Map the images in `folder` by file stem, sorted.

    Raises:
        ValueError: if there is no such folder, or two names differ only in the suffix.
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
