"""Candidates of large data sets, created on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

from handseg.data.schema import Candidate


class Candidates(Sequence[Candidate]):
    """A sequence of candidates that stores only their `keys`, so 100,000 take little memory.

    Args:
        keys: the input of `make` for each candidate, such as file names.
        make: builds a candidate from its key.
    """

    def __init__(self, keys: Sequence[Any], make: Callable[[Any], Candidate]) -> None:
        self._keys, self._make = keys, make

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Candidates: ...
    def __getitem__(self, index: int | slice) -> Candidate | Candidates:
        if isinstance(index, slice):
            return Candidates(self._keys[index], self._make)
        return self._make(self._keys[index])
