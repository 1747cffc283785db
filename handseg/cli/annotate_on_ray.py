"""`handseg annotate --ray`: the frames of a run, shared by the processes of a Ray cluster."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handseg.annotate.frames import Frame, Frames
from handseg.annotate.plan import Job
from handseg.annotate.worker import Worker
from handseg.api import load_segmenter
from handseg.errors import ClusterError
from handseg.integrations.deaths import Deaths
from handseg.integrations.ray import actor_id, rows_of, with_actors
from handseg.runtime.journal import Journal
from handseg.runtime.run_folder import RUN
from handseg.runtime.threads import limit_threads

if TYPE_CHECKING:
    import pyarrow

BATCH = 16
"""Frames that a process takes at a time, and does again where another has died over them."""


def annotate_on_ray(
    job: Job, frames: Frames, indices: Sequence[int], device: str | None
) -> Iterator[tuple[Frame, str | None]]:
    """Do these frames; yields each as it is done, and why it failed where it did.

    All machines must find the input, the output folder and the model under the same paths.

    Raises:
        ClusterError: if Ray gives up, as where the model cannot be loaded.
    """
    import ray.data

    ds = ray.data.from_items(
        [{"index": index} for index in indices],
        override_num_blocks=math.ceil(len(indices) / BATCH),
    )
    arguments = (job, frames, Path.cwd(), device)
    gpus = 1 if device == "cuda" else None
    for row in rows_of(with_actors(ds, AnnotateFrames, arguments, gpus=gpus, batch_size=BATCH)):
        yield frames[row["index"]], row["error"]


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
        self._deaths = Deaths(actor_id())
        self._worker = Worker(job, frames, Journal(job.output / RUN), segmenter, failed=self._note)

    def _note(self, frame: Frame, why: str) -> None:
        self._why[frame.index] = why

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        """Do the frames that a batch names; why those failed that did is in `error`."""
        import pyarrow as pa

        self._why.clear()
        indices = table["index"].to_pylist()
        for index in indices:
            try:
                with self._deaths.risk(index):
                    self._worker.run([index])
            except ClusterError as error:
                self._worker.fail(index, error)
        return table.append_column("error", pa.array(map(self._why.get, indices), pa.string()))
