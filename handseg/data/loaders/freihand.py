"""FreiHAND (Zimmermann et al., ICCV 2019) in the layout of its archive.

`training/rgb` holds each of N samples in several versions: files 0 to N - 1 show the samples in
front of the green screen, the next N the same photos with another background, and so on. Masks and
annotations are numbered 0 to N - 1. All hands are right hands.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from handseg.data.align_mask import read_mask
from handseg.data.loaders.lazy import Candidates
from handseg.data.loaders.photo_file import PhotoFile
from handseg.data.schema import Labels

logger = logging.getLogger(__name__)

_PARTS = {"training": "train", "evaluation": "test"}
"""The official part of each folder."""


@dataclass(frozen=True, eq=False)
class FreihandPhoto(PhotoFile):
    """A photo of a right hand and the mask of its sample; either may be missing."""

    mask_path: Path
    split: str | None

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.image_path, self.mask_path)

    def drawn(self, shape: tuple[int, int]) -> Labels:
        mask, repairs = read_mask(self.mask_path, str(self.mask_path), shape)
        return Labels(mask, repairs=repairs)

    def row(self) -> dict[str, Any]:
        """See the base class; reads no file, the row has paths."""
        for what, path in (("photo", self.image_path), ("mask", self.mask_path)):
            if not path.is_file():
                raise ValueError(f"no {what} {path}")
        return self._row(mask=str(self.mask_path))


def list_freihand(root: Path, group_of: Callable[[str], str] | None) -> Candidates:
    """List the photos of `training/rgb` and, if `evaluation/mask` exists, of `evaluation/rgb`.

    Ids are "training/00000000" and so on. A group is a sample with all its versions. Identities are
    not published, so photos of one person end up in several parts of a split.

    Args:
        root: folder that holds `training` and `evaluation`.
        group_of: maps an id to its group, instead of the above.

    Raises:
        ValueError: if there are no training photos or masks, or the number of photos is not a
            multiple of the number of masks.
    """
    root = root.absolute()
    keys: list[tuple[str, int, int]] = []
    for folder in _PARTS:
        if folder == "evaluation" and not (root / folder / "mask").is_dir():
            if (root / folder / "rgb").is_dir():
                logger.warning("%s has no masks: left out", root / folder)
            continue
        photos, samples = (_count(root / folder / name) for name in ("rgb", "mask"))
        if not samples or not photos or photos % samples:
            raise ValueError(
                f"{root / folder} is not of FreiHAND: expected rgb/00000000.jpg and so on, each "
                f"sample of mask/ as often as the others, got numbers up to {photos - 1} in rgb "
                f"and up to {samples - 1} in mask"
            )
        keys += [(folder, number, number % samples) for number in range(photos)]
    return Candidates(keys, partial(_photo, root, group_of))


def _photo(
    root: Path, group_of: Callable[[str], str] | None, key: tuple[str, int, int]
) -> FreihandPhoto:
    folder, number, sample = key
    name = f"{folder}/{number:08d}"
    return FreihandPhoto(
        name,
        f"{folder}/{sample:08d}" if group_of is None else group_of(name),
        "freihand",
        root / folder / "rgb" / f"{number:08d}.jpg",
        root / folder / "mask" / f"{sample:08d}.jpg",
        _PARTS[folder],
    )


def _count(folder: Path) -> int:
    """Return one more than the highest number that names a JPEG in `folder`, 0 without one."""
    try:
        names = os.listdir(folder)  # noqa: PTH208, a Path for each of 130,000 is slow.
    except OSError:
        return 0
    numbers = (name.removesuffix(".jpg") for name in names if name.endswith(".jpg"))
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)
