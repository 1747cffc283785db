"""Photos and masks in two folders, paired by their names without suffix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from handseg.data.fitting import read_mask
from handseg.data.groups import GROUPS_FILE, read_splits
from handseg.data.image_mask import by_stem
from handseg.data.schema import Candidate, Labels

IMAGES, MASKS = "images", "masks"
OTHER_MASKS = {
    "object_mask": "object_masks",
    "left_mask": "left_masks",
    "right_mask": "right_masks",
}
"""By column, the folder of masks that a data set need not have."""


@dataclass(frozen=True, eq=False)
class FolderPhoto(Candidate):
    """A photo, its mask and others; each but one of the first two may be missing.

    Attributes:
        other_paths: by column, the masks of what is held and of left and right hands.
    """

    id: str
    group: str
    source: str
    folder: Path
    image_path: Path | None
    mask_path: Path | None
    other_paths: Mapping[str, Path] = field(default_factory=dict)
    split: str | None = None

    @property
    def photo(self) -> Path:
        if self.image_path is None:
            raise ValueError(f"no photo {self.id} in {self.folder / IMAGES}")
        return self.image_path

    @property
    def files(self) -> tuple[Path, ...]:
        paths = (self.image_path, self.mask_path, *self.other_paths.values())
        return tuple(path for path in paths if path is not None)

    def labels(self, image: np.ndarray) -> Labels:
        mask, repairs = read_mask(self._mask, str(self._mask), image.shape)
        others: dict[str, Any] = {}
        for name, path in self.other_paths.items():
            others[name], more = read_mask(path, str(path), image.shape)
            repairs += more
        return Labels(mask, repairs=repairs, **others)

    def row(self) -> dict[str, Any]:
        """See the base class; nothing is read, the row names the files."""
        others = {name: str(path) for name, path in self.other_paths.items()}
        return self._row(mask=str(self._mask), **others)

    @property
    def _mask(self) -> Path:
        if self.mask_path is None:
            raise ValueError(f"no mask {self.id} in {self.folder / MASKS}")
        return self.mask_path


def list_folder(root: Path, group_of: Callable[[str], str]) -> list[FolderPhoto]:
    """What is in `<root>/images`, `<root>/masks` and other folders of masks where they exist.

    These are `object_masks`, `left_masks` and `right_masks`. The official split is the column
    `split` of `<root>/groups.csv`, where it has one.

    Raises:
        ValueError: if one of the first two is missing or all is empty, one of them holds two files
            that differ in nothing but the suffix, or `groups.csv` cannot be read.
    """
    root = root.absolute()
    images, masks = by_stem(root / IMAGES), by_stem(root / MASKS)
    others = {
        column: by_stem(root / name)
        for column, name in OTHER_MASKS.items()
        if (root / name).is_dir()
    }
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
            {column: paths[stem] for column, paths in others.items() if stem in paths},
            splits.get(stem),
        )
        for stem in stems
    ]
