"""Hugging Face data sets with columns of photos and masks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from handseg.data.align_mask import read_mask
from handseg.data.image_mask import digest_of
from handseg.data.mask_file import MaskValue, parse_mask_value, read_mask_file
from handseg.data.schema import (
    FEATURES,
    MASKS,
    NAMES,
    Candidate,
    Labels,
    cell_bytes,
    png,
    undecoded,
)

logger = logging.getLogger(__name__)

_GUESSES = {
    "image": ("image", "photo", "pixel_values", "img"),
    "mask": ("mask", "label", "annotation", "segmentation_mask", "hand_mask", "segmentation"),
}


@dataclass(frozen=True, eq=False)
class HubPhoto(Candidate):
    """A row of a data set with the columns of `FEATURES`, its pictures undecoded."""

    id: str
    group: str
    source: str
    dataset: datasets.Dataset
    index: int
    split: str | None = None

    @property
    def photo(self) -> bytes:
        cell = self.dataset[self.index]["image"]
        if cell is None:
            raise ValueError(f"{self.id} has no photo")
        return cell_bytes(cell)

    @property
    def files(self) -> tuple[Path, ...]:
        """The pictures that are files of their own."""
        return tuple(
            Path(cell["path"]) for cell in self._cells() if cell["bytes"] is None and cell["path"]
        )

    def stamp(self) -> str:
        """See the base class; pictures in the row itself are hashed."""
        inside = [cell["bytes"] for cell in self._cells() if cell["bytes"] is not None]
        return digest_of(super().stamp().encode(), *inside)[:16]

    def _cells(self) -> list[dict[str, Any]]:
        row = self.dataset[self.index]
        return [row[name] for name in ("image", *MASKS) if row[name] is not None]

    def labels(self, image: np.ndarray) -> Labels:
        row = self.dataset[self.index]
        if row["mask"] is None:
            raise ValueError(f"{self.id} has no mask")
        mask, repairs = read_mask(cell_bytes(row["mask"]), "its mask", image.shape)
        others: dict[str, Any] = {}
        for name in MASKS[1:]:
            if row[name] is not None:
                words = f"its {name.replace('_', ' ')}"
                others[name], more = read_mask(cell_bytes(row[name]), words, image.shape)
                repairs += more
        return Labels(mask, repairs=repairs, **others)


def load_hub(
    source: str | Path,
    group_of: Callable[[str], str],
    *,
    cache_dir: str | Path | None = None,
    split: str | None = None,
    image_column: str | None = None,
    mask_column: str | None = None,
    object_mask_column: str | None = None,
    id_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    mask_value: Any = None,
) -> datasets.Dataset:
    """Load a data set with the columns of `FEATURES`; its pictures are not copied.

    Args:
        source: a data set's id on the Hugging Face Hub, a folder written by `save_to_disk`, or
            another that `datasets.load_dataset` reads, such as one of Parquet files.
        group_of: maps a row's id to its group if there is no `group_column`.
        cache_dir: where `datasets` caches the source; None uses its default.
        split: the split to load; required if there are several.
        image_column, mask_column: guessed by default.
        object_mask_column: masks of held objects.
        id_column: by default rows are numbered.
        group_column: persons, bursts and so on; a row with a null is its own group.
        split_column: "train", "val" or "test", if one loaded split holds several parts.
        mask_value: the hands' value (1) or colour ("0,255,0") in masks that hold several classes;
            without it, each must have one class, see `handseg.data.mask_file`.

    Raises:
        ValueError: if the data set cannot be opened or has no such split or columns, or ids are
            not unique.
    """
    value = parse_mask_value(mask_value)
    loaded = _open(source, split, cache_dir)
    image = _picture_column(loaded, "image", image_column, ())
    columns = {image: "image"}
    columns[_picture_column(loaded, "mask", mask_column, (image,))] = "mask"
    if object_mask_column is not None:
        held = _picture_column(loaded, "object_mask", object_mask_column, tuple(columns))
        columns[held] = "object_mask"
    ids = (
        [f"{index:06d}" for index in range(len(loaded))]
        if id_column is None
        else [str(value) for value in _column(loaded, "id_column", id_column)]
    )
    if len(set(ids)) < len(ids):
        raise ValueError(f"id_column {id_column!r} of {source} has the same value in several rows")
    if group_column is None:
        groups = [group_of(name) for name in ids]
    else:
        named = zip(_column(loaded, "group_column", group_column), ids, strict=True)
        groups = [name if group is None else str(group) for group, name in named]
    splits = [None] * len(ids) if split_column is None else _parts(loaded, split_column)
    loaded = loaded.select_columns(list(columns))
    for name, role in columns.items():
        kind = _kind(loaded, name)
        try:
            loaded = loaded.cast_column(name, datasets.Image())
        except Exception as error:  # Arrow's errors have no common base class, either.
            raise ValueError(f"column {name!r} ({kind}) holds no pictures for {role}") from error
    loaded = loaded.rename_columns(columns)
    added: dict[str, list[Any]] = {
        "id": ids,
        "group": groups,
        "source": [Path(source).name] * len(ids),
        "split": splits,
    }
    added |= {name: [None] * len(ids) for name in MASKS if name not in columns.values()}
    for name, values in added.items():
        loaded = loaded.add_column(name, values, feature=FEATURES[name])
    loaded = loaded.select_columns(list(FEATURES))
    if value is None:
        return loaded
    return undecoded(loaded).map(partial(_with_class, value=value)).cast(FEATURES)


def _with_class(row: dict[str, Any], value: MaskValue) -> dict[str, Any]:
    """Reduce a row's mask to one class; drop the mask if that fails."""
    if row["mask"] is None:
        return {"mask": None}
    try:
        return {"mask": png(read_mask_file(cell_bytes(row["mask"]), "its mask", value)[0])}
    except ValueError as error:
        logger.warning("left out: %s: %s", row["id"], error)
        return {"mask": None}


