"""HO-3D, versions 2 and 3 (Hampali et al., CVPR 2020), in the layout of its archives.

`<part>/<sequence>/rgb/<frame>` are the photos, PNG in version 2 and JPEG in 3, and
`<part>/<sequence>/meta/<frame>.pkl` their annotations. Masks are in `<part>/<sequence>/seg`, from
the separate archive of segmentations; there the hand is blue and the object green, at the photo's
size or smaller. All hands are right hands.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from handseg.data.image_mask import by_stem
from handseg.data.loaders.lazy import Candidates
from handseg.data.loaders.photo_file import PhotoFile, fitted
from handseg.data.loaders.safe_pickle import read_pickle
from handseg.data.schema import Labels
from handseg.io.images import load_image
from handseg.runtime.arrays import values_at

logger = logging.getLogger(__name__)

_PARTS = {"train": "train", "evaluation": "test"}
"""The official part of each folder."""
_UNCLEAR = 0.01  # Share of the picture that may have other colours: JPEG blends at borders.


@dataclass(frozen=True, eq=False)
class Ho3dPhoto(PhotoFile):
    """A photo of a right hand with an object, and its segmentation; either may be missing."""

    seg_path: Path
    meta_path: Path
    split: str | None

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.image_path, self.seg_path, self.meta_path)

    def labels(self, image: np.ndarray) -> Labels:
        """See the base class; if no joint is on the hand or object, the mask is another frame's."""
        labels = self.drawn(image.shape[:2])
        assert labels.object_mask is not None
        shown = labels.mask | labels.object_mask
        if self.meta_path.is_file() and not values_at(shown, self._joints()).any():
            raise ValueError(f"{self.seg_path} shows nothing at the joints in {self.meta_path}")
        return labels

    def drawn(self, shape: tuple[int, int]) -> Labels:
        hand, held = _colours(load_image(self.seg_path), self.seg_path)
        if not hand.any():
            raise ValueError(f"{self.seg_path} shows no hand")
        (hand, held), repairs = fitted([hand, held], shape, self.seg_path)
        return Labels(hand, held & ~hand, repairs)

    def _joints(self) -> np.ndarray:
        """Project the hand's joints into the photo, (21, 2) x, y px."""
        meta = read_pickle(self.meta_path)
        try:
            points = np.asarray(meta["handJoints3D"], float).reshape(-1, 3)
            # The camera looks along the negative z axis, with y up.
            projected = points * [1, -1, -1] @ np.asarray(meta["camMat"], float).T
            return projected[:, :2] / projected[:, 2:]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(
                f"{self.meta_path} must have camMat (3, 3) and handJoints3D (21, 3): {error!r}"
            ) from error


def list_ho3d(root: Path, group_of: Callable[[str], str] | None) -> Candidates:
    """List the frames named in `train.txt` and `evaluation.txt`, or else all there are.

    Ids are "ABF10/0000" and so on. A group is all sequences whose names differ only in the number:
    one person with one object, seen by several cameras. Sequences without masks (`seg`) are left
    out, and logged.

    Args:
        root: folder that holds `train` and, optionally, `evaluation`.
        group_of: maps an id to its group, instead of the above.

    Raises:
        ValueError: if no sequence has both photos and masks, a sequence is in both parts, or a list
            of frames cannot be read.
    """
    root = root.absolute()
    keys: list[tuple[str, str]] = []
    seen: dict[str, str] = {}
    for folder in _PARTS:
        without = []
        for sequence, frames in _frames(root, folder).items():
            if not (root / folder / sequence / "seg").is_dir():
                without.append((sequence, len(frames)))
                continue
            if seen.setdefault(sequence, folder) != folder:
                raise ValueError(f"{root} has a sequence {sequence} in both parts")
            keys += [(folder, f"{sequence}/{frame}") for frame in frames]
        if without:
            logger.warning(
                "%s: %d frames are left out, as there is no folder seg in %s",
                root / folder,
                sum(count for _, count in without),
                ", ".join(name for name, _ in without),
            )
    if not keys:
        raise ValueError(
            f"{root} holds no frame with a mask in the layout ho3d, expected "
            "train/<sequence>/rgb and train/<sequence>/seg, of the archive of segmentations"
        )
    return Candidates(keys, partial(_photo, root, group_of))


def _frames(root: Path, folder: str) -> dict[str, list[str]]:
    """Return the sorted frame names of each sequence."""
    found: dict[str, list[str]] = {}
    file = root / f"{folder}.txt"
    if file.is_file():
        try:
            lines = file.read_text(encoding="utf-8-sig").split()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read {file}: {error}") from error
        for line in lines:
            sequence, slash, frame = line.partition("/")
            if not slash or not frame.isalnum() or not sequence.isalnum():
                raise ValueError(f"{file} must list <sequence>/<frame>, got {line!r}")
            found.setdefault(sequence, []).append(frame)
    else:
        for place in (root / folder).glob("*/rgb"):
            found[place.parent.name] = list(by_stem(place))
    return {sequence: sorted(found[sequence]) for sequence in sorted(found)}


def _colours(picture: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read hand and object, each (H, W) bool, from a segmentation (H, W, 3) uint8."""
    red, green, blue = (picture > 127).transpose(2, 0, 1)
    unclear = float((red | green & blue).mean())
    if unclear > _UNCLEAR:
        raise ValueError(
            f"{path} must show the hand blue and the object green on black, but {unclear:.0%} of "
            "it has other colours"
        )
    return blue & ~green & ~red, green & ~blue & ~red


def _photo(root: Path, group_of: Callable[[str], str] | None, key: tuple[str, str]) -> Ho3dPhoto:
    folder, name = key
    sequence, frame = name.split("/")
    place = root / folder / sequence
    return Ho3dPhoto(
        name,
        re.sub(r"\d+$", "", sequence) or sequence if group_of is None else group_of(name),
        "ho3d",
        _either(place / "rgb", frame),
        _either(place / "seg", frame),
        place / "meta" / f"{frame}.pkl",
        _PARTS[folder],
    )


def _either(folder: Path, frame: str) -> Path:
    """Return the PNG of that name, or else the JPEG, even if it does not exist."""
    path = folder / f"{frame}.png"
    return path if path.is_file() else folder / f"{frame}.jpg"
