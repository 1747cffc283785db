"""Hands from a semantic segmentation network: no landmarks, no prompts, no regions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from handseg.errors import ModelError
from handseg.io.images import ImageSource, LoadedImage, read_image
from handseg.models.semantic.config import OBJECT
from handseg.models.semantic.model import SemanticModel
from handseg.pipeline.options import (
    BatchOptions,
    SegmentOptions,
    check_names,
    check_several,
    complete,
    documents_options,
    given_prompts,
)
from handseg.results import HandSegmentation
from handseg.results.hand import Hand, shrink_to_photo
from handseg.runtime.extras import needing_extras

if TYPE_CHECKING:
    import torch
    from typing_extensions import Unpack

_STEEPNESS = 4.0


class SemanticSegmenter:
    """Cuts out hands with a semantic segmentation network, such as a trained baseline.

    Such a network separates hands from the background but not from each other: a result has at most
    one hand. It does not support prompts, `forearm` and `holes`.

    Args:
        model: the network.
    """

    def __init__(self, model: SemanticModel) -> None:
        self.model = model

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> SemanticSegmenter:
        """Load a model written by `handseg finetune` or `save_pretrained`.

        Args:
            folder: holds configuration and weights.
            device: None selects a GPU if there is one.
            dtype: type of the weights, such as "bfloat16"; None keeps float32.

        Raises:
            ModelError: if it cannot be loaded.
        """
        with needing_extras(str(folder)):
            return cls(SemanticModel.from_pretrained(folder, device, dtype))

    def save_pretrained(self, folder: str | Path) -> None:
        """Save the model for `from_pretrained`."""
        self.model.save_pretrained(folder)

    def __enter__(self) -> SemanticSegmenter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: there are no resources outside Python."""

    def warm_up(self) -> None:
        """Do nothing: the network is already loaded."""

    def share(self) -> SemanticSegmenter:
        """Create another segmenter with the same model, for another thread."""
        return SemanticSegmenter(self.model)

    def check_objects(self) -> None:
        """Raise ModelError if the model has no output for held objects."""
        if OBJECT not in self.model.classes:
            raise ModelError(f"objects: this model labels only {', '.join(self.model.classes)}")

    @documents_options(SegmentOptions)
    def segment(self, image: ImageSource, **options: Unpack[SegmentOptions]) -> HandSegmentation:
        """Cut out what the network labels as hand.

        The mask is where the probability, resized to the photo, is at least one half; the alpha
        is `_STEEPNESS` times steeper there. `predicted_iou` is the IoU to be expected if the
        probabilities are correct. With `objects`, the object mask is what the network labels as
        object.

        Args:
            image: as for `handseg.segment`.
            **options: see `SegmentOptions`.

        Returns:
            One hand, or none.

        Raises:
            ImageError: if the image cannot be read.
            ValueError: if prompts, `forearm` or `holes` are given.
            ModelError: if the network has no output for `objects`.
            TypeError: if an option is unknown.
        """
        options = complete(options)
        return self.embed(image).segment(**options)

    def segment_batch(
        self, images: Iterable[ImageSource], **options: Unpack[BatchOptions]
    ) -> list[HandSegmentation]:
        """Cut the hands out of several photos, one after another."""
        check_names("segment_batch", options, BatchOptions)
        check_several(images)
        return [self.segment(image, **options) for image in images]

    def embed(self, image: ImageSource) -> LabelledPhoto:
        """Prepare a photo; the network runs on it once, when it is first needed.

        Raises:
            ImageError: if the image cannot be read.
        """
        return LabelledPhoto(self, read_image(image))


class LabelledPhoto:
    """A photo for a `SemanticSegmenter`; create one with its `embed`.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        dpi: px per inch, horizontally and vertically; None if the file has none.
    """

    def __init__(self, segmenter: SemanticSegmenter, loaded: LoadedImage) -> None:
        self.image, self.dpi = loaded.pixels, loaded.dpi
        self._segmenter = segmenter

    @cached_property
    def _probabilities(self) -> np.ndarray:
        return self._segmenter.model.probabilities(self.image)

    def segment(self, **options: Unpack[SegmentOptions]) -> HandSegmentation:
        """Cut out what the network labels as hand; see `SemanticSegmenter.segment`."""
        options = complete(options)
        refused = given_prompts(options)
        refused += ["forearm"] if options["forearm"] is not None else []
        refused += ["holes"] if options["holes"] != "keep" else []
        if refused:
            raise ValueError(
                f"{' and '.join(refused)}: not supported by a semantic segmentation network, which "
                "uses neither prompts nor landmarks"
            )
        if options["objects"]:
            self._segmenter.check_objects()
        hand = self._hand()
        if hand is not None and options["objects"]:
            held = self._probabilities[self._segmenter.model.classes.index(OBJECT)]
            patch, offset = shrink_to_photo(_alpha(held), (0, 0), held.shape)
            hand = replace(hand, object_patch=patch, object_offset=offset)
        return HandSegmentation(self.image, () if hand is None else (hand,), self.dpi)

    def _hand(self) -> Hand | None:
        probability = self._probabilities[0]
        mask = probability >= 0.5
        if not mask.any():
            return None
        height, width = mask.shape
        union = np.count_nonzero(mask) + probability[~mask].sum()
        return Hand.from_alpha(
            _alpha(probability),
            (0, 0),
            (height, width),
            prompt_box=np.array([0, 0, width - 1, height - 1], np.float32),
            predicted_iou=float(probability[mask].sum() / union),
        )


def _alpha(probability: np.ndarray) -> np.ndarray:
    return np.clip(0.5 + _STEEPNESS * (probability - 0.5), 0, 1)
