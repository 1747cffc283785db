"""The settings of a run, and the folder in which it starts or resumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from handseg._version import __version__
from handseg.annotate.frame_json import check_camera, read_camera
from handseg.annotate.frames import Frames, PhotoFolder, VideoFrames
from handseg.data.shard_writer import whole_shards
from handseg.errors import ImageError
from handseg.io.video import is_video
from handseg.models.identity import weights_identity
from handseg.runtime.run_folder import RunFolder


@dataclass(frozen=True)
class Job:
    """A data set to make.

    Attributes:
        source: a folder of photos, or a video.
        output: the data set's folder.
        model, adapter, recipe: as for `HandSegmenter.from_pretrained`.
        recursive: include subfolders.
        sequence: the photos are consecutive frames; a video's frames always are.
        objects: segment held objects, too.
        review: measure how doubtful frames are and write the review page.
        camera: a JSON file with the camera's K, for sequences.
        shard_size: frames in each WebDataset shard; None writes files for each frame.
        options: for `HandSegmenter.segment`.
    """

    source: str
    output: Path
    model: str = "handseg-lite"
    adapter: Path | None = None
    recipe: Path | None = None
    recursive: bool = False
    sequence: bool = False
    objects: bool = False
    review: bool = False
    camera: Path | None = None
    shard_size: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_sequence(self) -> bool:
        return self.sequence or is_video(self.source)

    def shard(self, index: int) -> int:
        """Return the number of the frame's shard."""
        assert self.shard_size is not None
        return index // self.shard_size

    def with_shards(self, indices: Sequence[int], count: int) -> Sequence[int]:
        """Add to `indices` the other frames of their shards, which are written whole."""
        if self.shard_size is None:
            return indices
        return whole_shards(indices, self.shard_size, count)

    def open_frames(self) -> Frames:
        if is_video(self.source):
            return VideoFrames(self.source)
        return PhotoFolder(
            self.source, self.output, recursive=self.recursive, numbered=self.sequence
        )


def open_run(job: Job, frames: Frames) -> RunFolder:
    """Open the run's folder after checking that the run can be done there.

    Raises:
        ValueError: if the options conflict.
        RunMismatch: if the output folder holds something else, or a run with other settings.
    """
    if job.shard_size is not None and (job.review or job.camera is not None):
        raise ValueError(
            "--review and --camera are for files of their own for each photo: leave out "
            "--shard-size"
        )
    camera = None
    if job.camera is not None:
        if not job.is_sequence:
            raise ValueError("--camera is for sequences: add --sequence, or annotate a video")
        camera = read_camera(job.camera)
        if (image := _first_image(frames)) is not None:
            check_camera(camera, image, job.camera)
    identity = {
        "handseg": __version__,
        "input": hashlib.sha256(json.dumps(frames.identity()).encode()).hexdigest(),
        "photos": len(frames),
        **weights_identity(job.model, job.adapter, job.recipe),
        "sequence": job.is_sequence,
        "objects": job.objects,
        "review": job.review,
        "camera": camera,
        "shard_size": job.shard_size,
        **job.options,
    }
    return RunFolder(job.output, identity)


def _first_image(frames: Frames) -> np.ndarray | None:
    """Return the first frame that can be read, (H, W, 3) uint8; None if there is none."""
    for index in range(len(frames)):
        with suppress(ImageError):
            return frames.read(index)[0]
    return None
