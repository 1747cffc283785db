"""Destinations of the results of `handseg segment`: files for each photo, or shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from handseg._version import __version__
from handseg.cli.common import SegmenterChoice
from handseg.cli.folder import segment_all, write_all
from handseg.cli.json_file import JsonFile
from handseg.cli.outputs import InputPhoto, foreign_files, refuse_to_replace, result_name
from handseg.cli.pictures import Outputs
from handseg.cli.shards import Samples, Shards
from handseg.models.identity import weights_identity
from handseg.runtime.files import find_unfinished
from handseg.runtime.ranks import Rank
from handseg.runtime.run_folder import RunFolder

if TYPE_CHECKING:
    from handseg.pipeline.interface import Segmenter

Calls: TypeAlias = Generator[tuple[InputPhoto, "Future[bool]"], None, None]
"""Finished photos, each with a call that returns whether it has a hand, or raises."""


class Into(Protocol):
    """Takes the results of the photos of a run.

    Attributes:
        left: number of photos left for this process.
        skipped: number of its photos that were done before.
        kept: files in place of results that this program did not write and leaves alone.
        rows: the JSON file, which also records failures; None if there is none.
    """

    left: int
    skipped: int
    kept: Sequence[Path]
    rows: JsonFile | None

    def calls(self, segmenters: Sequence[Segmenter], made_by: SegmenterChoice) -> Calls:
        """Segment the remaining photos, as many at a time as there are segmenters."""
        ...

    def calls_on_ray(self, made_by: SegmenterChoice) -> Calls:
        """Like `calls`, in the processes of the connected cluster."""
        ...

    def end(self) -> None:
        """Write the files about all photos, if this process is the last.

        Raises:
            ValueError: if the JSON file holds something else.
            OSError: if it cannot be written.
        """
        ...


class IntoFiles:
    """Writes files for each photo, where they are missing.

    Raises:
        ValueError: if the folder holds the files of something else.
    """

    def __init__(
        self, wanted: Outputs, photos: Sequence[InputPhoto], json_file: Path | None, rank: Rank
    ) -> None:
        self._wanted, self._photos, self._json_file, self._rank = wanted, photos, json_file, rank
        self.rows = None if json_file is None else JsonFile(json_file, anew=wanted.overwrite)
        own = rank.share(photos)
        if not wanted.overwrite:
            for photo in own:
                refuse_to_replace(photo, wanted.files(photo))
        self._todo = [
            photo for photo in own if wanted.overwrite or not wanted.are_there(photo, self.rows)
        ]
        if self.rows is not None:
            self.rows.retry(photo.path for photo in self._todo)
        self.left, self.skipped = len(self._todo), len(own) - len(self._todo)
        self.kept: Sequence[Path] = ()
        if not wanted.overwrite:
            files = chain.from_iterable(map(wanted.files, photos))
            self.kept = foreign_files(files, writing=bool(self._todo))

    def calls(self, segmenters: Sequence[Segmenter], made_by: SegmenterChoice) -> Calls:
        return write_all(
            self._todo, segmenters, made_by.options, self._wanted, self.rows, made_by.batch
        )

    def calls_on_ray(self, made_by: SegmenterChoice) -> Calls:
        from handseg.cli.segment_on_ray import write_on_ray

        return write_on_ray(self._todo, made_by, self._wanted, self._json_file)

    def end(self) -> None:
        """Merge all rows into the JSON file, if this process is the last."""
        if self.rows is None:
            return
        paths = (photo.path for photo in self._photos)
        if self._rank.count == 1 or self.rows.has_all(paths, worked=self.left > 0):
            self.rows.merge()


class IntoShards:
    """Writes WebDataset shards, each entirely by one process; see `Shards`.

    Raises:
        RunMismatch: if the folder holds something else, or a run with other settings or photos.
    """

    kept: Sequence[Path] = ()
    rows: JsonFile | None = None

    def __init__(
        self,
        wanted: Outputs,
        photos: Sequence[InputPhoto],
        json_file: Path | None,
        rank: Rank,
        output: Path,
        size: int,
        made_by: SegmenterChoice,
    ) -> None:
        self._names = [result_name(photo, output) for photo in photos]
        self._shards = Shards(output, photos, self._names, size, wanted)
        self._json = None if json_file is None else JsonFile(json_file)
        self._run = RunFolder(output, _identity(self._shards, made_by))
        own = rank.share(range(len(photos)), size)
        numbers = set(map(self._shards.number, own))
        there = {number for number in numbers if self._shards.path(number).exists()}
        self._left = [
            index
            for index in own
            if self._shards.number(index) not in there
            or self._names[index] not in self._run.journal
        ]
        self._run.journal.retry(self._names[index] for index in self._left)
        self.left, self.skipped = len(self._left), len(own) - len(self._left)

    def calls(self, segmenters: Sequence[Segmenter], made_by: SegmenterChoice) -> Calls:
        def samples(photos: Sequence[InputPhoto]) -> Samples:
            members = self._shards.wanted.members
            return segment_all(photos, segmenters, made_by.options, members, made_by.batch)

        self._run.claim()
        indices = self._shards.whole(self._left)
        yield from self._shards.fill(indices, self._run.journal, samples)

    def calls_on_ray(self, made_by: SegmenterChoice) -> Calls:
        from handseg.cli.segment_on_ray import fill_on_ray

        self._run.claim()
        yield from fill_on_ray(self._shards, self._left, made_by)
        for path in find_unfinished(self._shards.output):  # Left by killed processes.
            path.unlink(missing_ok=True)

    def end(self) -> None:
        """Write the JSON file, if all photos are done."""
        over = self._run.is_over(self._names, str, worked=self.left > 0)
        if not over or not self._run.take_end():
            return
        if self._json is not None:
            for photo, name in zip(self._shards.photos, self._names, strict=True):
                if name in self._run.journal:
                    self._json.add(photo.path, self._run.journal[name])
            self._json.merge()
        self._run.end()


def _identity(shards: Shards, made_by: SegmenterChoice) -> dict[str, object]:
    """Return all that determines the shards' contents."""
    files = [
        [name, photo.path.stat().st_size]
        for name, photo in zip(shards.names, shards.photos, strict=True)
    ]
    return {
        "handseg": __version__,
        "input": hashlib.sha256(json.dumps(files).encode()).hexdigest(),
        "photos": len(shards.photos),
        "shard_size": shards.size,
        **weights_identity(made_by.model, made_by.adapter, made_by.recipe),
        **shards.wanted.identity(),
        **made_by.options,
    }
