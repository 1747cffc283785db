"""Read WebDataset shards."""

from __future__ import annotations

import tarfile
from pathlib import Path


def members(shard: str | Path) -> dict[str, bytes]:
    """Return the members' contents by name; names must be unique."""
    found = {}
    with tarfile.open(shard) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            assert member.name not in found
            found[member.name] = file.read()
    return found
