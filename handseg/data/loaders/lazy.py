"""What a large data set lists, made one by one when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

from handseg.data.schema import Candidate


class Candidates(Sequence[Candidate]):
    """Candidates of which only the `keys` are kept: a hundred thousand take little memory.

    Args:
        keys: what `make` needs to know of each, such as file names.
        make: from a key to its candidate.
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
