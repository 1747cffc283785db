"""Columns with the hands for tables of photos, independent of the engine."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

import numpy as np

from handseg._version import __version__
from handseg.api import load_segmenter
from handseg.errors import ImageError, reason
from handseg.io.files import encode_image
from handseg.io.images import ImageSource
from handseg.models.bundled import LITE, home
from handseg.models.sam.onnx import OnnxMaskModel
from handseg.pipeline.options import BatchOptions, check_names, complete
from handseg.results import HandSegmentation
from handseg.runtime.files import content_digest
from handseg.runtime.threads import limit_threads
from handseg.segmenter import HandSegmenter

if TYPE_CHECKING:
    import pyarrow
    from typing_extensions import Unpack

    from handseg.pipeline.interface import Segmenter

Masks: TypeAlias = Literal["rle", "png"]

_OBJECTS = "object_masks"


class HandColumns:
    """Adds columns with the hands to batches of photos.

    Each cell is a list with one entry per hand, or null if the photo failed:

    - `masks`: COCO RLE (`size` height, width; `counts`), or the bytes of a PNG, 255 on the hand.
    - `object_masks`, with `objects=True`: like `masks`, null if the hand holds nothing.
    - `boxes`: x0, y0, x1, y1 px, see `Hand.box`.
    - `landmarks`: 21 pairs of x, y px; null if the hand has none.
    - `handedness`: "left" or "right"; null for models that take no prompts.
    - `handedness_scores`, `detection_scores`, `predicted_ious`: as in `Hand`.

    `error` says in one line why a photo failed, or is null.

    It is pickled without the loaded model; each process loads its own.

    Args:
        segmenter: a name or path for `handseg.load_segmenter`, loaded in each process when it is
            first needed; or a segmenter, which is rebuilt in other processes.
        column: column of the photos: paths, URIs, bytes of files, arrays (H, W, 3) uint8 RGB,
            anything else that `handseg.load_image` takes, or `{"bytes": ..., "path": ...}` as in
            `datasets`.
        masks: "rle" or "png".
        device: such as "cuda"; only with a name or path.
        threads: number of threads per photo in each process; None uses all cores.
        **options: see `BatchOptions`; the same for all photos.

    Raises:
        ValueError: if an argument has an invalid value.
        ModelError: if held objects are requested and `segmenter` does not support them.
        TypeError: if an option is unknown.
    """

    def __init__(
        self,
        segmenter: str | Path | Segmenter = LITE,
        *,
        column: str = "image",
        masks: Masks = "rle",
        device: str | None = None,
        threads: int | None = None,
        **options: Unpack[BatchOptions],
    ) -> None:
        check_names("segment", options, BatchOptions)
        complete(options)
        if masks not in get_args(Masks):
            choices = " or ".join(map(repr, get_args(Masks)))
            raise ValueError(f"masks must be {choices}, got {masks!r}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        self.column, self.masks, self._options = column, masks, options
        self._device, self._threads = device, threads
        self.guard: Callable[[Any], AbstractContextManager[Any]] = nullcontext
        """Context for the work on each photo; if it raises, the photo fails."""
        self._source: str | bytes
        self._loaded: Segmenter | None = None
        if isinstance(segmenter, str | os.PathLike):
            self._source = os.fspath(segmenter)
            weights: str | Path | None = home(segmenter)
        else:
            if device is not None:
                raise ValueError("device needs a segmenter that is given by name or path")
            self._source, self._loaded = pickle.dumps(segmenter), segmenter
            self._check(segmenter)
            weights = _folder(segmenter)
        # `datasets` looks up cached results by the pickled state.
        self._version = __version__, None if weights is None else content_digest(weights)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the added columns."""
        return tuple(self.schema().names)

    def schema(self) -> pyarrow.Schema:
        """Return the added columns with their Arrow types."""
        import pyarrow as pa

        number, score, text = pa.float32(), pa.float64(), pa.string()
        rle = pa.struct([("size", pa.list_(pa.int32())), ("counts", text)])
        mask = rle if self.masks == "rle" else pa.binary()
        columns = {
            "masks": mask,
            _OBJECTS: mask,
            "boxes": pa.list_(number),
            "landmarks": pa.list_(pa.list_(number)),
            "handedness": text,
            "handedness_scores": score,
            "detection_scores": score,
            "predicted_ious": score,
        }
        if not self._options.get("objects"):
            del columns[_OBJECTS]
        lists = [(name, pa.list_(kind)) for name, kind in columns.items()]
        return pa.schema([*lists, ("error", text)])

    def check(self, columns: Iterable[str]) -> None:
        """Check that data with these columns can be processed.

        Raises:
            ValueError: if the photos' column is missing, or an added column already exists.
        """
        columns = list(columns)
        if self.column not in columns:
            there = ", ".join(columns) or "no column"
            raise ValueError(f"column: {self.column!r} does not exist, the data has {there}")
        if taken := [name for name in self.names if name in columns]:
            raise ValueError(
                f"the data already has {', '.join(taken)}: rename or remove these columns"
            )

    def load(self) -> Segmenter:
        """Return the segmenter, loading it on first use.

        Raises:
            ModelError: if it cannot be loaded, or does not support requested held objects.
        """
        if self._loaded is None:
            if self._threads is not None:
                limit_threads(self._threads)
            if isinstance(self._source, bytes):
                self._loaded = cast("Segmenter", pickle.loads(self._source))
            else:
                self._loaded = load_segmenter(self._source, device=self._device)
            self._check(self._loaded)
        return self._loaded

    def _check(self, segmenter: Segmenter) -> None:
        if self._options.get("objects"):
            segmenter.check_objects()

    def rows(self, photos: Iterable[Any]) -> dict[str, list[Any]]:
        """Compute the new columns for these cells of the photos' column."""
        segmenter = self.load()
        empty = dict.fromkeys(self.names)
        rows = []
        for photo in photos:
            try:
                with self.guard(photo):
                    found = segmenter.segment(_source(photo), **self._options)
                rows.append({**empty, **self._row(found)})
            except Exception as error:
                # Unexpected errors, too: the next photo may work.
                rows.append({**empty, "error": reason(error)})
        return {name: [row[name] for row in rows] for name in empty}

    def add_to(self, table: pyarrow.Table) -> pyarrow.Table:
        """Return `table` with the new columns."""
        import pyarrow as pa

        self.check(table.column_names)
        rows = self.rows(table[self.column].to_pylist())
        for field in self.schema():
            table = table.append_column(field, pa.array(rows[field.name], field.type))
        return table

    def _row(self, result: HandSegmentation) -> dict[str, Any]:
        hands = result.hands
        row: dict[str, Any] = {
            "boxes": [hand.box.tolist() for hand in hands],
            "landmarks": [
                None if hand.landmarks is None else hand.landmarks.tolist() for hand in hands
            ],
            "handedness": [hand.handedness for hand in hands],
            "handedness_scores": [hand.handedness_score for hand in hands],
            "detection_scores": [hand.detection_score for hand in hands],
            "predicted_ious": [hand.predicted_iou for hand in hands],
        }
        if self.masks == "png":
            row["masks"] = [encode_image(hand.mask, "mask.png") for hand in hands]
            held = [hand.object_mask for hand in hands]
            objects = [
                None if mask is None or not mask.any() else encode_image(mask, "mask.png")
                for mask in held
            ]
        else:
            notes = result.to_coco(first_annotation_id=0)["annotations"]
            row["masks"] = [note["segmentation"] for note in notes[: len(hands)]]
            held_by = {note["held_by"]: note["segmentation"] for note in notes[len(hands) :]}
            objects = [held_by.get(number) for number in range(len(hands))]
        if self._options.get("objects"):
            row[_OBJECTS] = objects
        return row


def _folder(segmenter: Segmenter) -> Path | None:
    """Return the folder that copies load from; None if weights are pickled along."""
    model = segmenter.model if isinstance(segmenter, HandSegmenter) else None
    return model.folder if isinstance(model, OnnxMaskModel) else None


def _source(cell: Any) -> ImageSource:
    """Convert a cell of `datasets` or Ray to an input of `load_image`."""
    if isinstance(cell, Mapping):
        content = cell.get("bytes")
        cell = cell.get("path") if content is None else content
    if cell is None:
        raise ImageError("this row has no image")
    if isinstance(cell, str) and "://" in cell:
        return _read_uri(cell)
    return np.asarray(cell) if isinstance(cell, list) else cell


def _read_uri(uri: str) -> bytes:
    """Read the file at `uri`, on any file system that Arrow or fsspec supports."""
    import pyarrow as pa
    from pyarrow import fs

    try:
        system, path = fs.FileSystem.from_uri(uri)
    except pa.ArrowInvalid:  # Arrow does not support this scheme.
        import fsspec

        with fsspec.open(uri, "rb") as file:
            return bytes(file.read())
    with system.open_input_stream(path) as stream:
        return bytes(stream.read())
