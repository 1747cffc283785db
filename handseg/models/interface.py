"""The interface of SAM-family models for the pipeline: numpy in, numpy out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np

from handseg.prompts.batch import IGNORED, PromptBatch


class Embeddings(Protocol):
    """Encoded crops, opaque to all but the model that made them."""

    def __len__(self) -> int:
        """Number of crops."""
        ...

    def __getitem__(self, rows: slice | np.ndarray) -> Embeddings:
        """The crops at `rows`, a slice or an integer array, which may repeat a crop."""
        ...


class MaskModel(Protocol):
    """A promptable segmentation model for square crops: encode once, prompt many times.

    Attributes:
        input_size: side of the crops, px.
        mask_size: side of the logits, px; SAM's families upsample their embeddings fourfold, which
            is a quarter of `input_size` for patches of 16 px but not for SAM 3's of 14 px.
    """

    input_size: int
    mask_size: int

    def encode(self, crops: np.ndarray) -> Embeddings:
        """Run the image encoder on `crops` (N, input_size, input_size, 3) uint8 RGB.

        Raises:
            ValueError: if `crops` has another shape or dtype, or N is 0.
        """
        ...

    def decode(self, embeddings: Embeddings, prompts: PromptBatch) -> tuple[np.ndarray, np.ndarray]:
        """Predict one mask per crop; row i of `prompts` is for crop i.

        Points labelled -10 have no effect.

        Returns:
            Logits (N, mask_size, mask_size) float32, above 0 on the hand, and the model's own
            estimate of the mask's IoU (N,) float32.

        Raises:
            ValueError: if the shapes of prompts, embeddings and model do not match.
        """
        ...

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Save the model in `folder`, for `load_mask_model`.

        Raises:
            ModelError: if models of this kind cannot be saved.
        """
        ...


def check_crops(crops: np.ndarray, input_size: int) -> None:
    """Raise ValueError unless `crops` is (N >= 1, input_size, input_size, 3) uint8."""
    if (
        crops.dtype != np.uint8
        or crops.ndim != 4
        or len(crops) == 0
        or crops.shape[1:] != (input_size, input_size, 3)
    ):
        raise ValueError(
            f"crops: expected (N, {input_size}, {input_size}, 3) uint8 with N >= 1, "
            f"got {crops.shape} {crops.dtype}"
        )


def check_prompts(prompts: PromptBatch, count: int, mask_size: int) -> None:
    """Raise ValueError unless `prompts` has `count` consistent rows and masks of `mask_size`."""
    points = prompts.points.shape[1] if prompts.points.ndim == 3 else -1
    expected = {
        "points": (count, points, 2),
        "labels": (count, points),
        "boxes": (count, 4),
        "masks": (count, mask_size, mask_size),
    }
    for name, shape in expected.items():
        array = getattr(prompts, name)
        if array is not None and array.shape != shape:
            wanted = str(shape).replace("-1", "P")
            raise ValueError(f"prompts.{name}: expected {wanted}, got {array.shape}")


def without_padding(prompts: PromptBatch) -> Iterator[tuple[np.ndarray, PromptBatch]]:
    """Drop the points labelled -10, and group the rows by the number of remaining points.

    SAM's families embed an ignored point as a zero vector, which still gets its share of attention
    and shifts the logits. Only leaving it out leaves the mask unchanged.

    Yields:
        The indices of a group's rows, and the prompts of these rows.
    """
    kept = prompts.labels != IGNORED
    counts = kept.sum(axis=1)
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        some, group = prompts[rows], kept[rows]
        yield (
            rows,
            replace(
                some,
                points=some.points[group].reshape(len(rows), count, 2),
                labels=some.labels[group].reshape(len(rows), count),
            ),
        )
