"""Photos and masks in two folders, paired by file stem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handseg.data.align_mask import read_instances, read_mask
from handseg.data.groups import GROUPS_FILE, read_splits
from handseg.data.image_mask import by_stem
from handseg.data.mask_file import MaskValue, parse_mask_value, read_mask_file
from handseg.data.schema import Candidate, Labels, png

IMAGES, MASKS = "images", "masks"
OBJECT_MASKS = "object_masks"
"""The optional folder with masks of held objects."""
INSTANCES = "instances"
"""The optional folder that numbers the hands of each photo, from 1."""


@dataclass(frozen=True, eq=False)
class FolderPhoto(Candidate):
    """A photo, its masks and its hand numbers; either the photo or the mask may be missing."""

    id: str
    group: str
    source: str
    folder: Path
    image_path: Path | None
    mask_path: Path | None
    object_path: Path | None = None
    instances_path: Path | None = None
    split: str | None = None
    mask_value: MaskValue | None = None

    @property
    def photo(self) -> Path:
        if self.image_path is None:
            raise ValueError(f"no photo {self.id} in {self.folder / IMAGES}")
        return self.image_path

    @property
    def files(self) -> tuple[Path, ...]:
        paths = (self.image_path, self.mask_path, self.object_path, self.instances_path)
        return tuple(path for path in paths if path is not None)

    def labels(self, image: np.ndarray) -> Labels:
        mask, repairs = read_mask(self._mask, str(self._mask), image.shape, self.mask_value)
        held, numbers = None, None
        if self.object_path is not None:
            held, more = read_mask(self.object_path, str(self.object_path), image.shape)
            repairs += more
        if self.instances_path is not None:
            numbers = read_instances(self.instances_path, str(self.instances_path), image.shape)
        return Labels(mask, held, repairs, instances=numbers)

    def row(self) -> dict[str, Any]:
        """See the base class; the row has paths. Only masks with a `mask_value` are read."""
        held, numbers = (
            None if path is None else str(path) for path in (self.object_path, self.instances_path)
        )
        mask: str | dict[str, Any] = str(self._mask)
        if self.mask_value is not None:
            mask = png(read_mask_file(self._mask, str(self._mask), self.mask_value)[0])
        return self._row(mask=mask, object_mask=held, instances=numbers)

    @property
    def _mask(self) -> Path:
        if self.mask_path is None:
            raise ValueError(f"no mask {self.id} in {self.folder / MASKS}")
        return self.mask_path


def list_folder(
    root: Path, group_of: Callable[[str], str], *, mask_value: Any = None
) -> list[FolderPhoto]:
    """List `<root>/images` and `<root>/masks`, with `object_masks` and `instances` if they exist.

    The official split is the column `split` of `<root>/groups.csv`, if there is one.

    Args:
        root: the folder.
        group_of: maps a photo's id, its stem, to its group.
        mask_value: the hands' value (1) or colour ("0,255,0") in files of `masks` that hold several
            classes; without it, each must have one class, see `handseg.data.mask_file`.

    Raises:
        ValueError: if `images` or `masks` is missing or both are empty, a folder holds two files
            that differ only in the suffix, `groups.csv` cannot be read, or `mask_value` is invalid.
    """
    value = parse_mask_value(mask_value)
    root = root.absolute()
    images, masks = by_stem(root / IMAGES), by_stem(root / MASKS)
    held, numbers = (
        by_stem(root / name) if (root / name).is_dir() else {} for name in (OBJECT_MASKS, INSTANCES)
    )
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
            numbers.get(stem),
            splits.get(stem),
            value,
        )
        for stem in stems
    ]
