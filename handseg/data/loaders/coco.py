"""A COCO annotation file and its folder of photos."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pycocotools import mask as rle

from handseg.data.align_mask import fit, fit_numbers, resized
from handseg.data.loaders.photo_file import PhotoFile, upright_shape
from handseg.data.schema import Labels, cells
from handseg.io.decode import MAX_PIXELS

logger = logging.getLogger(__name__)

_HAND = re.compile(r"hands?(?![a-z])", re.IGNORECASE)  # "left_hand", but not "handbag".
_OBJECT = re.compile(r"objects?(?![a-z])", re.IGNORECASE)
_UPLOAD = re.compile(r"[0-9a-f]{6,}[-_]")  # What Label Studio puts before a file's name.


@dataclass(frozen=True, eq=False)
class CocoPhoto(PhotoFile):
    """A photo with the segmentations of its hands and of the objects they hold.

    `shape` (H, W) is None if the file does not give it; the photo's own shape is used then.
    """

    annotation_path: Path
    shape: tuple[int, int] | None
    hands: tuple[Any, ...]
    objects: tuple[Any, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.image_path, self.annotation_path)

    def labels(self, image: np.ndarray) -> Labels:
        shape = image.shape[:2]
        labels = self.drawn(self.shape or shape)
        if labels.mask.shape == shape:
            return labels
        held = None if labels.object_mask is None else fit(labels.object_mask, shape)
        numbers = None if labels.instances is None else fit_numbers(labels.instances, shape)
        repairs = (*labels.repairs, resized(labels.mask.shape, shape))
        return Labels(fit(labels.mask, shape), held, repairs, instances=numbers)

    def row(self) -> dict[str, Any]:
        """See the base class; reads at most the header of the photo."""
        if not self.image_path.is_file():
            raise ValueError(f"no such file: {self.image_path}")
        labels = self.drawn(self.shape or upright_shape(self.image_path))
        for repair in labels.repairs:
            logger.warning("%s: %s", self.id, repair)
        return self._row(**cells(labels))

    def drawn(self, shape: tuple[int, int]) -> Labels:
        if not self.hands:
            raise ValueError(f"{self.annotation_path} has no hand in {self.id}")
        try:
            hands, objects = _areas(self.hands), _areas(self.objects)
            if not hands:
                raise ValueError("no polygon has three points")
            mask = _draw(hands, shape)
            held = _draw(objects, shape) if objects else None
        except Exception as error:  # pycocotools raises all kinds of errors, even bare Exceptions.
            raise ValueError(f"segmentation of {self.id} in {self.annotation_path}: {error}") from (
                error
            )
        lost = len(self.hands) - len(hands) + len(self.objects) - len(objects)
        repairs = (f"{lost} annotations without an area left out",) * (lost > 0)
        numbers = None
        if 1 < len(hands) < 256:
            numbers = np.zeros(shape, np.uint8)
            for number, hand in enumerate(hands, 1):
                numbers[_draw([hand], shape)] = number
        return Labels(mask, held, repairs, instances=numbers)


def list_coco(
    source: Path,
    group_of: Callable[[str], str],
    *,
    images: str | Path | None = None,
    categories: Sequence[str] | None = None,
    object_categories: Sequence[str] | None = None,
) -> list[CocoPhoto]:
    """List the photos of a COCO file.

    Args:
        source: the JSON file, or a folder that holds exactly one.
        group_of: maps a photo's id, its file name without suffix, to its group.
        images: folder of the photos; by default `images` beside the file, or else the file's
            folder. A photo that is not at the path in the file, for example because it was labelled
            on another computer, is searched by name, ignoring the prefix that Label Studio adds.
        categories: names of the hand categories; by default those with the word hand.
        object_categories: names of the held categories; by default those with the word object.

    Raises:
        ValueError: if the file is not valid COCO, lists no photo or two with the same name or id,
            or has no such category.
    """
    path = _annotation_file(source).absolute()
    content = _read(path)
    folder = Path(images).absolute() if images is not None else path.parent / "images"
    if images is None and not folder.is_dir():
        folder = path.parent
    names = {_key(entry["id"]): str(entry["name"]) for entry in content["categories"]}
    hands = _wanted(names, categories, _HAND, "categories")
    objects = _wanted(names, object_categories, _OBJECT, "object_categories")
    if not hands:
        raise ValueError(
            f"no category of {path} has the word hand in its name, got "
            f"{', '.join(names.values())}: name them with categories"
        )
    by_image: dict[str, tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
    bare = 0
    for entry in content["annotations"]:
        for index, wanted in enumerate((hands, objects)):
            if _key(entry["category_id"]) not in wanted:
                continue
            if entry.get("segmentation"):
                by_image[_key(entry["image_id"])][index].append(entry["segmentation"])
            else:
                bare += 1
    if bare:
        logger.warning("%s: %d annotations have no segmentation and are left out", path, bare)
    files = [str(entry["file_name"]).replace("\\", "/") for entry in content["images"]]
    for key, count in Counter(_key(entry["id"]) for entry in content["images"]).items():
        if count > 1:
            raise ValueError(f"{path} lists two images with the id {key}")
    photos: dict[str, CocoPhoto] = {}
    for entry, file, place in zip(content["images"], files, _places(files, folder), strict=True):
        if PurePosixPath(file).name in ("", ".."):
            raise ValueError(f"{path} lists an image without a name: {str(entry)[:80]}")
        name = PurePosixPath(file).with_suffix("").as_posix()
        if name in photos:
            raise ValueError(f"{path} lists two photos named {name}")
        drawn = (tuple(parts) for parts in by_image.get(_key(entry["id"]), ((), ())))
        photos[name] = CocoPhoto(
            name, group_of(name), path.stem, place, path, _shape(entry), *drawn
        )
    if not photos:
        raise ValueError(f"{path} lists no image")
    return list(photos.values())


def _key(value: Any) -> str:
    """Return an id as text: tools write 1, 1.0 and "1" for the same id."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _shape(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return (H, W), or None if it is missing or impossible: some tools do not know it."""
    try:
        height, width = int(entry["height"]), int(entry["width"])
    except (TypeError, ValueError, OverflowError):
        return None
    possible = height > 0 and width > 0 and height * width <= MAX_PIXELS
    return (height, width) if possible else None


