"""Turn candidates into a `datasets.Dataset`: an Arrow file, written once and then memory-mapped."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets

from handseg.data.schema import FEATURES, Candidate

logger = logging.getLogger(__name__)


def to_dataset(
    candidates: Sequence[Candidate], options: str, cache_dir: str | Path | None
) -> datasets.Dataset:
    """Collect the rows of all usable candidates; the others are logged.

    Photos are stored by path, masks by path or as PNG. The Arrow file is rebuilt when the list of
    files, a file's time or size, the `options` or this package's code change.

    Args:
        candidates: the photos to include.
        options: a text of everything else that the rows depend on.
        cache_dir: where to keep the file; None uses the cache of `datasets`.

    Raises:
        ValueError: if no candidate has a row, or a path or name is not UTF-8.
    """

    rows = _Rows(candidates, _fingerprint(candidates, options))
    try:
        with _quiet():
            dataset = datasets.Dataset.from_generator(
                rows,
                features=FEATURES,
                cache_dir=None if cache_dir is None else str(cache_dir),
                fingerprint=rows.fingerprint,
            )
    except datasets.exceptions.DatasetGenerationError as error:
        cause = error.__cause__
        if isinstance(cause, _NothingError):
            raise ValueError("no photo has a mask that can be used") from None
        raise (cause or error) from None
    if len(dataset) < len(candidates):
        missing = len(candidates) - len(dataset)
        logger.warning("%d of %d photos are left out", missing, len(candidates))
    return dataset


class _Rows:
    """Generate the rows; pickles as its fingerprint alone.

    `datasets` pickles the generator to tell data sets apart, which is slow with 100,000 candidates.
    """

    def __init__(self, candidates: Sequence[Candidate], fingerprint: str) -> None:
        self._candidates, self.fingerprint = candidates, fingerprint

    def __call__(self) -> Iterator[dict[str, Any]]:
        count = 0
        for candidate in self._candidates:
            try:
                row = candidate.row()
            except ValueError as error:
                logger.warning("left out: %s: %s", candidate.id, error)
                continue
            _check_names(row)
            yield row
            count += 1
        if not count:
            raise _NothingError

    def __reduce__(self) -> str | tuple[Any, ...]:
        return _Rows, ((), self.fingerprint)


class _NothingError(Exception):
    pass


def _check_names(row: Mapping[str, Any]) -> None:
    """Raise ValueError if a path or name in the row is not UTF-8, which Arrow requires."""
    for value in (value for value in row.values() if isinstance(value, str)):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"{value!r} is not UTF-8: rename it, or let handseg prepare make a copy"
            ) from None


def _fingerprint(candidates: Sequence[Candidate], options: str) -> str:
    digest = hashlib.sha256(options.encode())
    for code in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(code.read_bytes())
    for candidate in candidates:
        digest.update(candidate.stamp().encode())
    return digest.hexdigest()[:32]


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the progress bars of `datasets` unless stderr is a terminal."""
    if sys.stderr.isatty() or datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()
