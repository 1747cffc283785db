"""The part of a run that many processes share: frames in, records and pictures out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from handseg.annotate import records, yolo
from handseg.annotate.frames import Frame, Frames
from handseg.annotate.job import SHARDS, Job
from handseg.annotate.review import THUMBNAIL
from handseg.annotate.shards import Record, Shards
from handseg.errors import nothing_can_be_written, reason
from handseg.io.files import save_image
from handseg.results import HandSegmentation
from handseg.runtime.files import write_atomic
from handseg.segmenter import HandSegmenter

logger = logging.getLogger(__name__)

THUMBNAILS = f"{SHARDS}/thumbnails"

_POLL = 0.5  # Seconds between looks at what the others have done.


@dataclass(frozen=True)
class Worker:
    """One process of a run.

    Attributes:
        job: what to do.
        frames: of the input.
        shards: of the run.
        segmenter: finds the hands.
        failed: is told of each frame that fails, and why.
        advanced: is told how many more frames are done, by this process or others.
    """

    job: Job
    frames: Frames
    shards: Shards
    segmenter: HandSegmenter
    failed: Callable[[Frame, str], None]
    advanced: Callable[[int], None]

    def run(self, *, wait_for_others: bool) -> None:
        """Do each shard that is not done and that nobody else works on.

        With `wait_for_others`, wait for the shards of others, and do those whose process has ended.

        Raises:
            OSError: if nothing can be written any more.
        """
        known = {number for number in range(len(self.shards)) if self.shards.is_done(number)}
        while True:
            for number in range(len(self.shards)):
                if number in known:
                    continue
                if self.shards.is_done(number):
                    self.advanced(len(self.shards.frames(number)))
                else:
                    with self.shards.claim(number) as mine:
                        if not mine:
                            continue
                        self._do_shard(number)
                known.add(number)
            if not wait_for_others or len(known) == len(self.shards):
                return
            time.sleep(_POLL)

    def _do_shard(self, number: int) -> None:
        begun = {record["index"] for record in self.shards.begun(number)}
        for index in self.shards.frames(number):
            if index in begun:
                continue
            frame = self.frames[index]
            try:
                record = self._do_frame(frame)
            except Exception as error:
                # Also what nobody planned for: the next frame may do.
                if nothing_can_be_written(error):
                    raise
                logger.debug("%s", frame.source, exc_info=True)
                why = reason(error)
                self.failed(frame, why)
                record = records.failed_record(frame, why)
            self.shards.add(number, record)
            self.advanced(1)
        self.shards.finish(number)

    def _do_frame(self, frame: Frame) -> Record:
        image, seconds = self.frames.read(frame.index)
        options = dict(self.job.options)
        if self.job.objects:
            options["objects"] = True
        agreements: list[float | None] = []
        if self.job.review:
            photo = self.segmenter.embed(image)
            found = photo.segment(**options)
            result = records.with_masks(found)
            recipe = self.segmenter.recipe.with_forearm(options.get("forearm"))
            agreements = [records.agreement(photo, hand, recipe) for hand in result]
        else:
            found = self.segmenter.segment(image, **options)
            result = records.with_masks(found)
            agreements = [None] * len(result)
        self._write(frame, result)
        return records.make_record(frame, seconds, result, agreements, len(found) - len(result))

    def _write(self, frame: Frame, result: HandSegmentation) -> None:
        """The files of a frame that need no other frame; see `handseg annotate`."""
        folder, picture = self.job.output, f"{frame.name}.png"
        self.frames.keep(frame.index, result.image, folder / "images")
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
