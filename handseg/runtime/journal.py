"""Results that survive a crash: stored one by one, in one file per writer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4


class Journal(Mapping[str, Any]):
    """A mapping from keys to JSON values that writers have recorded in a folder.

    Each writer appends one line per record to its own file: `[key, value]`, or `[key, null, why]`
    for a failure; `why` is null once it is being retried. No writer waits for a lock, and if one is
    killed, its half-written line costs only that record. If a key has several records, the newest
    writer's last one counts. The values stay on disk until they are requested. Any thread may
    record.

    Args:
        folder: folder of the files; created with the first record.

    Attributes:
        failed: reasons by key, of failures since the last `end` without a record or `retry` since.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.failed: dict[str, str] = {}
        self._places: dict[str, tuple[Path, int]] = {}  # A value's file and the offset of its line.
        self._read: dict[Path, int] = {}  # Bytes read of each file.
        self._own: Path | None = None
        self._mutex = threading.Lock()
        for file in self._files():
            # A missing file was removed by the process that moved its records.
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
        """Store `value`, ready for JSON; it survives even if this process is killed.

        Raises:
            OSError: if it cannot be written; earlier records stay.
        """
        self._append([key, value])

    def fail(self, key: str, why: str) -> None:
        """Store the failure of `key`, until it is recorded or the run has ended."""
        self._append([key, None, why])

    def retry(self, keys: Iterable[str]) -> None:
        """Withdraw the failures of `keys`, so that no process takes them for new ones."""
        for key in keys:
            if key in self.failed:
                self._append([key, None, None])

    def end(self) -> None:
        """Let the next run retry failures."""
        if self.failed:
            self._own = None  # Start a file newer than all of this run's.
            self._append([None, None])

    def remove(self) -> None:
        """Delete the files, except those that another writer has added to since they were read."""
        for file, size in self._read.items():
            with suppress(FileNotFoundError):
                if file.stat().st_size == size:
                    file.unlink()
        with suppress(OSError):  # Others still write, or there is no folder.
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
                self._own = None  # It may end in half a line now.
                raise
            self._take(self._own, line)

    def _take(self, file: Path, line: bytes) -> None:
        offset = self._read.get(file, 0)
        self._read[file] = offset + len(line)
        # Half a line is not JSON.
        with suppress(ValueError, TypeError):
            key, _, *why = json.loads(line)
            if key is None:
                self.failed.clear()
            elif why and why[0] is not None:
                self.failed[key] = why[0]
            else:
                self.failed.pop(key, None)
                if not why:
                    self._places[key] = file, offset
