"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from handseg.errors import ImageError


@contextmanager
def write_atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file whole or not at all.

    Yields a path that does not exist yet, in the same folder and with the same suffix as `path`,
    which the body writes. It is moved to `path` at the end, or deleted if the body raises. Missing
    folders are made.

    Raises:
        ImageError: if `path` is a folder or another thing that a file must not replace.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        raise ImageError(f"cannot write to {target}: it exists and is not a file")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{uuid.uuid4().hex}{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def move_all(source: Path, target: Path, names: Iterable[str]) -> None:
    """Move files of these names from one folder to another on the same disk, in this order.

    They get the rights that a new file has: safetensors writes files which only their owner can
    read.
    """
    plain = source / f".{uuid.uuid4().hex}"
    plain.touch()
    rights = plain.stat().st_mode & 0o777
    plain.unlink()
    for name in names:
        (source / name).chmod(rights)
        (source / name).replace(target / name)
