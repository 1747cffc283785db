"""The rows of the JSON file, kept one by one while a run goes on."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import FileLock

from handseg.runtime.files import write_atomic


class JsonJournal:
    """The rows of a JSON file by photo; those it held before stay unless they are replaced.

    A row goes to the end of a journal beside the file, FILE.journal, as soon as it is added, so
    that a process that is killed loses none. `merge` takes the journal into the file; so does the
    next start. Threads, processes and machines that see the same folder may add to one file at the
    same time: all that is written is written under a lock, FILE.lock, which `merge` takes away.
    Rows are held in memory for the time of a merge only.

    Raises:
        ValueError: if `file` exists and is not a list of such rows.
        OSError: if the journal of an earlier run cannot be merged.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._journal = file.with_name(f"{file.name}.journal")
        self._lock = FileLock(
            file.with_name(f"{file.name}.lock"), thread_local=False, poll_interval=0.005
        )
        self._mutex = threading.Lock()
        if self._journal.exists():
            self.merge()
        # The journal first: what another process takes from it into the file is then seen there.
        rows = chain(_journal_rows(self._journal), _file_rows(file))
        self._done = {photo for photo, _ in rows}

    def __contains__(self, photo: Path) -> bool:
        return _key(photo) in self._done

    def add(self, photo: Path, values: dict[str, Any]) -> None:
        """Append a row to the journal; from then on a run that goes on finds it."""
        line = json.dumps({"file": photo.as_posix(), **values}) + "\n"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(), self._journal.open("a+b") as journal:
            if journal.tell():
                journal.seek(-1, os.SEEK_END)
                if journal.read() != b"\n":  # Half a line, where a process was killed.
                    journal.write(b"\n")
            journal.write(line.encode())
        self._done.add(_key(photo))

    def merge(self) -> None:
        """Take the journal's rows into the file, which is replaced whole, and remove the journal.

        The rows are sorted by their photos' absolute paths, folder by folder.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if self._journal.exists() or not self.file.exists():
                rows = dict(chain(_file_rows(self.file), _journal_rows(self._journal)))
                with write_atomic(self.file) as temporary:
                    _write_rows(rows, temporary)
                self._journal.unlink(missing_ok=True)
            with suppress(PermissionError):  # Of Windows, where whoever has it open holds it.
                Path(self._lock.lock_file).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._mutex, self._lock:
            yield


def _key(photo: str | Path) -> str:
    return os.path.abspath(photo)  # noqa: PTH100


def _file_rows(file: Path) -> Iterator[tuple[str, str]]:
    """The key of each row's photo, and the row's JSON."""
    if not file.exists():
        return
    try:
        try:
            # As `_write_rows` writes it, a row a line, the file need not be held in memory.
            with file.open(encoding="utf-8") as lines:
                for line in lines:
                    if (text := line.strip().removesuffix(",")) not in ("[", "]", "[]"):
                        yield _key(json.loads(text)["file"]), text
        except (ValueError, TypeError, KeyError):
            for row in json.loads(file.read_text(encoding="utf-8")):
                yield _key(row["file"]), json.dumps(row)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"--json {file} exists and is not a list of photos that this command wrote"
        ) from error


def _journal_rows(file: Path) -> Iterator[tuple[str, str]]:
    """As `_file_rows`; half a line is left out, its photo is to be done again."""
    try:
        lines = file.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    with lines:
        for line in lines:
            with suppress(ValueError):
                yield _key(json.loads(line)["file"]), line.strip()


def _write_rows(rows: dict[str, str], file: Path) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.write("[" if rows else "[]")
        before = "\n"
        for photo in sorted(rows, key=lambda name: name.replace(os.sep, "\0")):
            out.write(before + rows[photo])
            before = ",\n"
        out.write("\n]\n" if rows else "\n")
