"""Records of frames in shards: files that processes and machines share without talking.

A shard is a run of frames in input order. Whoever works on it holds a file lock, which the system
lets go of when the process ends in any way, and appends a line a frame to `NUMBER.partial`. Whole
shards become `NUMBER.jsonl`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from filelock import FileLock, Timeout

from handseg.runtime.files import write_atomic

Record: TypeAlias = dict[str, Any]
"""What is kept of a frame, see `handseg.annotate.records`. It has an `index`."""


class Shards:
    """The shards of `frames` frames, `size` each, in the files of `folder`."""

    def __init__(self, folder: Path, frames: int, size: int) -> None:
        self.folder = folder
        self._frames = frames
        self._size = size

    def __len__(self) -> int:
        return -(-self._frames // self._size)

    def frames(self, number: int) -> range:
        """The indices of the frames of a shard."""
        return range(number * self._size, min(self._frames, (number + 1) * self._size))

    def is_done(self, number: int) -> bool:
        return self._whole(number).exists()

    @property
    def all_done(self) -> bool:
        return all(self.is_done(number) for number in range(len(self)))

    @contextmanager
    def claim(self, number: int) -> Iterator[bool]:
        """Whether the shard is to be done and nobody else works on it until the block ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self._file(number, "lock")
        lock = FileLock(file)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            # It may have been done between a look at it and the lock.
            mine = not self.is_done(number)
            if mine:
                self._keep_good(number)
            yield mine
        finally:
            if self.is_done(number):
                # Whoever gets another lock by this name sees that there is nothing to do.
                file.unlink(missing_ok=True)
            lock.release()

    def begun(self, number: int) -> list[Record]:
        """The records that a shard which is not done has so far, without those that failed."""
        return [record for record in self._partial(number) if "error" not in record]

    def add(self, number: int, record: Record) -> None:
        """Append a record to a shard that is claimed; once it is there, its frame is done."""
        with self._file(number, "partial").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def finish(self, number: int) -> None:
        """Make a shard of which all records are there a whole one."""
        self._write(number, self._partial(number))
        self._file(number, "partial").replace(self._whole(number))

    def reopen_failed(self) -> None:
        """Take the records of frames that failed out of whole shards: they are tried again.

        For the start of a run: another one that ends at this moment would miss these shards.
        """
        for number in range(len(self)):
            if not self.is_done(number):
                continue
            records = list(self._read(number))
            good = [record for record in records if "error" not in record]
            if len(good) < len(records):
                self._write(number, good)
                self._whole(number).unlink()

    def missing(self) -> int:
        """How many frames have no record."""
        return sum(
            len(self.frames(number)) - len(self.begun(number))
            for number in range(len(self))
            if not self.is_done(number)
        )

    def records(self) -> Iterator[Record]:
        """The records of all shards, in input order."""
        for number in range(len(self)):
            yield from self._read(number)

    def _read(self, number: int) -> Iterator[Record]:
        with self._whole(number).open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    def _write(self, number: int, records: list[Record]) -> None:
        """Replace what a shard has so far by `records`, in order."""
        ordered = sorted(records, key=lambda record: record["index"])
        with write_atomic(self._file(number, "partial")) as temporary:
            text = "".join(json.dumps(record) + "\n" for record in ordered)
            temporary.write_text(text, encoding="utf-8")

    def _partial(self, number: int) -> list[Record]:
        """All whole lines; the last one may be cut off where a process died."""
        file = self._file(number, "partial")
        content = file.read_bytes() if file.exists() else b""
        return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]

    def _keep_good(self, number: int) -> None:
        """Take away half a line, and the records of frames that failed: they are tried again."""
        if self._file(number, "partial").exists():
            self._write(number, self.begun(number))

    def _whole(self, number: int) -> Path:
        return self._file(number, "jsonl")

    def _file(self, number: int, kind: str) -> Path:
        return self.folder / f"{number:06d}.{kind}"
