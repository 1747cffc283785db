"""EgoHOS (Zhang et al., ECCV 2022) in the layout of its archive.

`<part>/image/<name>.jpg` are egocentric photos, and `<part>/label/<name>.png` their classes:
0 nothing, 1 left hand, 2 right hand, 3 to 5 objects that the left hand, the right hand or both
touch, 6 to 8 objects that touch those in turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from handseg.data.image_mask import by_stem
from handseg.data.loaders.lazy import Candidates
from handseg.data.loaders.photo_file import PhotoFile, fitted
from handseg.data.schema import Labels
from handseg.io.decode import open_image

TESTS = ("both", "indomain", "outdomain")
_LEFT, _RIGHT, _HIGHEST = 1, 2, 8
_FIRST_ORDER, _SECOND_ORDER = (3, 4, 5), (6, 7, 8)
_FRAME = re.compile(r"[_-]?(frame)?[_-]?\d+$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class EgohosPhoto(PhotoFile):
    """A photo and its class map; either may be missing.

    Attributes:
        held: the classes that count as held objects.
    """

    label_path: Path
    held: tuple[int, ...]
    split: str | None

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.image_path, self.label_path)

    def drawn(self, shape: tuple[int, int]) -> Labels:
        classes = _read_classes(self.label_path)
        masks = [np.isin(classes, ids) for ids in ((_LEFT,), (_RIGHT,), self.held)]
        (left, right, held), repairs = fitted(masks, shape, self.label_path)
        if not (left | right).any():
            raise ValueError(f"{self.label_path} shows no hand")
        return Labels(left | right, held, repairs)


def _read_classes(path: Path) -> np.ndarray:
    """Read the class of each pixel, (H, W) uint8: grey values or palette indices, as stored."""
    try:
        with open_image(path) as opened:
            if opened.image.mode not in ("L", "P"):
                raise ValueError(f"expected one channel of class numbers, got {opened.image.mode}")
            classes = np.array(opened.decoded())
    except ValueError as error:
        raise ValueError(f"cannot read {path} as a picture of classes: {error}") from error
    if classes.max() > _HIGHEST:
        raise ValueError(f"{path} has class {classes.max()}, expected 0 to {_HIGHEST}")
    return classes


def list_egohos(
    root: Path,
    group_of: Callable[[str], str] | None,
    *,
    test: str = "both",
    second_order: bool = False,
) -> Candidates:
    """List the photos of `train`, `val`, `test_indomain` and `test_outdomain`, if they exist.

    Ids are "train/<name>" and so on. A group is a video: the name without the frame number at its
    end. The publisher drew train, val and test_indomain frame by frame, so they share videos.

    Args:
        root: folder that holds these.
        group_of: maps an id to its group, instead of the above.
        test: which test part to use: "indomain", "outdomain" or "both".
        second_order: whether objects touched by what a hand touches count as held, too.

    Raises:
        ValueError: if `test` is none of these, or no part exists, or one has no `image` or
            `label`.
    """
    if test not in TESTS:
        raise ValueError(f"test must be one of {', '.join(TESTS)}, got {test!r}")
    root = root.absolute()
    parts = {"train": "train", "val": "val"}
    parts |= {f"test_{name}": "test" for name in TESTS[1:] if test in ("both", name)}
    held = (*_FIRST_ORDER, *_SECOND_ORDER) if second_order else _FIRST_ORDER
    keys: list[tuple[str, str | None, str | None]] = []
    for folder in parts:
        if (root / folder).is_dir():
            images, labels = (by_stem(root / folder / name) for name in ("image", "label"))
            for stem in sorted(images.keys() | labels.keys()):
                image, label = (
                    paths[stem].name if stem in paths else None for paths in (images, labels)
                )
                keys.append((f"{folder}/{stem}", image, label))
    if not keys:
        raise ValueError(
            f"{root} holds no photo in the layout egohos, expected <part>/image/<name>.jpg and "
            f"<part>/label/<name>.png of the parts {', '.join(parts)}"
        )
    return Candidates(keys, partial(_photo, root, group_of, parts, held))


def _photo(
    root: Path,
    group_of: Callable[[str], str] | None,
    parts: dict[str, str],
    held: tuple[int, ...],
    key: tuple[str, str | None, str | None],
) -> EgohosPhoto:
    name, image, label = key
    folder, stem = name.split("/")
    return EgohosPhoto(
        name,
        (_FRAME.sub("", stem) or stem) if group_of is None else group_of(name),
        "egohos",
        root / folder / "image" / (image or f"{stem}.jpg"),
        root / folder / "label" / (label or f"{stem}.png"),
        held,
        parts[folder],
    )
