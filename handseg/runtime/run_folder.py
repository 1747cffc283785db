"""The folder of a long run: its identity, recorded results and remaining work."""

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
_ENDING = "ending"  # Created by the process that writes the outputs made from all results.

_SHOWN = 40  # Characters of a setting's value in a message.


class RunFolder:
    """A folder for the results of one run, however often it is interrupted.

    Its subfolder `run` holds `settings.json`, which identifies the run, and a journal. Until a run
    has results, another run may take over the folder; `cache` and preparations are not results.

    Args:
        path: a folder that is new, empty, or of a run with the same identity.
        identity: all settings that determine the results, by name, ready for JSON.
        preparations: files and folders that the run writes before it has results; they are removed
            if another run takes over the folder. `cache` stays, because it can be reused.

    Raises:
        RunMismatch: if the folder holds other files, or a run with another identity.
    """

    def __init__(
        self, path: str | Path, identity: Mapping[str, Any], preparations: Sequence[str] = ()
    ) -> None:
        self.path = Path(path)
        self.identity = json.loads(json.dumps(identity))
        self._preparations = preparations
        self._ended_before = self._ending()
        self._check()
        # Removed later: other processes of this run may be writing some of them now.
        self._unfinished = find_unfinished(self.path)

    @cached_property
    def journal(self) -> Journal:
        """The journal of recorded results."""
        return Journal(self.path / RUN)

    def claim(self) -> None:
        """Store the run's identity; call this before writing anything to the folder."""
        stored = self._stored()
        if stored is not None and stored != self.identity:
            for path in (self.path / name for name in self._preparations):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if stored != self.identity:
            with write_atomic(self.path / RUN / SETTINGS_FILE) as temporary:
                temporary.write_text(json.dumps(self.identity, indent=1) + "\n", encoding="utf-8")

    def left(self, items: Iterable[T], key: Callable[[T], str]) -> list[T]:
        """The `items` without a record under their `key`, including those that failed before."""
        return [item for item in items if key(item) not in self.journal]

    def is_over(self, items: Iterable[T], key: Callable[[T], str], worked: bool) -> bool:
        """Whether all `items` are recorded or failed, in any process; reads the journal again.

        For a process that had nothing left, and has not `worked`, failures do not count: they may
        be of an interrupted run, and the process that retries them ends this one.
        """
        self.journal = Journal(self.path / RUN)
        over = self.journal.keys() | (self.journal.failed.keys() if worked else set())
        return all(key(item) in over for item in items)

    def take_end(self) -> bool:
        """Whether this process ends the run; True for only one of those that find it over.

        A process that did so before this one opened the folder does not count: it was killed since,
        or this is another run of the same command.
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
        """Identify the file that shows that a process has ended the run; None if there is none."""
        with suppress(OSError):
            state = (self.path / RUN / _ENDING).stat()
            return state.st_ino, state.st_mtime_ns
        return None

    def end(self) -> None:
        """Let the next run retry failures, and remove half-written files of killed processes."""
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
    """Flatten nested mappings to one with keys such as `data.source`."""
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