def list_hub(source: str | Path, group_of: Callable[[str], str], **options: Any) -> list[HubPhoto]:
    """List the rows of `load_hub` as candidates."""
    dataset = load_hub(source, group_of, **options)
    names = dataset.select_columns(list(NAMES))
    rows = undecoded(dataset)
    return [HubPhoto(**row, dataset=rows, index=index) for index, row in enumerate(names)]


def _open(source: str | Path, split: str | None, cache_dir: str | Path | None) -> datasets.Dataset:
    path = Path(source)
    try:
        if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
            loaded = datasets.load_from_disk(str(path))
        else:
            cache = None if cache_dir is None else str(cache_dir)
            loaded = datasets.load_dataset(str(source), cache_dir=cache)
    # The errors of `datasets` and the hub have no common base class.
    except Exception as error:
        raise ValueError(f"cannot open the data set {source}: {error}") from error
    if isinstance(loaded, datasets.Dataset):
        if split is not None:
            raise ValueError(f"{source} has no splits, got split {split!r}")
        return loaded
    if split is None and len(loaded) == 1:
        return next(iter(loaded.values()))
    if split not in loaded:
        raise ValueError(f"split must be one of {', '.join(loaded)} for {source}, got {split!r}")
    return loaded[split]


def _picture_column(
    dataset: datasets.Dataset, role: str, given: str | None, taken: tuple[str, ...]
) -> str:
    """Return the `given` column, or else guess the one for `role`, leaving out `taken`."""
    free = [name for name in dataset.column_names if name not in taken]
    if given is not None and given in free:
        return given
    pictures = [name for name in free if isinstance(dataset.features[name], datasets.Image)]
    guesses = [name for name in _GUESSES[role] if name in pictures] if given is None else []
    # The only remaining picture must be the mask; the only picture of all may be anything.
    if not guesses and given is None and len(pictures) == 1 and taken:
        guesses = pictures
    if not guesses:
        columns = ", ".join(f"{name} ({_kind(dataset, name)})" for name in dataset.column_names)
        raise ValueError(f"{role}_column: got {given!r}, the columns are {columns}")
    return guesses[0]


def _parts(dataset: datasets.Dataset, name: str) -> list[str | None]:
    """Return the official parts in a column of texts or classes; null is none."""
    values = _column(dataset, "split_column", name)
    feature = dataset.features[name]
    if isinstance(feature, datasets.ClassLabel):
        return [None if value is None else feature.int2str(value) for value in values]
    for value in values:
        if not isinstance(value, str | None):
            raise ValueError(f"split_column {name!r} must hold text, such as train, got {value!r}")
    return values


def _column(dataset: datasets.Dataset, option: str, name: str) -> list[Any]:
    if name not in dataset.column_names:
        raise ValueError(
            f"{option}: got {name!r}, the columns are {', '.join(dataset.column_names)}"
        )
    return list(dataset[name])


def _kind(dataset: datasets.Dataset, name: str) -> str:
    feature = dataset.features[name]
    return getattr(feature, "dtype", None) or type(feature).__name__
