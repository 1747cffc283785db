"""Photos and masks in two folders, paired by their names without suffix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handseg.data.fitting import read_mask
from handseg.data.groups import GROUPS_FILE, read_splits
from handseg.data.image_mask import by_stem
from handseg.data.schema import Candidate, Labels

IMAGES, MASKS = "images", "masks"
OBJECT_MASKS = "object_masks"
"""The folder of masks of what the hands hold, which a data set need not have."""


@dataclass(frozen=True, eq=False)
class FolderPhoto(Candidate):
    """A photo, its mask and that of what is held; one of the first two may be missing."""

    id: str
    group: str
    source: str
    folder: Path
    image_path: Path | None
    mask_path: Path | None
    object_path: Path | None = None
    split: str | None = None

    @property
    def photo(self) -> Path:
        if self.image_path is None:
            raise ValueError(f"no photo {self.id} in {self.folder / IMAGES}")
        return self.image_path

    @property
    def files(self) -> tuple[Path, ...]:
        paths = (self.image_path, self.mask_path, self.object_path)
        return tuple(path for path in paths if path is not None)

    def labels(self, image: np.ndarray) -> Labels:
        mask, repairs = read_mask(self._mask, str(self._mask), image.shape)
        if self.object_path is None:
            return Labels(mask, repairs=repairs)
        held, more = read_mask(self.object_path, str(self.object_path), image.shape)
        return Labels(mask, held, repairs + more)

    def row(self) -> dict[str, Any]:
        """See the base class; nothing is read, the row names the files."""
        held = None if self.object_path is None else str(self.object_path)
        return self._row(mask=str(self._mask), object_mask=held)

    @property
    def _mask(self) -> Path:
        if self.mask_path is None:
            raise ValueError(f"no mask {self.id} in {self.folder / MASKS}")
        return self.mask_path


def list_folder(root: Path, group_of: Callable[[str], str]) -> list[FolderPhoto]:
    """What is in `<root>/images`, `<root>/masks` and, where it exists, `<root>/object_masks`.

    The official split is the column `split` of `<root>/groups.csv`, where it has one.

    Raises:
        ValueError: if one of the first two is missing or all is empty, one of them holds two files
            that differ in nothing but the suffix, or `groups.csv` cannot be read.
    """
    root = root.absolute()
    images, masks = by_stem(root / IMAGES), by_stem(root / MASKS)
    held = by_stem(root / OBJECT_MASKS) if (root / OBJECT_MASKS).is_dir() else {}
    stems = sorted(images.keys() | masks.keys())
    if not stems:
        raise ValueError(f"{root / IMAGES} and {root / MASKS} hold no image")
    file = root / GROUPS_FILE
    splits = read_splits(file) if file.is_file() else {}
    return [
        FolderPhoto(
            stem,
            group_of(stem),
            root.name,
            root,
            images.get(stem),
            masks.get(stem),
            held.get(stem),
            splits.get(stem),
        )
        for stem in stems
    ]
