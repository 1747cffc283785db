"""SAM-family models as ONNX graphs, run by ONNX Runtime; see `handseg.models.export.onnx`.

It imports neither torch nor transformers.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handseg.errors import ModelError
from handseg.models.bundled import LITE_FOLDER
from handseg.models.interface import Embeddings, check_crops, check_prompts, without_padding
from handseg.prompts.batch import PromptBatch
from handseg.runtime.files import write_atomic
from handseg.runtime.onnx_graph import Graph

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
METADATA = "handseg"
"""The decoder's metadata property that holds the `Layout` as JSON."""
CORNERS, PADDING = (2, 3), -1
"""Labels of a box's first and last corner, and of the padding point."""

_SAVED = ("*.onnx", "*.onnx.data", "*.safetensors", "config.json", "preprocessor_config.json")


@dataclass(frozen=True)
class Layout:
    """Properties that the graphs do not contain.

    Attributes:
        input_size, mask_size: px, as in `MaskModel`.
        pads_boxes: whether a box is followed by a padding point, as in SAM 2 and later.
    """

    input_size: int
    mask_size: int
    pads_boxes: bool


@dataclass(frozen=True)
class OnnxEmbeddings:
    """Encoder outputs by the names of the decoder's inputs; the first axis is the crops'."""

    arrays: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, rows: slice | np.ndarray) -> OnnxEmbeddings:
        return OnnxEmbeddings({name: array[rows] for name, array in self.arrays.items()})


class OnnxMaskModel:
    """The graphs of a folder as a mask model, on the CPU. Safe to share between threads.

    Copies, pickles and forked processes load it from the folder again.

    Args:
        folder: folder with `encoder.onnx` and `decoder.onnx`.
        threads: threads per call; None uses the last count set by
            `handseg.runtime.threads.limit_threads`, or all cores, at most
            `handseg.runtime.onnx_graph.MOST_THREADS`.
        contents: contents of the two files, by name, for a folder that may disappear later: copies
            include them, and a forked process reads them.

    Raises:
        ModelError: if the graphs cannot be read, or were not written by `handseg export`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        threads: int | None = None,
        contents: Mapping[str, bytes] | None = None,
    ) -> None:
        self.folder = Path(folder)
        if contents is None and not has_graphs(self.folder):
            raise ModelError(
                f"{folder}: no {ENCODER} and {DECODER}, which `handseg export --format onnx` writes"
            )
        self._threads = threads
        self._contents = contents or {}
        self._encoder, self._decoder = (
            Graph(self.folder / name, threads, self._contents.get(name))
            for name in (ENCODER, DECODER)
        )
        stored = self._decoder.session().get_modelmeta().custom_metadata_map.get(METADATA)
        if stored is None:
            raise ModelError(f"{self.folder / DECODER}: not a graph that `handseg export` wrote")
        self._layout = Layout(**json.loads(stored))
        self._names = [output.name for output in self._encoder.session().get_outputs()]
        self.input_size = self._layout.input_size
        self.mask_size = self._layout.mask_size

    def __reduce__(self) -> tuple[Any, ...]:
        bundled = self.folder == LITE_FOLDER  # May be elsewhere on another machine.
        folder = None if bundled else self.folder.absolute()
        return _load, (folder, self._threads, self._contents or None)

    def encode(self, crops: np.ndarray) -> OnnxEmbeddings:
        """See `MaskModel.encode`."""
        check_crops(crops, self.input_size)
        # One at a time: on a CPU a batch is no faster, and takes more memory.
        runs = [
            self._encoder.run({"crops": np.ascontiguousarray(crop)})
            for crop in np.split(crops, len(crops))
        ]
        arrays = (np.concatenate(parts) for parts in zip(*runs, strict=True))
        return OnnxEmbeddings(dict(zip(self._names, arrays, strict=True)))

    def decode(self, embeddings: Embeddings, prompts: PromptBatch) -> tuple[np.ndarray, np.ndarray]:
        """See `MaskModel.decode`."""
        if not isinstance(embeddings, OnnxEmbeddings):
            raise TypeError(
                f"embeddings: expected what encode() of this model returned, got {type(embeddings)}"
            )
        count = len(embeddings)
        check_prompts(prompts, count, self.mask_size)
        logits = np.empty((count, self.mask_size, self.mask_size), np.float32)
        predicted_iou = np.empty(count, np.float32)
        for rows, group in without_padding(prompts):
            chosen = embeddings if len(rows) == count else embeddings[rows]
            inputs = {**chosen.arrays, **self._inputs(group)}
            logits[rows], predicted_iou[rows] = self._decoder.run(inputs)
        return logits, predicted_iou

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Copy the graphs, and the weights and configuration of the same model if there are any."""
        for name, content in self._contents.items():
            with write_atomic(Path(folder) / name) as temporary:
                temporary.write_bytes(content)
        for pattern in _SAVED:
            for file in self.folder.glob(pattern):
                if file.name not in self._contents:
                    with write_atomic(Path(folder) / file.name) as temporary:
                        shutil.copyfile(file, temporary)

    def _inputs(self, prompts: PromptBatch) -> dict[str, np.ndarray]:
        """Points, box corners and padding in the order of the family's prompt encoder."""
        count = len(prompts)
        points, labels = [prompts.points], [prompts.labels]
        padding = np.zeros((count, 1, 2), np.float32), np.full((count, 1), PADDING)
        if prompts.boxes is not None:
            points.append(prompts.boxes.reshape(count, 2, 2))
            labels.append(np.tile(CORNERS, (count, 1)))
        if prompts.boxes is None or self._layout.pads_boxes:
            points.append(padding[0])
            labels.append(padding[1])
        masks = prompts.masks
        if masks is None:
            masks = np.zeros((count, self.mask_size, self.mask_size), np.float32)
        return {
            "points": np.concatenate(points, axis=1, dtype=np.float32),
            "labels": np.concatenate(labels, axis=1, dtype=np.int64),
            "masks": masks.astype(np.float32, copy=False),
            "has_mask": np.full(count, prompts.masks is not None, np.float32),
        }


def has_graphs(folder: Path) -> bool:
    """Whether `folder` holds a model's graphs."""
    return (folder / ENCODER).is_file() and (folder / DECODER).is_file()


def _load(
    folder: Path | None, threads: int | None, contents: Mapping[str, bytes] | None
) -> OnnxMaskModel:
    return OnnxMaskModel(folder or LITE_FOLDER, threads, contents)
