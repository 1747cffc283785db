"""A COCO annotation file and its folder of photos."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pycocotools import mask as rle

from handseg.data.fitting import fit, resized
from handseg.data.schema import Candidate, Labels, cells

_HAND = re.compile(r"hands?(?![a-z])", re.IGNORECASE)  # "left_hand", but no "handbag".
_OBJECT = re.compile(r"objects?(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class CocoPhoto(Candidate):
    """A photo with the segmentations of its hands and of what they hold."""

    id: str
    group: str
    source: str
    image_path: Path
    annotation_path: Path
    shape: tuple[int, int]
    hands: tuple[Any, ...]
    objects: tuple[Any, ...]

    @property
    def photo(self) -> Path:
        return self.image_path

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.image_path, self.annotation_path)

    def labels(self, image: np.ndarray) -> Labels:
        labels = self._drawn()
        shape = image.shape[:2]
        if self.shape == shape:
            return labels
        held = None if labels.object_mask is None else fit(labels.object_mask, shape)
        return Labels(fit(labels.mask, shape), held, (resized(self.shape, shape),))

    def row(self) -> dict[str, Any]:
        """See the base class; the photo is not read."""
        if not self.image_path.is_file():
            raise ValueError(f"no such file: {self.image_path}")
        return self._row(**cells(self._drawn()))

    def _drawn(self) -> Labels:
        if not self.hands:
            raise ValueError(f"{self.annotation_path} has no hand in {self.id}")
        try:
            mask = _draw(self.hands, self.shape)
            held = _draw(self.objects, self.shape) if self.objects else None
        except Exception as error:  # pycocotools raises what comes, even bare Exceptions.
            raise ValueError(f"segmentation of {self.id} in {self.annotation_path}: {error}") from (
                error
            )
        return Labels(mask, held)


def list_coco(
    source: Path,
    group_of: Callable[[str], str],
    *,
    images: str | Path | None = None,
    categories: Sequence[str] | None = None,
    object_categories: Sequence[str] | None = None,
) -> list[CocoPhoto]:
    """Every photo that a COCO file lists.

    Args:
        source: the JSON file, or a folder that holds just one.
        group_of: from a photo's id, its file name without suffix, to its group.
        images: folder of the photos; by default `images` beside the file, or else its folder.
        categories: names of the categories that are hands; by default those with the word hand.
        object_categories: names of those that are held; by default those with the word object.

    Raises:
        ValueError: if the file is not as COCO describes, lists no photo or two of one name, or has
            no such category.
    """
    path = _annotation_file(source).absolute()
    content = _read(path)
    folder = Path(images).absolute() if images is not None else path.parent / "images"
    if images is None and not folder.is_dir():
        folder = path.parent
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    hands = _wanted(names, categories, _HAND, "categories")
    objects = _wanted(names, object_categories, _OBJECT, "object_categories")
    if not hands:
        raise ValueError(
            f"no category of {path} has the word hand in its name, got "
            f"{', '.join(map(str, names.values()))}: name them with categories"
        )
    by_image: dict[Any, tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
    for entry in content["annotations"]:
        for index, wanted in enumerate((hands, objects)):
            if entry["category_id"] in wanted and entry.get("segmentation"):
                by_image[entry["image_id"]][index].append(entry["segmentation"])
    photos: dict[str, CocoPhoto] = {}
    for entry in content["images"]:
        file = entry["file_name"]
        name = PurePosixPath(file).with_suffix("").as_posix()
        if name in photos:
            raise ValueError(f"{path} lists two photos named {name}")
        drawn = (tuple(parts) for parts in by_image.get(entry["id"], ((), ())))
        shape = (int(entry["height"]), int(entry["width"]))
        photos[name] = CocoPhoto(
            name, group_of(name), path.stem, folder / file, path, shape, *drawn
        )
    if not photos:
        raise ValueError(f"{path} lists no image")
    return list(photos.values())


def _annotation_file(source: Path) -> Path:
    if not source.is_dir():
        return source
    files = sorted(source.glob("*.json"))
    if len(files) != 1:
        raise ValueError(f"expected one COCO file (*.json) in {source}, found {len(files)}")
    return files[0]


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    needed = {
        "images": {"id", "file_name", "height", "width"},
        "annotations": {"image_id", "category_id"},
        "categories": {"id", "name"},
    }
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {path} as a COCO file: {error}") from error
    for key, fields in needed.items():
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise ValueError(f"{path} is no COCO file: expected a list under {key!r}")
        for entry in entries:
            if not isinstance(entry, dict) or not fields <= entry.keys():
                raise ValueError(
                    f"{path} is no COCO file: {key!r} must have {', '.join(sorted(fields))}, "
                    f"got {str(entry)[:80]}"
                )
    return content


def _wanted(
    names: Mapping[Any, str], given: Sequence[str] | None, word: re.Pattern[str], option: str
) -> set[Any]:
    """The ids of the categories that are `given` by name, or else have the `word` in theirs."""
    if given is None:
        return {key for key, name in names.items() if word.search(name)}
    unknown = set(given) - set(names.values())
    if unknown:
        raise ValueError(
            f"{option}: no such category: {', '.join(sorted(unknown))}, there are "
            f"{', '.join(names.values())}"
        )
    return {key for key, name in names.items() if name in given}


def _draw(segmentations: Sequence[Any], shape: tuple[int, int]) -> np.ndarray:
    """The union of polygons, run lengths and compressed run lengths, (H, W) bool of `shape`."""
    height, width = shape
    parts: list[Any] = []
    for segmentation in segmentations:
        if isinstance(segmentation, list):
            parts += rle.frPyObjects(segmentation, height, width)
            continue
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(f"run lengths are of {segmentation['size']}, its image of {shape}")
        if isinstance(segmentation["counts"], list):
            if sum(segmentation["counts"]) != height * width:
                raise ValueError("run lengths do not add up to the image")
            segmentation = rle.frPyObjects(segmentation, height, width)
        parts.append(segmentation)
    return rle.decode(rle.merge(parts)).astype(bool)
