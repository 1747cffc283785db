"""Candidates as a `datasets.Dataset`: written to an Arrow file once, mapped into memory since."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets

from handseg.data.schema import FEATURES, Candidate

logger = logging.getLogger(__name__)


def to_dataset(
    candidates: Sequence[Candidate], options: str, cache_dir: str | Path | None
) -> datasets.Dataset:
    """The rows of those candidates that have one; the others are logged.

    Photos are kept by path, masks by path or as PNG. The Arrow file is made anew when a file, its
    time or size, the `options` or this package's code differ from what it was made of.

    Args:
        candidates: what to take.
        options: all else that rows depend on, in words.
        cache_dir: where to keep the file; None is where `datasets` keeps its own.

    Raises:
        ValueError: if no candidate has a row.
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
    """The rows one after the other; stands for its fingerprint when `datasets` pickles it.

    That it does to tell data sets apart, and a hundred thousand candidates take it long.
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
            yield row
            count += 1
        if not count:
            raise _NothingError

    def __reduce__(self) -> str | tuple[Any, ...]:
        return _Rows, ((), self.fingerprint)


class _NothingError(Exception):
    pass


def _fingerprint(candidates: Sequence[Candidate], options: str) -> str:
    digest = hashlib.sha256(options.encode())
    for code in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(code.read_bytes())
    for candidate in candidates:
        digest.update(candidate.stamp().encode())
    return digest.hexdigest()[:32]


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of `datasets` where nobody watches."""
    if sys.stderr.isatty() or datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()
