"""`--ray`: share a command's photos among the processes of a Ray cluster."""

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
"""Photos that a process takes at a time, and that are redone if it dies on them."""


def batches_of(indices: Sequence[int]) -> list[list[int]]:
    """Split `indices` into batches of `BATCH`."""
    return [list(indices[start : start + BATCH]) for start in range(0, len(indices), BATCH)]


class PhotoActor(ABC):
    """A Ray process that handles photos by their indices, on its own thread.

    Args:
        folder: folder that paths are relative to.
    """

    def __init__(self, folder: Path) -> None:
        os.chdir(folder)
        limit_threads(1)
        self.risk = Deaths(actor_id()).risk
        """Context around the work on a photo, by index; raises if processes have died on it."""

    @abstractmethod
    def do(self, indices: Sequence[int]) -> list[Any]:
        """Handle these photos; return what to report for each."""

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        """Handle a batch of lists of indices; return it with the reports."""
        import pyarrow as pa

        said = [pickle.dumps(self.do(indices)) for indices in table["indices"].to_pylist()]
        return table.append_column("said", pa.array(said, pa.binary()))


def share_on_ray(
    batches: Sequence[list[int]], actor: type[PhotoActor], arguments: Sequence[Any], gpu: bool
) -> Iterator[tuple[int, Any]]:
    """Let processes of the cluster, each `actor(folder, *arguments)`, handle these batches.

    All machines must find the photos, the output folder and the model under the same paths.

    Yields:
        Each index, in any order, with the report of `do`.

    Raises:
        ClusterError: if Ray gives up, for example because the model cannot be loaded.
    """
    import ray.data

    ds = ray.data.from_items(
        [{"indices": batch} for batch in batches], override_num_blocks=len(batches)
    )
    made_of = (Path.cwd(), *arguments)
    for row in rows_of(with_actors(ds, actor, made_of, gpus=1 if gpu else None, batch_size=1)):
        yield from zip(row["indices"], pickle.loads(row["said"]), strict=True)
