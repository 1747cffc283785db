"""`handseg segment --json FILE`: a list with one entry per photo."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from handseg.runtime.files import write_atomic
from handseg.runtime.journal import Journal


class JsonFile:
    """The rows of a JSON file by photo; existing rows stay unless they are replaced.

    During a run, its rows are in a journal next to the file, FILE.journal. `merge` moves them into
    the file. Threads, processes and machines that see the same folder may add rows concurrently.

    Args:
        file: path of the file; need not exist.
        anew: ignore rows in the file, as they will be replaced.

    Raises:
        ValueError: if `file` exists and is not a list of such rows.
    """

    def __init__(self, file: Path, anew: bool = False) -> None:
        self.file = file
        # Read the journal first: rows that another process then merges are seen in the file.
        self._journal = Journal(file.with_name(f"{file.name}.journal"))
        held = {photo for photo, _ in _file_rows(file)}
        self._held = set() if anew else held

    def __contains__(self, photo: Path) -> bool:
        return _key(photo) in self._journal or _key(photo) in self._held

    def add(self, photo: Path, values: dict[str, Any]) -> None:
        """Record a row; from then on, a resumed run finds it."""
        self._journal.record(_key(photo), photo_row(photo, values))

    def fail(self, photo: Path, why: str) -> None:
        """Tell the other processes of this run that the photo gets no row."""
        self._journal.fail(_key(photo), why)

    def retry(self, photos: Iterable[Path]) -> None:
        """Tell the other processes of this run that these photos are tried again."""
        self._journal.retry(map(_key, photos))

    def has_all(self, photos: Iterable[Path], worked: bool) -> bool:
        """Whether each photo got a row or failed, by this process or others.

        Failures count only if this process has `worked`, as in `RunFolder.is_over`.
        """
        journal = Journal(self._journal.folder)
        over = self._held | journal.keys() | (journal.failed.keys() if worked else set())
        return all(_key(photo) in over for photo in photos)

    def merge(self) -> None:
        """Merge the journal into the file, which is replaced atomically.

        Rows are sorted by their photos' absolute paths, folder by folder. All are held in memory
        meanwhile.
        """
        journal = Journal(self._journal.folder)
        try:
            new = {photo: json.dumps(row) for photo, row in journal.items()}
        except FileNotFoundError:  # Another process has just merged it.
            return self.merge()
        if new or not self.file.exists():
            with write_atomic(self.file) as temporary:
                _write_rows({**dict(_file_rows(self.file)), **new}, temporary)
        return journal.remove()


def photo_row(photo: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Return a photo's entry in the file."""
    return {"file": photo.as_posix(), **values}


def _key(photo: str | Path) -> str:
    return os.path.abspath(photo)  # noqa: PTH100


def _file_rows(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the key of each row's photo, and the row's JSON."""
    if not file.exists():
        return
    try:
        try:
            # As `_write_rows` puts a row on each line, the file need not be held in memory.
            with file.open(encoding="utf-8") as lines:
                for line in lines:
                    if (text := line.strip().removesuffix(",")) not in ("[", "]", "[]"):
                        yield _key(json.loads(text)["file"]), text
        except (ValueError, TypeError, KeyError):
            for row in json.loads(file.read_text(encoding="utf-8")):
                yield _key(row["file"]), json.dumps(row)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"--json {file} exists and is not a list of photos written by this command"
        ) from error


def _write_rows(rows: dict[str, str], file: Path) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.write("[" if rows else "[]")
        before = "\n"
        for photo in sorted(rows, key=lambda name: name.replace(os.sep, "\0")):
            out.write(before + rows[photo])
            before = ",\n"
        out.write("\n]\n" if rows else "\n")
