"""`handseg annotate --ray`: the frames of a run, shared by the processes of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from handseg.annotate.frames import Frame, Frames
from handseg.annotate.plan import Job
from handseg.annotate.worker import Worker
from handseg.api import load_segmenter
from handseg.integrations.deaths import Deaths
from handseg.integrations.ray import actor_id, rows_of, with_actors
from handseg.runtime.journal import Journal
from handseg.runtime.run_folder import RUN
from handseg.runtime.threads import limit_threads

if TYPE_CHECKING:
    import pyarrow

BATCH = 16
"""Frames that a process takes at a time where they are in no shards."""


def annotate_on_ray(
    job: Job, frames: Frames, indices: Sequence[int], device: str | None
) -> Iterator[tuple[Frame, str | None]]:
    """Do these frames; yields each as it is done, and why it failed where it did.

    All machines must find the input, the output folder and the model under the same paths.

    Raises:
        ClusterError: if Ray gives up, as where the model cannot be loaded.
    """
    import ray.data

    rows = [{"indices": batch} for batch in _batches(job, indices)]
    ds = ray.data.from_items(rows, override_num_blocks=len(rows))
    arguments = (job, frames, Path.cwd(), device)
    gpus = 1 if device == "cuda" else None
    for row in rows_of(with_actors(ds, AnnotateFrames, arguments, gpus=gpus, batch_size=1)):
        for index, why in zip(row["indices"], row["errors"], strict=True):
            yield frames[index], why


def _batches(job: Job, indices: Sequence[int]) -> list[list[int]]:
    """What a process takes at a time, and does again where another has died over it."""
    if job.shard_size is not None:
        return [list(inside) for _, inside in groupby(indices, job.shard)]
    return [list(indices[start : start + BATCH]) for start in range(0, len(indices), BATCH)]


class AnnotateFrames:
    """A process of Ray that does frames of a run, on a thread of its own.

    Args:
        job: what to do.
        frames: of the input.
        folder: that paths are relative to.
        device: of the segmenter.
    """

    def __init__(self, job: Job, frames: Frames, folder: Path, device: str | None) -> None:
        os.chdir(folder)
        limit_threads(1)
        segmenter = load_segmenter(job.model, job.adapter, device, recipe=job.recipe)
        if job.objects:
            segmenter.check_objects()
        self._why: dict[int, str] = {}
        self._worker = Worker(
            job,
            frames,
            Journal(job.output / RUN),
            segmenter,
            failed=self._note,
            guard=Deaths(actor_id()).risk,
        )

    def _note(self, frame: Frame, why: str) -> None:
        self._why[frame.index] = why

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        """Do the frames that a batch names; why those failed that did is in `errors`."""
        import pyarrow as pa

        self._why.clear()
        batches = table["indices"].to_pylist()
        for indices in batches:
            self._worker.run(indices)
        errors = [list(map(self._why.get, indices)) for indices in batches]
        return table.append_column("errors", pa.array(errors, pa.list_(pa.string())))
