"""Many photos through `handseg segment`: worked on side by side, written, counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np

from handseg.cli.common import progress_bar, say
from handseg.cli.outputs import InputPhoto
from handseg.errors import nothing_can_be_written, reason
from handseg.io.files import save_image
from handseg.landmarks import start_quietly
from handseg.landmarks._mediapipe import native_stderr_silenced
from handseg.results import Edge, HandSegmentation
from handseg.runtime.journal import JsonJournal
from handseg.runtime.pool import map_bounded
from handseg.runtime.ranks import Rank
from handseg.segmenter import HandSegmenter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Outputs:
    """What is written for each photo; `background` is a colour (r, g, b) or (H, W, 3) uint8."""

    mask: bool
    objects: bool
    overlay: bool
    background: tuple[int, int, int] | np.ndarray | None
    edge: Edge

    def are_there(self, photo: InputPhoto, rows: JsonJournal | None) -> bool:
        files = [photo.picture]
        files += [photo.mask] if self.mask else []
        files += [photo.object_mask] if self.objects else []
        files += [photo.overlay] if self.overlay else []
        return all(file.exists() for file in files) and (rows is None or photo.path in rows)

    def write(self, photo: InputPhoto, result: HandSegmentation, rows: JsonJournal | None) -> None:
        """Write the photo's files and then its row: whoever finds that finds all."""
        if self.background is None:
            save_image(result.cutout(edge=self.edge), photo.picture)
        else:
            save_image(result.composite(self.background, self.edge), photo.picture)
        if self.mask:
            save_image(result.mask, photo.mask)
        if (held := result.object_mask) is not None and self.objects:
            save_image(held, photo.object_mask)
        if self.overlay:
            save_image(result.overlay(), photo.overlay)
        if rows is not None:
            rows.add(photo.path, result.to_dict())


@contextmanager
def ready(segmenter: HandSegmenter, count: int) -> Iterator[list[HandSegmenter]]:
    """`segmenter` and others that share its model, `count` in all; closed at the end."""
    with ExitStack() as stack:
        others = [segmenter.share() for _ in range(count - 1)]
        for one in (segmenter, *others):
            stack.enter_context(one)
        if others and segmenter.takes_prompts:
            # Together, as each takes a while; silenced as a whole, as their own silences overlap.
            with native_stderr_silenced(), ThreadPoolExecutor(len(others)) as pool:
                list(pool.map(lambda one: start_quietly(lambda: one.landmarker), others))
        yield [segmenter, *others]


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
        segmenters: Sequence[HandSegmenter],
        options: dict[str, Any],
        wanted: Outputs,
        rows: JsonJournal | None,
    ) -> None:
        """Do the photos, as many at a time as there are segmenters."""
        idle: SimpleQueue[HandSegmenter] = SimpleQueue()
        for segmenter in segmenters:
            idle.put(segmenter)

        def has_hand(photo: InputPhoto) -> bool:
            segmenter = idle.get()
            try:
                result = segmenter.segment(photo.source(), **options)
                wanted.write(photo, result, rows)
                return bool(result)
            finally:
                idle.put(segmenter)

        start = time.perf_counter()
        with (
            progress_bar(shown=self.rank.number == 0) as bar,
            closing(map_bounded(has_hand, photos, len(segmenters))) as calls,
        ):
            for photo, call in bar.track(calls, total=len(photos)):
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
            parts.append(f"{each:.{2 if each >= 0.1 else 3}f} s a photo")
            if self.done + self.failed > 1:
                parts.append(f"{1 / each:.1f} photos a second")
        process = f"Process {self.rank.number + 1} of {self.rank.count}: "
        return (process if self.rank.count > 1 else "") + ", ".join(parts) + "."
