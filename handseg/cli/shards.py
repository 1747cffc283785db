"""WebDataset shards: the outputs of `handseg segment` for many photos in each tar."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

from handseg.cli.outputs import InputPhoto
from handseg.cli.pictures import Outputs
from handseg.data.shard_writer import open_shard, shard_path, whole_shards
from handseg.errors import reason
from handseg.runtime.journal import Journal
from handseg.runtime.pool import call_now

Sample: TypeAlias = tuple[dict[str, Any], dict[str, bytes]]
"""The values of a photo's row, and its members in the shard by suffix."""
Samples: TypeAlias = Generator[tuple[InputPhoto, "Future[Sample]"], None, None]


@dataclass(frozen=True, eq=False)
class Shards:
    """The shards of a run.

    Attributes:
        output: their folder.
        photos: photos of the run, in order.
        names: unique names of the photos.
        size: photos in each shard.
        wanted: the outputs for each photo.
    """

    output: Path
    photos: Sequence[InputPhoto]
    names: Sequence[str]
    size: int
    wanted: Outputs

    def number(self, index: int) -> int:
        """Return the number of a photo's shard."""
        return index // self.size

    def path(self, number: int) -> Path:
        return shard_path(self.output, number)

    def whole(self, indices: Iterable[int]) -> list[int]:
        """Return these photos and all others of their shards."""
        return whole_shards(indices, self.size, len(self.photos))

    def fill(
        self,
        indices: Iterable[int],
        journal: Journal,
        samples: Callable[[Sequence[InputPhoto]], Samples],
    ) -> Iterator[tuple[InputPhoto, Future[bool]]]:
        """Write shards, then record their photos; photos already in them are copied.

        Args:
            indices: indices of all photos of these shards.
            journal: journal of the run; gets the values of each photo's row.
            samples: makes the shards' samples, for photos in order.

        Yields:
            The photos that were not copied, each with a call that returns whether it has a hand,
            after its shard is written.
        """
        for number, inside in groupby(indices, self.number):
            yield from self._fill(number, list(inside), journal, samples)

    def _fill(
        self,
        number: int,
        indices: Sequence[int],
        journal: Journal,
        samples: Callable[[Sequence[InputPhoto]], Samples],
    ) -> list[tuple[InputPhoto, Future[bool]]]:
        ended: list[tuple[InputPhoto, Future[bool]]] = []
        rows: dict[str, dict[str, Any]] = {}
        with open_shard(self.path(number)) as shard:
            kept = {
                index
                for index in indices
                if self.names[index] in journal and self.names[index] in shard
            }
            new = [self.photos[index] for index in indices if index not in kept]
            with closing(samples(new)) as calls:
                for index in indices:
                    name = self.names[index]
                    if index in kept:
                        shard.copy(name)
                        continue
                    photo, call = next(calls)
                    try:
                        rows[name], members = call.result()
                    except Exception as error:
                        # Unexpected errors too: the next photo may work.
                        journal.fail(name, reason(error))
                    else:
                        shard.add(name, members)
                    ended.append((photo, call_now(_has_hand, call)))
        for name, values in rows.items():
            journal.record(name, values)
        return ended


def _has_hand(call: Future[Sample]) -> bool:
    return bool(call.result()[0]["hands"])
