"""Process many photos in parallel, write their results and count them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from handseg.cli.json_file import JsonFile
from handseg.cli.outputs import InputPhoto
from handseg.errors import nothing_can_be_written, reason
from handseg.io.files import save_image
from handseg.results import Edge, HandSegmentation
from handseg.runtime.pool import map_bounded
from handseg.runtime.progress import progress_bar
from handseg.runtime.ranks import Rank
from handseg.runtime.terminal import KEPT, say

if TYPE_CHECKING:
    from handseg.pipeline.interface import Segmenter

logger = logging.getLogger(__name__)


class Writer(Protocol):
    """What becomes of each photo's result."""

    def write(self, photo: InputPhoto, result: HandSegmentation, rows: JsonFile | None) -> None: ...


@dataclass(frozen=True, eq=False)
class Outputs:
    """What is written for each photo; `background` is a colour (r, g, b) or (H, W, 3) uint8."""

    mask: bool
    objects: bool
    overlay: bool
    background: tuple[int, int, int] | np.ndarray | None
    edge: Edge
    crop: bool
    overwrite: bool

    def files(self, photo: InputPhoto) -> list[Path]:
        return list(self._pictures(photo))

    def are_there(self, photo: InputPhoto, rows: JsonFile | None) -> bool:
        there = all(map(os.path.exists, self.files(photo)))  # For a name that is too long, too.
        return there and (rows is None or photo.path in rows)

    def write(self, photo: InputPhoto, result: HandSegmentation, rows: JsonFile | None) -> None:
        """Write the photo's files and then its row: whoever finds that finds all."""
        for file, draw in self._pictures(photo).items():
            if (self.overwrite or not file.exists()) and (picture := draw(result)) is not None:
                save_image(picture, file, result.dpi)
        if rows is not None:
            rows.add(photo.path, result.to_dict())

    def _pictures(self, photo: InputPhoto) -> dict[Path, Callable[[HandSegmentation], Any]]:
        pictures: dict[Path, Callable[[HandSegmentation], Any]] = {photo.picture: self._lay}
        if self.mask:
            pictures[photo.mask] = lambda result: result.mask
        if self.objects:
            pictures[photo.object_mask] = lambda result: result.object_mask
        if self.overlay:
            pictures[photo.overlay] = lambda result: result.overlay()
        return pictures

    def _lay(self, result: HandSegmentation) -> Image.Image:
        if self.background is None:
            return result.cutout(self.crop, self.edge)
        return result.composite(self.background, self.edge, self.crop)


def segment_photo(
    photo: InputPhoto,
    segmenter: Segmenter,
    options: dict[str, Any],
    wanted: Writer,
    rows: JsonFile | None,
) -> bool:
    """Do a photo and write what is wanted of it; returns whether it has a hand."""
    try:
        result = segmenter.segment(photo.source(), **options)
        wanted.write(photo, result, rows)
        return bool(result)
    except Exception as error:
        if rows is not None and not nothing_can_be_written(error):
            rows.fail(photo.path, reason(error))
        raise


@dataclass
class Run:
    """How the photos of a run ended; `seconds` from the first photo to the last."""

    rank: Rank
    skipped: int
    done: int = 0
    without_hand: int = 0
    failed: int = 0
    seconds: float = 0.0

    def over(
        self,
        photos: Sequence[InputPhoto],
        segmenters: Sequence[Segmenter],
        options: dict[str, Any],
        wanted: Writer,
        rows: JsonFile | None,
    ) -> None:
        """Do the photos, as many at a time as there are segmenters."""
        idle: SimpleQueue[Segmenter] = SimpleQueue()
        for segmenter in segmenters:
            idle.put(segmenter)

        def has_hand(photo: InputPhoto) -> bool:
            segmenter = idle.get()
            try:
                return segment_photo(photo, segmenter, options, wanted, rows)
            finally:
                idle.put(segmenter)

        with closing(map_bounded(has_hand, photos, len(segmenters))) as calls:
            self.count(calls, len(photos))

    def count(self, calls: Iterable[tuple[InputPhoto, Future[bool]]], total: int) -> None:
        """Count how `total` photos end, and tell of those that failed or have no hand.

        Args:
            calls: each photo with a call that is over, which says whether it has a hand.
            total: how many there are.
        """
        start = time.perf_counter()
        with progress_bar(shown=self.rank.number == 0) as bar:
            for photo, call in bar.track(calls, total=total):
                try:
                    found = call.result()
                except Exception as error:
                    # Also what nobody planned for: the next photo may do.
                    self.failed += 1
                    logger.debug("%s", photo.path, exc_info=True)
                    why = reason(error)
                    say(
                        f"Failed: {why if str(photo.path) in why else f'{photo.path}: {why}'}",
                        "red",
                    )
                    if nothing_can_be_written(error):
                        say(KEPT)
                        break
                else:
                    self.done += 1
                    if not found:
                        self.without_hand += 1
                        say(f"No hand found: {photo.path}", "yellow")
                self.seconds = time.perf_counter() - start

    def summary(self) -> str:
        parts = [f"{self.done} done"]
        if self.without_hand:
            parts[0] += f" ({self.without_hand} without a hand)"
        if self.skipped:
            parts.append(f"{self.skipped} skipped (done before)")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.done:
            each = self.seconds / (self.done + self.failed)
            parts.append(f"{each:.{2 if each >= 0.1 else 3}f} s per photo")
            if self.done + self.failed > 1:
                parts.append(f"{1 / each:.1f} photos per second")
        process = f"Process {self.rank.number + 1} of {self.rank.count}: "
        return (process if self.rank.count > 1 else "") + ", ".join(parts) + "."
