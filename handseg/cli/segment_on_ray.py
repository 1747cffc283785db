"""`handseg segment --ray`: the photos of a run, shared by the processes of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handseg.api import load_segmenter
from handseg.cli.folder import Writer, segment_photo
from handseg.cli.json_file import JsonFile
from handseg.cli.on_ray import PhotoActor, batches_of, share_on_ray
from handseg.cli.outputs import InputPhoto
from handseg.errors import HandsegError, nothing_can_be_written, reason


@dataclass(frozen=True)
class RaySegmenter:
    """What `load_segmenter` takes, and the options for `segment`."""

    model: str
    adapter: Path | None
    recipe: Path | None
    device: str | None
    options: dict[str, Any]


def segment_on_ray(
    photos: Sequence[InputPhoto], made_by: RaySegmenter, wanted: Writer, json_file: Path | None
) -> Iterator[tuple[InputPhoto, Future[bool]]]:
    """Do these photos; yields each as it is done, with a call that says whether it has a hand.

    Raises:
        ClusterError: see `share_on_ray`.
    """
    arguments = (photos, made_by, wanted, json_file)
    batches = batches_of(range(len(photos)))
    for index, said in share_on_ray(
        batches, SegmentPhotos, arguments, gpu=made_by.device == "cuda"
    ):
        call: Future[bool] = Future()
        if isinstance(said, str):
            call.set_exception(PhotoFailed(said))
        else:
            call.set_result(said)
        yield photos[index], call


class PhotoFailed(HandsegError, ValueError):
    """A photo failed in another process; says why."""


class SegmentPhotos(PhotoActor):
    """A process that does photos.

    Args:
        folder: that paths are relative to.
        photos: of the run.
        made_by: the segmenter.
        wanted: writes the files.
        json_file: gets a row a photo.
    """

    def __init__(
        self,
        folder: Path,
        photos: Sequence[InputPhoto],
        made_by: RaySegmenter,
        wanted: Writer,
        json_file: Path | None,
    ) -> None:
        super().__init__(folder)
        self._photos, self._options, self._wanted = photos, made_by.options, wanted
        self._segmenter = load_segmenter(
            made_by.model, made_by.adapter, made_by.device, recipe=made_by.recipe
        )
        if made_by.options["objects"]:
            self._segmenter.check_objects()
        self._rows = None if json_file is None else JsonFile(json_file)

    def do(self, indices: Sequence[int]) -> list[bool | str]:
        """Do these photos; returns whether each has a hand, or why it failed."""
        return [self._do(index) for index in indices]

    def _do(self, index: int) -> bool | str:
        photo = self._photos[index]
        try:
            with self.risk(index):
                return segment_photo(
                    photo, self._segmenter, self._options, self._wanted, self._rows
                )
        except Exception as error:
            # Also what nobody planned for: the next photo may do.
            if nothing_can_be_written(error):
                raise
            return reason(error)
