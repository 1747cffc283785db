"""`handseg segment --ray`: the photos of a run, shared by the processes of a Ray cluster."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from itertools import groupby
from pathlib import Path
from typing import Any

from handseg.api import load_segmenter
from handseg.cli.common import SegmenterChoice
from handseg.cli.folder import Writer
from handseg.cli.json_file import JsonFile
from handseg.cli.on_ray import PhotoActor, batches_of, share_on_ray
from handseg.cli.outputs import InputPhoto
from handseg.cli.shards import Sample, Shards
from handseg.errors import HandsegError, nothing_can_be_written, reason
from handseg.results import HandSegmentation
from handseg.runtime.journal import Journal
from handseg.runtime.pool import call_now
from handseg.runtime.run_folder import RUN


class PhotoFailed(HandsegError, ValueError):
    """A photo failed in another process; the message says why."""


def write_on_ray(
    photos: Sequence[InputPhoto], made_by: SegmenterChoice, wanted: Writer, json_file: Path | None
) -> Generator[tuple[InputPhoto, Future[bool]], None, None]:
    """Segment these photos; yield each when done, with a call that returns if it has a hand.

    Raises:
        ClusterError: see `share_on_ray`.
    """
    arguments = (made_by, photos, wanted, json_file)
    batches = batches_of(range(len(photos)))
    for index, call in _on_ray(batches, SegmentPhotos, arguments, made_by.device):
        yield photos[index], call


def fill_on_ray(
    shards: Shards, left: Sequence[int], made_by: SegmenterChoice
) -> Generator[tuple[InputPhoto, Future[bool]], None, None]:
    """Like `write_on_ray`, a shard at a time; yield the photos that are `left`."""
    wanted = set(left)
    batches = [list(inside) for _, inside in groupby(shards.whole(left), shards.number)]
    for index, call in _on_ray(batches, FillShards, (made_by, shards), made_by.device):
        if index in wanted:
            yield shards.photos[index], call


def _on_ray(
    batches: Sequence[list[int]],
    actor: type[PhotoActor],
    arguments: Sequence[Any],
    device: str | None,
) -> Iterator[tuple[int, Future[bool]]]:
    for index, said in share_on_ray(batches, actor, arguments, gpu=device == "cuda"):
        yield index, call_now(_found, said)


def _found(said: bool | str) -> bool:
    """Whether there is a hand, as an actor reported."""
    if isinstance(said, str):
        raise PhotoFailed(said)
    return said


class _Segmenting(PhotoActor):
    """A process that segments photos.

    Args:
        folder: folder that paths are relative to.
        made_by: choice of the segmenter.
    """

    def __init__(self, folder: Path, made_by: SegmenterChoice) -> None:
        super().__init__(folder)
        self._options = made_by.options
        self._segmenter = load_segmenter(
            made_by.model, made_by.adapter, made_by.device, recipe=made_by.recipe
        )
        if made_by.options["objects"]:
            self._segmenter.check_objects()

    def segment(self, photo: InputPhoto) -> HandSegmentation:
        return self._segmenter.segment(photo.source(), **self._options)


class SegmentPhotos(_Segmenting):
    """A process that writes the files of photos.

    Args:
        folder, made_by: as above.
        photos: photos of the run.
        wanted: writes the files.
        json_file: gets a row per photo.
    """

    def __init__(
        self,
        folder: Path,
        made_by: SegmenterChoice,
        photos: Sequence[InputPhoto],
        wanted: Writer,
        json_file: Path | None,
    ) -> None:
        super().__init__(folder, made_by)
        self._photos, self._wanted = photos, wanted
        self._rows = None if json_file is None else JsonFile(json_file)

    def do(self, indices: Sequence[int]) -> list[bool | str]:
        """Segment these photos; return whether each has a hand, or why it failed."""
        return [self._do(index) for index in indices]

    def _do(self, index: int) -> bool | str:
        photo = self._photos[index]
        try:
            with self.risk(index):
                result = self.segment(photo)
                self._wanted.write(photo, result, self._rows)
                return bool(result)
        except Exception as error:
            # Unexpected errors too: the next photo may work.
            if nothing_can_be_written(error):
                raise
            return reason(error)


class FillShards(_Segmenting):
    """A process that writes shards.

    Args:
        folder, made_by: as above.
        shards: shards of the run.
    """

    def __init__(self, folder: Path, made_by: SegmenterChoice, shards: Shards) -> None:
        super().__init__(folder, made_by)
        self._shards = shards
        self._journal = Journal(shards.output / RUN)

    def do(self, indices: Sequence[int]) -> list[bool | str]:
        """Write a shard; return whether each photo has a hand, or why it failed."""
        why: dict[InputPhoto, str] = {}
        for photo, call in self._shards.fill(indices, self._journal, self._samples):
            if isinstance(error := call.exception(), Exception):
                why[photo] = reason(error)
        photos, names = self._shards.photos, self._shards.names
        return [
            why.get(photos[index]) or bool(self._journal[names[index]]["hands"])
            for index in indices
        ]

    def _samples(
        self, photos: Sequence[InputPhoto]
    ) -> Generator[tuple[InputPhoto, Future[Sample]], None, None]:
        for photo in photos:
            yield photo, call_now(self._sample, photo)

    def _sample(self, photo: InputPhoto) -> Sample:
        with self.risk(str(photo.path)):
            return self._shards.wanted.members(photo, self.segment(photo))
