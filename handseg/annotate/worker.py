"""The part of a run that processes share: read frames, write records and pictures."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from handseg.annotate import records, yolo
from handseg.annotate.frame_json import check_camera, read_camera
from handseg.annotate.frames import Frame, Frames
from handseg.annotate.plan import Job
from handseg.annotate.records import Record
from handseg.annotate.review import THUMBNAIL
from handseg.data.shard_members import INSTANCES, MASK, OBJECT_MASK, RECORD
from handseg.data.shard_writer import open_shard, shard_path
from handseg.errors import ImageError, nothing_can_be_written, reason
from handseg.io.files import encode_image, save_image
from handseg.pipeline.interface import Segmenter
from handseg.results import HandSegmentation
from handseg.runtime.files import write_atomic
from handseg.runtime.journal import Journal
from handseg.runtime.run_folder import RUN
from handseg.segmenter import HandSegmenter

T = TypeVar("T")

logger = logging.getLogger(__name__)

THUMBNAILS = f"{RUN}/thumbnails"


@dataclass(frozen=True)
class Worker:
    """One process of a run.

    Attributes:
        job: what to do.
        frames: of the input.
        journal: of the run.
        segmenter: finds the hands.
        failed: called with each frame that fails, and the reason.
        guard: context for the work on the frame with an index; if it raises, the frame fails.
    """

    job: Job
    frames: Frames
    journal: Journal
    segmenter: Segmenter
    failed: Callable[[Frame, str], None]
    guard: Callable[[int], AbstractContextManager[Any]] = nullcontext

    def run(self, indices: Iterable[int]) -> None:
        """Process these frames in turn; a failed frame is reported, and the others continue.

        With shards, `indices` must have all frames of a shard, see `Job.with_shards`.

        Raises:
            OSError: if nothing can be written any more.
        """
        if self.job.shard_size is not None:
            for number, inside in groupby(indices, self.job.shard):
                self._fill_shard(number, inside)
            return
        for index in indices:
            frame = self.frames[index]
            if (done := self._attempt(frame, self._write)) is not None:
                self.journal.record(frame.name, done[0])

    def _fill_shard(self, number: int, indices: Iterable[int]) -> None:
        """Write a shard and then record its frames; frames that it already has are copied."""
        records: dict[str, Record] = {}
        with open_shard(shard_path(self.job.output, number)) as shard:
            for frame in map(self.frames.__getitem__, indices):
                if frame.name in self.journal and frame.name in shard:
                    shard.copy(frame.name)
                    continue
                if (done := self._attempt(frame, self._members)) is not None:
                    records[frame.name], members = done
                    shard.add(frame.name, members)
        for name, record in records.items():
            self.journal.record(name, record)

    def _attempt(
        self, frame: Frame, make: Callable[[Frame, HandSegmentation, Record], T]
    ) -> tuple[Record, T] | None:
        """Return a frame's record and the result of `make`; report a failure and return None."""
        try:
            with self.guard(frame.index):
                result, record = self._find(frame)
                return record, make(frame, result, record)
        except Exception as error:
            # Unexpected errors, too: the next frame may work.
            if nothing_can_be_written(error):
                raise
            logger.debug("%s", frame.source, exc_info=True)
            self.failed(frame, why := reason(error))
            self.journal.fail(frame.name, why)
            return None

    def _find(self, frame: Frame) -> tuple[HandSegmentation, Record]:
        image, seconds = self.frames.read(frame.index)
        if self.job.camera is not None:
            check_camera(self._camera, image, self.job.camera)
        options = dict(self.job.options)
        if self.job.objects:
            options["objects"] = True
        agreements: list[float | None] = []
        if self.job.review and isinstance(self.segmenter, HandSegmenter):
            photo = self.segmenter.embed(image)
            found = photo.segment(**options)
            result = records.with_masks(found)
            recipe = self.segmenter.recipe.with_forearm(options.get("forearm"))
            agreements = [records.agreement(photo, hand, recipe) for hand in result]
        else:
            found = self.segmenter.segment(image, **options)
            result = records.with_masks(found)
            agreements = [None] * len(result)
        without_mask = len(found) - len(result)
        return result, records.make_record(frame, seconds, result, agreements, without_mask)

    @cached_property
    def _camera(self) -> dict[str, Any]:
        assert self.job.camera is not None
        return read_camera(self.job.camera)

    def _members(self, frame: Frame, result: HandSegmentation, record: Record) -> dict[str, bytes]:
        """Return the shard members of a frame, by suffix."""
        suffix = Path(frame.image).suffix[1:].lower()
        if not suffix:
            raise ImageError(f"{frame.source} needs a suffix, such as .jpg, to be put into a shard")
        if self.job.is_sequence:
            record = {**record, "group": frame.sequence}
        members = {
            suffix: self.frames.content(frame.index, result.image),
            MASK: encode_image(result.mask, MASK),
            INSTANCES: encode_image(records.label_picture(result), INSTANCES),
        }
        held = result.object_mask
        if self.job.objects and held is not None:
            members[OBJECT_MASK] = encode_image(held, OBJECT_MASK)
        return {**members, RECORD: json.dumps(record).encode()}

    def _write(self, frame: Frame, result: HandSegmentation, _: Record) -> None:
        """Write the files that depend only on this frame; see `handseg annotate`."""
        folder, picture = self.job.output, f"{frame.name}.png"
        with write_atomic(folder / "images" / frame.image) as temporary:
            temporary.write_bytes(self.frames.content(frame.index, result.image))
        save_image(result.mask, folder / "masks" / picture)
        save_image(records.label_picture(result), folder / "instances" / picture)
        held = result.object_mask
        if self.job.objects and held is not None:
            save_image(held, folder / "object_masks" / picture)
        with write_atomic(folder / "labels" / f"{frame.name}.txt") as temporary:
            lines = yolo.label_lines(result)
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        if self.job.review:
            thumbnail = records.thumbnail(result, THUMBNAIL)
            save_image(thumbnail, folder / THUMBNAILS / f"{frame.name}.jpg")