def _places(files: Sequence[str], folder: Path) -> list[Path]:
    """Locate the photos; those not found, or found ambiguously, keep the path in the file."""
    places = [
        next((place for place in _candidates(file, folder) if place.is_file()), folder / file)
        for file in files
    ]
    counts = Counter(places)
    return [
        place if counts[place] == 1 else folder / file
        for file, place in zip(files, places, strict=True)
    ]


def _candidates(file: str, folder: Path) -> Iterator[Path]:
    """Yield `file` in `folder`, then without its leading folders, then without upload prefix."""
    yield folder / file
    parts = PurePosixPath(file).parts
    for index in range(1, len(parts)):
        yield folder.joinpath(*parts[index:])
    if found := _UPLOAD.match(parts[-1] if parts else ""):
        yield folder / parts[-1][found.end() :]


def _annotation_file(source: Path) -> Path:
    if not source.is_dir():
        return source
    files = sorted(path for path in source.glob("*.json") if not path.name.startswith("."))
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
        content = json.loads(path.read_text(encoding="utf-8-sig"))
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
    names: Mapping[str, str], given: Sequence[str] | None, word: re.Pattern[str], option: str
) -> set[str]:
    """Return the ids of the categories `given` by name, or else of those whose name has `word`."""
    if given is None:
        return {key for key, name in names.items() if word.search(name)}
    unknown = set(given) - set(names.values())
    if unknown:
        raise ValueError(
            f"{option}: no such category: {', '.join(sorted(unknown))}, there are "
            f"{', '.join(names.values())}"
        )
    return {key for key, name in names.items() if name in given}


def _areas(segmentations: Sequence[Any]) -> list[Any]:
    """Keep `segmentations` with an area, and of polygons the parts with three points or more."""
    kept = []
    for segmentation in segmentations:
        if isinstance(segmentation, list):
            flat = all(isinstance(value, int | float) for value in segmentation)
            polygons = [segmentation] if flat else segmentation
            segmentation = [
                part
                for part in polygons
                if isinstance(part, list) and len(part) >= 6 and len(part) % 2 == 0
            ]
        if segmentation:
            kept.append(segmentation)
    return kept


def _draw(segmentations: Sequence[Any], shape: tuple[int, int]) -> np.ndarray:
    """Draw the union of polygons and (compressed) run lengths, (H, W) bool of `shape`."""
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
