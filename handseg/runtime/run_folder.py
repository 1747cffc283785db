"""The folder of a long run: whose it is, what has been done, what is left to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from handseg.errors import RunMismatch
from handseg.runtime.files import find_unfinished, write_atomic
from handseg.runtime.journal import Journal

T = TypeVar("T")

RUN, CACHE = "run", "cache"
SETTINGS_FILE = "settings.json"
_ENDING = "ending"  # Made by the process that writes what is made of all results.

_SHOWN = 40  # Characters of a setting's value in a message.


class RunFolder:
    """A folder that takes the results of one run, however often it is interrupted.

    In the folder `run` in it are `settings.json`, which says what run that is, and a journal. A run
    that has no results yet leaves the folder to any other: `cache` and its preparations are none.

    Args:
        path: new, empty, or of a run with the same identity.
        identity: all that decides the results, by name, fit for JSON.
        preparations: files and folders that the run writes before it has results; they are removed
            where another run takes the folder. `cache` is not: what is in it can be used again.

    Raises:
        RunMismatch: if the folder holds other files, or a run whose identity differs.
    """

    def __init__(
        self, path: str | Path, identity: Mapping[str, Any], preparations: Sequence[str] = ()
    ) -> None:
        self.path = Path(path)
        self.identity = json.loads(json.dumps(identity))
        self._preparations = preparations
        self._ended_before = self._ending()
        self._check()
        # To be removed later: now, other processes of this run may be writing some of them.
        self._unfinished = find_unfinished(self.path)

    @cached_property
    def journal(self) -> Journal:
        """What has been recorded."""
        return Journal(self.path / RUN)

    def claim(self) -> None:
        """Write down whose the folder is; to be called before anything is written into it."""
        stored = self._stored()
        if stored is not None and stored != self.identity:
            for path in (self.path / name for name in self._preparations):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if stored != self.identity:
            with write_atomic(self.path / RUN / SETTINGS_FILE) as temporary:
                temporary.write_text(json.dumps(self.identity, indent=1) + "\n", encoding="utf-8")

    def left(self, items: Iterable[T], key: Callable[[T], str]) -> list[T]:
        """Those of `items` that have no record by their `key`; what failed before is among them."""
        return [item for item in items if key(item) not in self.journal]

    def is_over(self, items: Iterable[T], key: Callable[[T], str]) -> bool:
        """Whether all of `items` are recorded or failed, by whichever process; reads anew."""
        self.journal = Journal(self.path / RUN)
        over = self.journal.keys() | self.journal.failed.keys()
        return all(key(item) in over for item in items)

    def take_end(self) -> bool:
        """Whether it is this process that ends the run; True for one of those that find it over.

        One that did so before this process opened the folder does not count: it was killed
        meanwhile, or this is another run of the same command.
        """
        ending = self.path / RUN / _ENDING
        if self._ended_before is not None and self._ending() == self._ended_before:
            ending.unlink(missing_ok=True)
        try:
            ending.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _ending(self) -> tuple[int, int] | None:
        """Which file says that a process has ended the run; None if there is none."""
        with suppress(OSError):
            state = (self.path / RUN / _ENDING).stat()
            return state.st_ino, state.st_mtime_ns
        return None

    def end(self) -> None:
        """Let the next run try again what failed, and remove half-written files of killed ones."""
        self.journal.end()
        for path in self._unfinished:
            path.unlink(missing_ok=True)

    def _check(self) -> None:
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise RunMismatch(f"{self.path} is not a folder")
        if (result := next(self._results(), None)) is None:
            return
        if (stored := self._stored()) is None:
            raise RunMismatch(
                f"{self.path} holds other files, as {result.name}: choose a new or empty folder"
            )
        before, now = _flat(stored), _flat(self.identity)
        if differing := [
            _difference(key, before.get(key), now.get(key))
            for key in sorted(before.keys() | now.keys())
            if before.get(key) != now.get(key)
        ]:
            raise RunMismatch(
                f"{self.path} holds a run with other settings: {'; '.join(differing)}. Resume it "
                "as it was started, or choose another folder"
            )

    def _results(self) -> Iterator[Path]:
        yield from self.path.glob(f"{RUN}/*.jsonl")
        for entry in self.path.iterdir():
            if entry.name not in (RUN, CACHE, *self._preparations):
                yield from filter(Path.is_file, [entry] if entry.is_file() else entry.rglob("*"))

    def _stored(self) -> dict[str, Any] | None:
        file = self.path / RUN / SETTINGS_FILE
        try:
            return dict(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise RunMismatch(f"{file} cannot be read, choose another folder: {error}") from error


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings as one, whose keys are like `data.source`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = value
    return flat


def _difference(key: str, before: Any, now: Any) -> str:
    if max(len(repr(before)), len(repr(now))) > _SHOWN:
        return key
    return f"{key} {before!r}, now {now!r}"
