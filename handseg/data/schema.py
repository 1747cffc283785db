"""The one form that all training data comes in, whatever folder or file it is from."""

from __future__ import annotations

import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import datasets
import numpy as np
from PIL import Image

from handseg.data.image_mask import digest_of
from handseg.data.mask_file import read_mask_file, read_numbers
from handseg.data.shard_members import read_span
from handseg.io.images import load_image

FEATURES = datasets.Features(
    {
        "image": datasets.Image(),
        "mask": datasets.Image(),
        "object_mask": datasets.Image(),
        "instances": datasets.Image(),
        "id": datasets.Value("string"),
        "group": datasets.Value("string"),
        "source": datasets.Value("string"),
        "split": datasets.Value("string"),
    }
)
"""A photo; the mask of all hands in it, 255 on them; that of what they hold, or null; which of its
hands each pixel is of, 1 on the first, 2 on the second and so on, or null; a name that no other
photo of the data set has; what must not be torn apart by a split (a person, a burst); the data set;
"train", "val" or "test" as the data set's publisher has it, or null."""

MASKS = ("mask", "object_mask", "instances")
"""The columns with labels of pixels."""

NAMES = ("id", "group", "source", "split")
"""The columns with text."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What a data set says of a photo.

    Attributes:
        mask: (H, W) bool, all hands.
        object_mask: (H, W) bool, what they hold, or None where that is not labelled.
        repairs: what had to be mended to get there, in words.
        measured: figures that tell whether the labels belong to the photo, by name.
        instances: (H, W) uint8, the number of the hand from 1, or None where hands are not told
            apart.
    """

    mask: np.ndarray
    object_mask: np.ndarray | None = None
    repairs: tuple[str, ...] = ()
    measured: Mapping[str, float] = field(default_factory=dict)
    instances: np.ndarray | None = None


class Candidate(ABC):
    """A photo that a data set lists, before anybody has looked at it."""

    id: str
    group: str
    source: str
    split: str | None = None

    @property
    @abstractmethod
    def photo(self) -> Path | bytes:
        """The file, or what it holds."""

    @property
    @abstractmethod
    def files(self) -> tuple[Path, ...]:
        """All files that the row is made of; some may be missing."""

    def stamp(self) -> str:
        """Tells whether the candidate or one of its files has changed: their sizes and times."""
        states = [(str(path), *_state(path)) for path in self.files]
        parts = (self.id, self.group, self.source, states)
        text = repr(parts if self.split is None else (*parts, self.split))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @abstractmethod
    def labels(self, image: np.ndarray) -> Labels:
        """The labels of `image` (H, W, 3) uint8, which is the upright photo.

        Raises:
            ValueError: if there are none, or none that fit.
        """

    def row(self) -> dict[str, Any]:
        """The candidate in the form of `FEATURES`.

        Raises:
            ValueError: as `labels`, and if the photo cannot be read.
        """
        return self._row(**cells(self.labels(load_image(self.photo))))

    def _row(self, **masks: Any) -> dict[str, Any]:
        """The row with these cells of masks, by column; those that are not given are null."""
        return {
            "image": self._image_cell(),
            **{name: masks.get(name) for name in MASKS},
            "id": self.id,
            "group": self.group,
            "source": self.source,
            "split": self.split,
        }

    def _image_cell(self) -> dict[str, Any] | str:
        photo = self.photo
        return {"bytes": photo, "path": None} if isinstance(photo, bytes) else str(photo)


def _state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def cells(labels: Labels) -> dict[str, Any]:
    """The masks of `labels` as cells of `FEATURES`, by column."""
    found: dict[str, Any] = {"mask": png(labels.mask)}
    if labels.object_mask is not None:
        found["object_mask"] = png(labels.object_mask)
    if labels.instances is not None:
        found["instances"] = png(labels.instances)
    return found


