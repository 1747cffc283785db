"""The common form of all training data, whatever layout it comes from."""

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
"""The photo; the mask of all its hands, 255 on them; the mask of held objects, or null; the number
of the hand at each pixel, from 1, or null; a name that is unique in the data set; the group that a
split must keep together (a person, a burst); the data set; "train", "val" or "test" in the
publisher's split, or null."""

MASKS = ("mask", "object_mask", "instances")
"""The columns with pixel labels."""

NAMES = ("id", "group", "source", "split")
"""The text columns."""


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels that a data set has for a photo.

    Attributes:
        mask: (H, W) bool, all hands.
        object_mask: (H, W) bool, held objects, or None if they are not labelled.
        repairs: descriptions of what was repaired in the labels.
        measured: figures by name that show whether the labels belong to the photo.
        instances: (H, W) uint8, hand numbers from 1, or None if hands are not told apart.
    """

    mask: np.ndarray
    object_mask: np.ndarray | None = None
    repairs: tuple[str, ...] = ()
    measured: Mapping[str, float] = field(default_factory=dict)
    instances: np.ndarray | None = None


class Candidate(ABC):
    """A photo that a data set lists, not yet checked."""

    id: str
    group: str
    source: str
    split: str | None = None

    @property
    @abstractmethod
    def photo(self) -> Path | bytes:
        """The file or its contents."""

    @property
    @abstractmethod
    def files(self) -> tuple[Path, ...]:
        """All files that the row is built from; some may be missing."""

    def stamp(self) -> str:
        """Hash the candidate and its files' sizes and times, to detect changes."""
        states = [(str(path), *_state(path)) for path in self.files]
        parts = (self.id, self.group, self.source, states)
        text = repr(parts if self.split is None else (*parts, self.split))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @abstractmethod
    def labels(self, image: np.ndarray) -> Labels:
        """Return the labels of `image` (H, W, 3) uint8, which is the upright photo.

        Raises:
            ValueError: if there are none, or none that fit.
        """

    def row(self) -> dict[str, Any]:
        """Return the candidate as a row of `FEATURES`.

        Raises:
            ValueError: as `labels`, and if the photo cannot be read.
        """
        return self._row(**cells(self.labels(load_image(self.photo))))

    def _row(self, **masks: Any) -> dict[str, Any]:
        """Build the row with these mask cells, by column; missing ones are null."""
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
    """Return the masks of `labels` as cells of `FEATURES`, by column."""
    found: dict[str, Any] = {"mask": png(labels.mask)}
    if labels.object_mask is not None:
        found["object_mask"] = png(labels.object_mask)
    if labels.instances is not None:
        found["instances"] = png(labels.instances)
    return found


def png(mask: np.ndarray) -> dict[str, Any]:
    """Encode `mask` (H, W), bool (1 bit per pixel) or uint8, as a PNG cell of `FEATURES`."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


@dataclass(frozen=True, eq=False)
class PhotoRow:
    """A row of `FEATURES`; its pictures are read on every access.

    Attributes:
        id: a name that is unique in its data set.
        group: the group that a split must keep together.
        source: the data set.
        split: "train", "val" or "test" in the publisher's split, or None.
        dataset: the data set with the row, its pictures undecoded.
        index: of the row.
    """

    id: str
    group: str
    source: str
    split: str | None
    dataset: datasets.Dataset
    index: int

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """Read the photo, (H, W, 3) uint8 RGB, upright, and the mask of all hands, (H, W) bool.

        Raises:
            ValueError: if either cannot be read, or the mask is not a mask or has another size.
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
        """Read only the mask of all hands, (H, W) bool.

        Raises:
            ValueError: if it cannot be read or is not a mask.
        """
        return self._read_mask(self.dataset[self.index], "mask")

    def load_object_mask(self) -> np.ndarray | None:
        """Read the mask of held objects, (H, W) bool, or None if they are not labelled.

        Raises:
            ValueError: if it cannot be read or is not a mask.
        """
        row = self.dataset[self.index]
        return None if row["object_mask"] is None else self._read_mask(row, "object_mask")

    def load_instances(self) -> np.ndarray | None:
        """Read the hand number of each pixel, (H, W) uint8 from 1, or None if not labelled.

        Raises:
            ValueError: if it cannot be read.
        """
        cell = self.dataset[self.index]["instances"]
        return None if cell is None else read_numbers(_source(cell), f"the instances of {self.id}")

    def digest(self) -> str:
        """Return the SHA-256 of the contents of photo, mask and instances, in hexadecimal.

        Raises:
            OSError: if a file is gone.
        """
        row = self.dataset[self.index]
        names = [name for name in ("image", "mask", "instances") if row[name] is not None]
        return digest_of(*(cell_bytes(row[name]) for name in names))

    def _read_photo(self, cell: dict[str, Any]) -> np.ndarray:
        source = _source(cell)
        if isinstance(source, Path):
            return load_image(source)  # Its errors contain the file's name.
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
    """Return the contents of the file that an undecoded picture's cell names or contains."""
    source = _source(cell)
    return source.read_bytes() if isinstance(source, Path) else source


def undecoded(dataset: datasets.Dataset) -> datasets.Dataset:
    """Return `dataset` with its pictures as stored, `{"bytes": ..., "path": ...}`."""
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
