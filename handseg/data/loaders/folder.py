"""Photos and masks in two folders, paired by their names without suffix."""

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
"""The folder of masks of what the hands hold, which a data set need not have."""
INSTANCES = "instances"
"""The folder that tells hands apart, 1 on the first one of a photo and so on; likewise."""


@dataclass(frozen=True, eq=False)
class FolderPhoto(Candidate):
    """A photo, its masks and the numbers of its hands; one of the first two may be missing."""

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
        """See the base class; the row names the files. Only masks with a `mask_value` are read."""
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
    """What is in `<root>/images`, `<root>/masks` and, if there, `object_masks` and `instances`.

    The official split is the column `split` of `<root>/groups.csv`, where it has one.

    Args:
        root: the folder.
        group_of: from a photo's id, its stem, to its group.
        mask_value: the hands' value (1) or colour ("0,255,0") in files of `masks` that hold several
            classes; without, each must have one, see `handseg.data.mask_file`.

    Raises:
        ValueError: if one of the first two is missing or all is empty, one of them holds two files
            that differ in nothing but the suffix, `groups.csv` cannot be read, or `mask_value` is
            no such value.
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
