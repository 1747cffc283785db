"""WebDataset shards: tar files with KEY.jpg (or .png, ...) and KEY.mask.png of each photo.

KEY.object_mask.png, KEY.instances.png and KEY.json are optional, in the form that `handseg annotate
--shard-size` writes. `group` in KEY.json names photos that a split must keep together, `split` the
official part; a photo without a group is its own group. The shards are listed once, and their
photos are read in place on demand.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handseg.data.align_mask import read_instances, read_mask
from handseg.data.mask_file import MaskValue, parse_mask_value, read_mask_file
from handseg.data.schema import Candidate, Labels, png
from handseg.data.shard_members import (
    INSTANCES,
    MASK,
    OBJECT_MASK,
    RECORD,
    read_span,
    span_path,
    split_member,
)
from handseg.io.files import IMAGE_SUFFIXES

_TO_LEARN = (MASK, OBJECT_MASK, INSTANCES)


@dataclass(frozen=True, eq=False)
class ShardPhoto(Candidate):
    """A photo in a shard; `members` locates its masks by suffix, and its photo by ""."""

    id: str
    group: str
    source: str
    shard: Path
    members: Mapping[str, str]
    split: str | None = None
    mask_value: MaskValue | None = None

    @property
    def photo(self) -> bytes:
        return self._read("")

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.shard,)

    def labels(self, image: np.ndarray) -> Labels:
        mask, repairs = read_mask(self._read(MASK), self._name(MASK), image.shape, self.mask_value)
        held, numbers = None, None
        if OBJECT_MASK in self.members:
            name = self._name(OBJECT_MASK)
            held, more = read_mask(self._read(OBJECT_MASK), name, image.shape)
            repairs += more
        if INSTANCES in self.members:
            name = self._name(INSTANCES)
            numbers = read_instances(self._read(INSTANCES), name, image.shape)
        return Labels(mask, held, repairs, instances=numbers)

    def row(self) -> dict[str, Any]:
        """See the base class; the row has locations. Only masks with a `mask_value` are read."""
        cell: str | dict[str, Any] = self._member(MASK)
        if self.mask_value is not None:
            cell = png(read_mask_file(self._read(MASK), self._name(MASK), self.mask_value)[0])
        others = {
            name.removesuffix(".png"): self.members.get(name) for name in (OBJECT_MASK, INSTANCES)
        }
        return self._row(mask=cell, **others)

    def _image_cell(self) -> str:
        return self._member("")

    def _member(self, suffix: str) -> str:
        if suffix not in self.members:
            what = f"mask {self.id}.{MASK}" if suffix else f"photo {self.id}.jpg"
            raise ValueError(f"no {what} in {self.shard}")
        return self.members[suffix]

    def _read(self, suffix: str) -> bytes:
        content = read_span(self._member(suffix))
        assert content is not None
        return content

    def _name(self, suffix: str) -> str:
        return f"{self.id}.{suffix} in {self.shard}"


def list_webdataset(
    source: Path, group_of: Callable[[str], str] | None, *, mask_value: Any = None
) -> list[ShardPhoto]:
    """List the photos of a shard, or of all shards (*.tar) in a folder.

    Args:
        source: the file or folder.
        group_of: maps a photo's key to its group, instead of the records.
        mask_value: as in layout "folder".

    Raises:
        ValueError: if there is no shard, one cannot be read to its end, there is neither a photo
            nor a mask, a key has two photos or is in two shards, a record is not JSON, or
            `mask_value` is invalid.
    """
    value = parse_mask_value(mask_value)
    source = source.absolute()
    shards = [source]
    if source.is_dir():
        shards = sorted(path for path in source.glob("*.tar") if not path.name.startswith("."))
    if not shards or not shards[0].is_file():
        raise ValueError(f"{source} is no shard (*.tar) and no folder that holds one")
    found: dict[str, ShardPhoto] = {}
    for shard in shards:
        for key, members, record in _photos(shard):
            if key in found:
                raise ValueError(f"{found[key].shard} and {shard} both hold {key}")
            if group_of is not None:
                group = group_of(key)
            else:
                group = key if record.get("group") is None else str(record["group"])
            found[key] = ShardPhoto(
                key, group, source.stem, shard, members, record.get("split"), value
            )
    if not found:
        raise ValueError(f"{source} holds no photo KEY.jpg and no mask KEY.{MASK}")
    return list(found.values())


def _photos(shard: Path) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    """Yield key, members and record of each photo or mask."""
    photos: dict[str, dict[str, str]] = {}
    records: dict[str, dict[str, Any]] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                key, suffix = split_member(member.name)
                if not key or not member.isfile():
                    continue
                if suffix == RECORD:
                    records[key] = _record(tar, member, shard)
                if f".{suffix}" in IMAGE_SUFFIXES:
                    suffix = ""
                elif suffix not in _TO_LEARN:
                    continue
                if suffix in photos.setdefault(key, {}):
                    raise ValueError(f"{shard} holds two {suffix or 'photos'} of {key}")
                photos[key][suffix] = span_path(shard, member.offset_data, member.size)
        _check_end(shard)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{shard} is not a whole tar file: {error}") from error
    for key, members in photos.items():
        yield key, members, records.get(key, {})


def _record(tar: tarfile.TarFile, member: tarfile.TarInfo, shard: Path) -> dict[str, Any]:
    file = tar.extractfile(member)
    assert file is not None
    try:
        record = json.loads(file.read())
    except ValueError as error:
        raise ValueError(f"{member.name} in {shard} is not JSON: {error}") from error
    return record if isinstance(record, dict) else {}


def _check_end(shard: Path) -> None:
    """Raise ReadError if a shard was cut off between two members: zeros end a tar file."""
    with shard.open("rb") as file:
        file.seek(-tarfile.BLOCKSIZE, os.SEEK_END)
        if any(file.read()):
            raise tarfile.ReadError("it has no end")
