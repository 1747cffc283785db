"""Results that survive however a process ends: kept one by one, in a file for each writer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4


class Journal(Mapping[str, Any]):
    """What writers have recorded in a folder, by key; a mapping from keys to JSON values.

    Each writer appends a line for each record, `[key, value]`, or `[key, null, why]` of what
    failed, to a file of its own: nobody has to wait for a lock, and half a line, where a writer was
    killed, costs that record alone. Of records with one key the newest writer's last one counts.
    The values stay on disk until they are asked for. Any thread may record.

    Args:
        folder: of the files; made with the first record.

    Attributes:
        failed: why, by key, of what failed since the last `end` and has not been recorded since.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.failed: dict[str, str] = {}
        self._places: dict[str, tuple[Path, int]] = {}  # A value's file and the offset of its line.
        self._read: dict[Path, int] = {}  # How much of each file is known, bytes.
        self._own: Path | None = None
        self._mutex = threading.Lock()
        for file in self._files():
            # One that is gone was removed by whoever took its records elsewhere.
            with suppress(FileNotFoundError), file.open("rb") as lines:
                for line in lines:
                    self._take(file, line)

    def __getitem__(self, key: str) -> Any:
        path, offset = self._places[key]
        with path.open("rb") as file:
            file.seek(offset)
            return json.loads(file.readline())[1]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._places))

    def __len__(self) -> int:
        return len(self._places)

    def record(self, key: str, value: Any) -> None:
        """Keep `value`, fit for JSON; from now on it is there, whatever becomes of this process.

        Raises:
            OSError: if it cannot be written; what was recorded before stays.
        """
        self._append([key, value])

    def fail(self, key: str, why: str) -> None:
        """Keep that `key` could not be done, until it is recorded or the run has ended."""
        self._append([key, None, why])

    def end(self) -> None:
        """Let the next run try again what failed."""
        if self.failed:
            self._own = None  # A newer file than all of this run's.
            self._append([None, None])

    def remove(self) -> None:
        """Delete the files; one to which another writer has added since it was read stays."""
        for file, size in self._read.items():
            with suppress(FileNotFoundError):
                if file.stat().st_size == size:
                    file.unlink()
        with suppress(OSError):  # Others still write, or nobody ever did.
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.jsonl"))

    def _append(self, entry: list[Any]) -> None:
        line = (json.dumps(entry) + "\n").encode()
        with self._mutex:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._own is None:
                number = max((int(file.name[:6]) for file in self._files()), default=0) + 1
                self._own = self.folder / f"{number:06d}-{uuid4().hex[:8]}.jsonl"
            try:
                with self._own.open("ab") as file:
                    self._read[self._own] = file.tell()
                    file.write(line)
            except OSError:
                self._own = None  # Perhaps it ends in half a line now.
                raise
            self._take(self._own, line)

    def _take(self, file: Path, line: bytes) -> None:
        offset = self._read.get(file, 0)
        self._read[file] = offset + len(line)
        # Half a line is no JSON.
        with suppress(ValueError, TypeError):
            key, _, *why = json.loads(line)
            if key is None:
                self.failed.clear()
            elif why:
                self.failed[key] = why[0]
            else:
                self._places[key] = file, offset
                self.failed.pop(key, None)
