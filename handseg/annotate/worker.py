"""The part of a run that many processes share: frames in, records and pictures out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from handseg.annotate import records, yolo
from handseg.annotate.frames import Frame, Frames
from handseg.annotate.plan import Job
from handseg.annotate.records import Record
from handseg.annotate.review import THUMBNAIL
from handseg.errors import nothing_can_be_written, reason
from handseg.io.files import save_image
from handseg.pipeline.interface import Segmenter
from handseg.results import HandSegmentation
from handseg.runtime.files import write_atomic
from handseg.runtime.journal import Journal
from handseg.runtime.run_folder import RUN
from handseg.segmenter import HandSegmenter

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
        failed: is told of each frame that fails, and why.
    """

    job: Job
    frames: Frames
    journal: Journal
    segmenter: Segmenter
    failed: Callable[[Frame, str], None]

    def run(self, indices: Iterable[int]) -> None:
        """Do these frames, one after the other; one that fails is reported and the rest are done.

        Raises:
            OSError: if nothing can be written any more.
        """
        for index in indices:
            frame = self.frames[index]
            try:
                record = self._do_frame(frame)
            except Exception as error:
                # Also what nobody planned for: the next frame may do.
                if nothing_can_be_written(error):
                    raise
                logger.debug("%s", frame.source, exc_info=True)
                self.fail(index, error)
            else:
                self.journal.record(frame.name, record)

    def fail(self, index: int, error: Exception) -> None:
        """Tell and record that a frame could not be done."""
        frame = self.frames[index]
        self.failed(frame, why := reason(error))
        self.journal.fail(frame.name, why)

    def _do_frame(self, frame: Frame) -> Record:
        image, seconds = self.frames.read(frame.index)
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
