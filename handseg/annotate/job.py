"""What a run was asked to do, and whether an earlier run in its folder was asked the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handseg._version import __version__
from handseg.annotate.frames import Frames, PhotoFolder, VideoFrames
from handseg.annotate.sequence import check_camera, read_camera
from handseg.annotate.shards import Shards
from handseg.io.video import is_video
from handseg.models.bundled import home
from handseg.runtime.files import write_atomic

SHARDS = "shards"
RUN_FILE = "run.json"


@dataclass(frozen=True)
class Job:
    """A data set to make.

    Attributes:
        source: a folder of photos, or a video.
        output: the data set's folder.
        model, adapter, recipe: as `HandSegmenter.from_pretrained` takes them.
        recursive: take the folders inside of the folder, too.
        sequence: the photos follow each other; a video's frames always do.
        objects: segment what the hands hold, too.
        review: measure what is doubtful and write the page.
        camera: a JSON file with the camera's K, for sequences.
        shard_size: frames in a shard.
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
    shard_size: int = 50
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_sequence(self) -> bool:
        return self.sequence or is_video(self.source)

    def shards(self, frames: int) -> Shards:
        return Shards(self.output / SHARDS, frames, self.shard_size)

    def open_frames(self, count: int | None = None) -> Frames:
        """The input; a video whose frames were counted before is told their `count`."""
        if is_video(self.source):
            return VideoFrames(self.source, count)
        return PhotoFolder(
            self.source, self.output, recursive=self.recursive, numbered=self.sequence
        )


def check_job(job: Job, frames: Frames) -> dict[str, Any]:
    """What identifies the run, for `start_job`, once it is sure that it can be done here.

    Raises:
        ValueError: if the options do not fit each other, or the output folder holds something else
            or a run with other settings.
    """
    camera = None
    if job.camera is not None:
        if not job.is_sequence:
            raise ValueError("--camera is for sequences: add --sequence, or annotate a video")
        camera = read_camera(job.camera)
        check_camera(camera, frames.read(0)[0], job.camera)
    identity = {
        "handseg": __version__,
        "input": _digest(json.dumps(frames.identity()).encode()),
        "photos": len(frames),
        "model": [job.model, _content(home(job.model))],
        "adapter": None if job.adapter is None else [str(job.adapter), _content(job.adapter)],
        "recipe": None if job.recipe is None else _content(job.recipe),
        "sequence": job.is_sequence,
        "objects": job.objects,
        "review": job.review,
        "camera": camera,
        "shard-size": job.shard_size,
        **job.options,
    }
    file = job.output / SHARDS / RUN_FILE
    if file.is_file():
        stored = json.loads(file.read_text(encoding="utf-8"))
        differing = sorted(
            key for key in stored.keys() | identity.keys() if stored.get(key) != identity.get(key)
        )
        if differing:
            raise ValueError(
                f"--output {job.output} holds a run with another {', '.join(differing)}: give the "
                "options and photos that it was started with, or choose another folder"
            )
    elif job.output.exists() and (not job.output.is_dir() or any(job.output.iterdir())):
        raise ValueError(f"--output {job.output} holds other things, choose a folder of its own")
    return identity


def start_job(job: Job, identity: Mapping[str, Any]) -> None:
    """Keep what identifies the run, before anything else is written."""
    with write_atomic(job.output / SHARDS / RUN_FILE) as temporary:
        temporary.write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")


def _content(path: str | Path) -> str | None:
    """Of a file, or of the files in a folder; None for what is no path here, as a hub's id."""
    path = Path(path)
    if path.is_file():
        with path.open("rb") as file:
            return _digest_file(file)
    if not path.is_dir():
        return None
    files = sorted(one for one in path.iterdir() if one.is_file())
    return _digest(json.dumps([[one.name, _content(one)] for one in files]).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_file(file: Any) -> str:
    digest = hashlib.sha256()
    while block := file.read(2**20):
        digest.update(block)
    return digest.hexdigest()