def png(mask: np.ndarray) -> dict[str, Any]:
    """`mask` (H, W), bool as a PNG of one bit a pixel or uint8, as a cell of `FEATURES`."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


@dataclass(frozen=True, eq=False)
class PhotoRow:
    """A row of `FEATURES`; its pictures are read when they are asked for, every time.

    Attributes:
        id: a name that is unique in its data set.
        group: what must not be torn apart by a split.
        source: the data set.
        split: "train", "val" or "test" as the publisher has it, or None.
        dataset: which the row is in, with the pictures' cells as they are stored.
        index: of the row.
    """

    id: str
    group: str
    source: str
    split: str | None
    dataset: datasets.Dataset
    index: int

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """The photo, (H, W, 3) uint8 RGB, upright, and the mask of all hands, (H, W) bool.

        Raises:
            ValueError: if one of them cannot be read, or the mask is not one or of another size.
        """
        row = self.dataset[self.index]
        image = self._read_photo(row["image"])
        mask = self._read_mask(row, "mask")
        if mask.shape != image.shape[:2]:
            raise ValueError(
                f"the mask of {self.id} is {mask.shape}, its photo {image.shape[:2]} (H, W)"
            )
        return image, mask

    def load_mask(self) -> np.ndarray:
        """The mask of all hands, (H, W) bool, without the photo.

        Raises:
            ValueError: if it cannot be read or is not a mask.
        """
        return self._read_mask(self.dataset[self.index], "mask")

    def load_object_mask(self) -> np.ndarray | None:
        """What the hands hold, (H, W) bool, or None where that is not labelled.

        Raises:
            ValueError: if it cannot be read or is not a mask.
        """
        row = self.dataset[self.index]
        return None if row["object_mask"] is None else self._read_mask(row, "object_mask")

    def load_instances(self) -> np.ndarray | None:
        """Which hand each pixel is of, (H, W) uint8 from 1, or None where that is not labelled.

        Raises:
            ValueError: if it cannot be read.
        """
        cell = self.dataset[self.index]["instances"]
        return None if cell is None else read_numbers(_source(cell), f"the instances of {self.id}")

    def digest(self) -> str:
        """SHA-256 of what the files of photo, mask and instances hold, in hexadecimal digits.

        Raises:
            OSError: if a file is gone.
        """
        row = self.dataset[self.index]
        names = [name for name in ("image", "mask", "instances") if row[name] is not None]
        return digest_of(*(cell_bytes(row[name]) for name in names))

    def _read_photo(self, cell: dict[str, Any]) -> np.ndarray:
        source = _source(cell)
        if isinstance(source, Path):
            return load_image(source)  # The file's name is in its errors.
        try:
            return load_image(source)
        except ValueError as error:
            raise ValueError(f"the image of {self.id}: {error}") from error

    def _read_mask(self, row: dict[str, Any], name: str) -> np.ndarray:
        return read_mask_file(_source(row[name]), f"the {name} of {self.id}")[0]


def _source(cell: Mapping[str, Any]) -> Path | bytes:
    if cell["bytes"] is not None:
        return cell["bytes"]
    inside = read_span(cell["path"])
    return Path(cell["path"]) if inside is None else inside


def cell_bytes(cell: Mapping[str, Any]) -> bytes:
    """What the file holds that a cell of an undecoded picture names or contains."""
    source = _source(cell)
    return source.read_bytes() if isinstance(source, Path) else source


def undecoded(dataset: datasets.Dataset) -> datasets.Dataset:
    """`dataset` with its pictures as they are stored, `{"bytes": ..., "path": ...}`."""
    for name, feature in dataset.features.items():
        if isinstance(feature, datasets.Image):
            dataset = dataset.cast_column(name, datasets.Image(decode=False))
    return dataset


class LabelledPhotos(Sequence[PhotoRow]):
    """The rows of a data set as objects that load their photo and mask.

    Args:
        dataset: with the columns of `FEATURES`.

    Raises:
        ValueError: if it has other columns.
    """

    def __init__(self, dataset: datasets.Dataset) -> None:
        if set(dataset.column_names) != set(FEATURES):
            raise ValueError(
                f"dataset must have the columns {', '.join(FEATURES)}, "
                f"got {', '.join(dataset.column_names)}"
            )
        self._rows = undecoded(dataset)
        self._names = dataset.select_columns(list(NAMES))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> PhotoRow: ...
    @overload
    def __getitem__(self, index: slice) -> LabelledPhotos: ...
    def __getitem__(self, index: int | slice) -> PhotoRow | LabelledPhotos:
        if isinstance(index, slice):
            return LabelledPhotos(self._rows.select(range(*index.indices(len(self)))))
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} photos, got index {index}")
        return PhotoRow(**self._names[index], dataset=self._rows, index=index)
