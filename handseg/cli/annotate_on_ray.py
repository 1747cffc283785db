"""`handseg annotate --ray`: the frames of a run, shared by the processes of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from handseg.annotate.frames import Frame, Frames
from handseg.annotate.plan import Job
from handseg.annotate.worker import Worker
from handseg.api import load_segmenter
from handseg.cli.on_ray import PhotoActor, batches_of, share_on_ray
from handseg.runtime.journal import Journal
from handseg.runtime.run_folder import RUN


def annotate_on_ray(
    job: Job, frames: Frames, indices: Sequence[int], device: str | None
) -> Iterator[tuple[Frame, str | None]]:
    """Annotate these frames; yield each when it is done, with the reason if it failed.

    Raises:
        ClusterError: see `share_on_ray`.
    """
    if job.shard_size is None:
        batches = batches_of(indices)
    else:
        batches = [list(inside) for _, inside in groupby(indices, job.shard)]
    arguments = (job, frames, device)
    for index, why in share_on_ray(batches, AnnotateFrames, arguments, gpu=device == "cuda"):
        yield frames[index], why


class AnnotateFrames(PhotoActor):
    """A process that annotates frames of a run.

    Args:
        folder: folder that paths are relative to.
        job: the job.
        frames: frames of the input.
        device: device of the segmenter.
    """

    def __init__(self, folder: Path, job: Job, frames: Frames, device: str | None) -> None:
        super().__init__(folder)
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
            guard=self.risk,
        )

    def _note(self, frame: Frame, why: str) -> None:
        self._why[frame.index] = why

    def do(self, indices: Sequence[int]) -> list[str | None]:
        """Annotate these frames; return for each why it failed, or None."""
        self._why.clear()
        self._worker.run(indices)
        return list(map(self._why.get, indices))
