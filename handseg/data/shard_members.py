"""Names of a photo's members in WebDataset shards: KEY.jpg, KEY.mask.png and so on."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

MASK = "mask.png"
OBJECT_MASK, INSTANCES = "object_mask.png", "instances.png"
"""Suffixes of the masks, named like the folders of layout "folder"."""
RECORD = "json"

_SPAN = re.compile(r"(.+)::(\d+)\+(\d+)", re.DOTALL)


def member_key(name: str) -> str:
    """Turn a photo's name into a key without dots: they are written %2E, as in URLs."""
    return name.replace("%", "%25").replace(".", "%2E")


def split_member(name: str) -> tuple[str, str]:
    """Split a member's name into key and suffix at the first dot after its folders."""
    path = PurePosixPath(name)
    stem, _, suffix = path.name.partition(".")
    return path.with_name(stem).as_posix() if stem else "", suffix.lower()


def span_path(shard: Path, offset: int, size: int) -> str:
    """Return a path that refers to `size` bytes of a shard; `read_span` reads them."""
    return f"{shard}::{offset}+{size}"


def read_span(path: str) -> bytes | None:
    """Read the bytes that a path of `span_path` refers to; None if `path` is a whole file.

    Raises:
        OSError: if the shard cannot be read.
    """
    if (found := _SPAN.fullmatch(path)) is None:
        return None
    with Path(found[1]).open("rb") as shard:
        shard.seek(int(found[2]))
        return shard.read(int(found[3]))
