"""Atomic writing of files and folders, and digests of their content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from handseg.errors import ImageError

UNFINISHED_FOLDER = ".exporting-"
"""Name prefix of folders that `write_folder_atomic` has not finished."""

_LONGEST_NAME = 255
"""Longest file name on common file systems, bytes."""

_UNFINISHED = re.compile(r"\.[0-9a-f]{32}(\..+)?")


@contextmanager
def write_atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file completely or not at all.

    Yields a path that does not exist yet, in the same folder and with the same suffix as `path`,
    for the body to write. The file is moved to `path` at the end, or deleted if the body raises.
    Missing folders are created.

    Raises:
        ImageError: if `path` is a folder or anything else that a file must not replace.
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


@contextmanager
def write_text_atomic(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    r"""Like `write_atomic`, but yield the open file, in UTF-8 and without translated line ends.

    File names may be bytes that are not UTF-8; such bytes are written as escapes, `\udcff` for FF.
    """
    with (
        write_atomic(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        yield file


@contextmanager
def write_folder_atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a folder completely or not at all.

    Yields an empty folder for the body to fill. It is moved to `path`, which must not exist, at the
    end, or deleted if the body raises. Missing parents are created.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=UNFINISHED_FOLDER) as temporary:
        folder = Path(temporary) / target.name
        folder.mkdir()
        yield folder
        folder.rename(target)


def find_unfinished(folder: Path) -> list[Path]:
    """Find unfinished files of `write_atomic` below `folder`, also those of killed processes."""
    return [path for path in folder.rglob(".*") if _UNFINISHED.fullmatch(path.name)]


def fit_name(name: str, suffix: str) -> str:
    """Return `name`, or a unique shorter one if with `suffix` it would be too long for a file."""
    room = _LONGEST_NAME - len(suffix)
    whole = os.fsencode(name)
    if len(whole) <= room:
        return name
    digest = f"~{zlib.crc32(whole):08x}"
    return whole[: room - len(digest)].decode(errors="ignore") + digest


def give_usual_rights(path: Path) -> None:
    """Give a file the permissions of a new one; safetensors lets only its owner read it."""
    plain = path.with_name(f".{uuid.uuid4().hex}")
    plain.touch()
    path.chmod(plain.stat().st_mode & 0o777)
    plain.unlink()


def move_all(source: Path, target: Path, names: Iterable[str]) -> None:
    """Move the files `names` from one folder to another on the same disk, in this order.

    They get the permissions of new files.
    """
    for name in names:
        give_usual_rights(source / name)
        (source / name).replace(target / name)


def content_digest(path: str | os.PathLike[str]) -> str | None:
    """SHA-256 of a file, or of the files in a folder with their names, in hexadecimal digits.

    None if there is no such path, as for a hub id.
    """
    path = Path(path)
    digest = hashlib.sha256()
    if path.is_file():
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    elif path.is_dir():
        files = sorted(one for one in path.iterdir() if one.is_file())
        digest.update(json.dumps([[one.name, content_digest(one)] for one in files]).encode())
    else:
        return None
    return digest.hexdigest()
