"""One folder per photo: `<id>/original/hand.jpeg` and its cut-out, `<id>/no_bg/hand.jpeg`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handseg.data.align_mask import fit, match_turn, resized
from handseg.data.loaders.cutout_mask import open_gaps, plain_ground, read_cutout
from handseg.data.schema import Candidate, Labels
from handseg.io.files import IMAGE_SUFFIXES

SET_FOLDER = "public_hand_dataset"


@dataclass(frozen=True)
class AitacaPhoto(Candidate):
    """A folder with a photo and its cut-out; either may be missing."""

    id: str
    group: str
    source: str
    folder: Path

    @property
    def photo(self) -> Path:
        return _only_image(self.folder / "original")

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(
            path for name in ("original", "no_bg") for path in sorted(self.folder.glob(f"{name}/*"))
        )

    def labels(self, image: np.ndarray) -> Labels:
        """See the base class; a resized or rotated cut-out is matched to the photo."""
        path = _only_image(self.folder / "no_bg")
        color, alpha = read_cutout(path)
        try:
            if alpha is not None:
                mask, enclosed = alpha > 127, None
            else:
                ground, enclosed = plain_ground(color)
                mask = ~ground
            turns, difference = match_turn(color, mask, image)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        repairs = [f"cut-out turned by {90 * turns} degrees"] if turns else []
        color, mask = np.rot90(color, turns), np.rot90(mask, turns)
        if enclosed is not None:
            height, width = mask.shape
            photo = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            mask = open_gaps(mask, np.rot90(enclosed, turns), np.ascontiguousarray(color), photo)
        if mask.shape != image.shape[:2]:
            repairs.append(resized(mask.shape, image.shape))
            mask = fit(mask, image.shape[:2])
        return Labels(mask, None, tuple(repairs), {"difference": difference})


def list_aitaca(root: Path, group_of: Callable[[str], str]) -> list[AitacaPhoto]:
    """List the folders in `root` or `<root>/public_hand_dataset` that have a photo or a cut-out.

    Raises:
        ValueError: if there is none.
    """
    folder = root / SET_FOLDER if (root / SET_FOLDER).is_dir() else root
    found = [
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (path / "original").is_dir() or (path / "no_bg").is_dir()
    ]
    if not found:
        raise ValueError(
            f"{root} holds no photo in the layout aitaca, expected <id>/original/hand.jpeg and "
            "<id>/no_bg/hand.jpeg in it"
        )
    found.sort(key=lambda path: (not path.name.isdecimal(), path.name.zfill(12)))
    source = folder.absolute().name
    return [AitacaPhoto(path.name, group_of(path.name), source, path.absolute()) for path in found]


def _only_image(folder: Path) -> Path:
    images = [
        path
        for path in sorted(folder.glob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    named = [path for path in images if path.stem == "hand"] or images
    if len(named) != 1:
        raise ValueError(f"expected one image in {folder}, found {len(named)}")
    return named[0]
