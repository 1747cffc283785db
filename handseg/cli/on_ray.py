"""`--ray`: what a command does with many photos, shared by the processes of a Ray cluster."""

from __future__ import annotations

import os
import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handseg.integrations.deaths import Deaths
from handseg.integrations.ray import actor_id, rows_of, with_actors
from handseg.runtime.threads import limit_threads

if TYPE_CHECKING:
    import pyarrow

BATCH = 16
"""Photos that a process takes at a time, and does again where another has died over them."""


def batches_of(indices: Sequence[int]) -> list[list[int]]:
    """`indices`, `BATCH` at a time."""
    return [list(indices[start : start + BATCH]) for start in range(0, len(indices), BATCH)]


class PhotoActor(ABC):
    """A process of Ray that does photos by their indices, on a thread of its own.

    Args:
        folder: that paths are relative to.
    """

    def __init__(self, folder: Path) -> None:
        os.chdir(folder)
        limit_threads(1)
        self.risk = Deaths(actor_id()).risk
        """Around the work on the photo of an index; raises where processes have died over it."""

    @abstractmethod
    def do(self, indices: Sequence[int]) -> list[Any]:
        """Do these photos; returns what is to be said of each."""

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        """A batch of lists of indices with what is said of them."""
        import pyarrow as pa

        said = [pickle.dumps(self.do(indices)) for indices in table["indices"].to_pylist()]
        return table.append_column("said", pa.array(said, pa.binary()))


def share_on_ray(
    batches: Sequence[list[int]], actor: type[PhotoActor], arguments: Sequence[Any], gpu: bool
) -> Iterator[tuple[int, Any]]:
    """Let processes of the cluster do these batches, each made as `actor(folder, *arguments)`.

    All machines must find the photos, the output folder and the model under the same paths.

    Yields:
        Each index, in any order, with what `do` said of it.

    Raises:
        ClusterError: if Ray gives up, as where the model cannot be loaded.
    """
    import ray.data

    ds = ray.data.from_items(
        [{"indices": batch} for batch in batches], override_num_blocks=len(batches)
    )
    made_of = (Path.cwd(), *arguments)
    for row in rows_of(with_actors(ds, actor, made_of, gpus=1 if gpu else None, batch_size=1)):
        yield from zip(row["indices"], pickle.loads(row["said"]), strict=True)
