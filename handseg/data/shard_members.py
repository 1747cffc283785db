"""How WebDataset shards name what they hold of a photo: KEY.jpg, KEY.mask.png and so on."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

MASK = "mask.png"
OBJECT_MASK, INSTANCES = "object_mask.png", "instances.png"
"""Suffixes of the masks, as the folders of layout "folder" are named."""
RECORD = "json"

_SPAN = re.compile(r"(.+\.tar)::(\d+)\+(\d+)", re.DOTALL)


def member_key(name: str) -> str:
    """A photo's name as a key, which may have no dot: dots are written %2E, as in addresses."""
    return name.replace("%", "%25").replace(".", "%2E")


def split_member(name: str) -> tuple[str, str]:
    """Key and suffix, which begins after the first dot of the name, folders aside."""
    path = PurePosixPath(name)
    stem, _, suffix = path.name.partition(".")
    return path.with_name(stem).as_posix() if stem else "", suffix.lower()


def span_path(shard: Path, offset: int, size: int) -> str:
    """Names `size` bytes of a shard, without a copy of them; `read_span` reads them."""
    return f"{shard}::{offset}+{size}"


def read_span(path: str) -> bytes | None:
    """The bytes that `span_path` names; None where `path` names a whole file.

    Raises:
        OSError: if the shard cannot be read.
    """
    if (found := _SPAN.fullmatch(path)) is None:
        return None
    with Path(found[1]).open("rb") as shard:
        shard.seek(int(found[2]))
        return shard.read(int(found[3]))
