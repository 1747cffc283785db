"""Process many photos in parallel, write their results and count outcomes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from handseg.cli.json_file import JsonFile
from handseg.cli.outputs import InputPhoto
from handseg.errors import nothing_can_be_written, reason
from handseg.results import HandSegmentation
from handseg.runtime.pool import call_now, map_bounded
from handseg.runtime.progress import progress_bar
from handseg.runtime.ranks import Rank
from handseg.runtime.terminal import KEPT, say

if TYPE_CHECKING:
    from handseg.pipeline.interface import Segmenter

R = TypeVar("R")

logger = logging.getLogger(__name__)


class Writer(Protocol):
    """Writes each photo's result."""

    def write(self, photo: InputPhoto, result: HandSegmentation, rows: JsonFile | None) -> None: ...


def segment_all(
    photos: Sequence[InputPhoto],
    segmenters: Sequence[Segmenter],
    options: dict[str, Any],
    finish: Callable[[InputPhoto, HandSegmentation], R],
    batch: int = 1,
) -> Generator[tuple[InputPhoto, Future[R]], None, None]:
    """Segment the photos on one thread per segmenter; see `map_bounded`.

    Args:
        photos: photos to segment.
        segmenters: one for each thread.
        options: options for `segment`.
        finish: called with each photo and its result.
        batch: photos that a thread takes at a time and segments together.

    Yields:
        Each photo in order with its finished call, whose result is that of `finish`.
    """
    idle: SimpleQueue[Segmenter] = SimpleQueue()
    for segmenter in segmenters:
        idle.put(segmenter)

    def do(some: Sequence[InputPhoto]) -> list[Future[R]]:
        segmenter = idle.get()
        try:
            found = _segment(some, segmenter, options)
            return [
                call_now(lambda pair: finish(pair[0], pair[1].result()), pair)
                for pair in zip(some, found, strict=True)
            ]
        finally:
            idle.put(segmenter)

    batches = [photos[start : start + batch] for start in range(0, len(photos), batch)]
    with closing(map_bounded(do, batches, len(segmenters))) as calls:
        for some, call in calls:
            yield from zip(some, call.result(), strict=True)


def _segment(
    photos: Sequence[InputPhoto], segmenter: Segmenter, options: dict[str, Any]
) -> list[Future[HandSegmentation]]:
    """Segment photos together; if that fails, one by one, to find out which ones fail."""
    sources = [call_now(InputPhoto.source, photo) for photo in photos]
    if len(photos) > 1:
        try:
            results = segmenter.segment_batch([one.result() for one in sources], **options)
        except Exception:
            logger.debug("a batch failed, its photos are segmented one by one", exc_info=True)
        else:
            return [call_now(lambda result: result, one) for one in results]
    return [
        call_now(lambda source: segmenter.segment(source.result(), **options), one)
        for one in sources
    ]


def write_all(
    photos: Sequence[InputPhoto],
    segmenters: Sequence[Segmenter],
    options: dict[str, Any],
    wanted: Writer,
    rows: JsonFile | None,
    batch: int = 1,
) -> Generator[tuple[InputPhoto, Future[bool]], None, None]:
    """Like `segment_all`, but write the results; calls return whether the photo has a hand."""

    def write(photo: InputPhoto, result: HandSegmentation) -> bool:
        wanted.write(photo, result, rows)
        return bool(result)

    return segment_all(photos, segmenters, options, write, batch)


@dataclass
class Run:
    """Outcomes of a run's photos; `seconds` from the first photo to the last."""

    rank: Rank
    skipped: int
    done: int = 0
    without_hand: int = 0
    failed: int = 0
    seconds: float = 0.0

    def count(
        self,
        calls: Generator[tuple[InputPhoto, Future[bool]], None, None],
        total: int,
        rows: JsonFile | None = None,
    ) -> None:
        """Count the outcomes of `total` photos, and report those that failed or have no hand.

        Args:
            calls: each photo with a finished call that returns whether it has a hand; closed at the
                end.
            total: number of photos.
            rows: records failures.
        """
        start = time.perf_counter()
        with closing(calls), progress_bar(shown=self.rank.number == 0) as bar:
            for photo, call in bar.track(calls, total=total):
                try:
                    found = call.result()
                except Exception as error:
                    # Unexpected errors too: the next photo may work.
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
                    if rows is not None:
                        rows.fail(photo.path, why)
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
