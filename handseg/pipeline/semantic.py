"""Hands by a network that labels whole photos: no landmarks, no prompts, no regions."""

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
    """Cuts out what a network labels as hand, one of the baselines that `handseg finetune` trains.

    Such a network tells hand from background, not one hand from another: a result has one hand at
    most. It takes neither prompts nor `forearm` and `holes`.

    Args:
        model: labels whole photos.
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
        """Load what `handseg finetune` or `save_pretrained` wrote.

        Args:
            folder: with configuration and weights.
            device: None takes a GPU where there is one.
            dtype: of the weights, such as "bfloat16"; None keeps float32.

        Raises:
            ModelError: if it cannot be loaded.
        """
        with needing_extras(str(folder)):
            return cls(SemanticModel.from_pretrained(folder, device, dtype))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model; `from_pretrained` reads it back."""
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
        """Nothing is held that Python does not free."""

    def warm_up(self) -> None:
        """The network is ready once it is loaded."""

    def share(self) -> SemanticSegmenter:
        """Another segmenter, for another thread, with the same model."""
        return SemanticSegmenter(self.model)

    def check_objects(self) -> None:
        """Raise ModelError if the model has no output for what hands hold."""
        if OBJECT not in self.model.classes:
            raise ModelError(f"objects: this model labels {', '.join(self.model.classes)} alone")

    @documents_options(SegmentOptions)
    def segment(self, image: ImageSource, **options: Unpack[SegmentOptions]) -> HandSegmentation:
        """Cut out what the network calls hand.

        The mask is where its probability, resized to the photo, is at least one half, and the alpha
        rises `_STEEPNESS` times as fast there. `predicted_iou` is the IoU to be expected if the
        probabilities are true. With `objects`, the hand holds what the network calls object.

        Args:
            image: as `handseg.segment` takes it.
            **options: see `SegmentOptions`.

        Returns:
            One hand, or none.

        Raises:
            ImageError: if the image cannot be read.
            ValueError: if prompts, `forearm` or `holes` are given.
            ModelError: if the network has no output for `objects`.
            TypeError: if there is no such option.
        """
        options = complete(options)
        return self.embed(image).segment(**options)

    def segment_batch(
        self, images: Iterable[ImageSource], **options: Unpack[BatchOptions]
    ) -> list[HandSegmentation]:
        """Cut the hands out of several photos, one after another."""
        check_names("segment_batch", options, BatchOptions)
        return [self.segment(image, **options) for image in images]

    def embed(self, image: ImageSource) -> LabelledPhoto:
        """Take a photo in; the network runs over it once, when it is first needed.

        Raises:
            ImageError: if the image cannot be read.
        """
        return LabelledPhoto(self, read_image(image))


class LabelledPhoto:
    """One photo of a `SemanticSegmenter`, whose `embed` makes it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        dpi: px an inch across and down; None if the file gave none.
    """

    def __init__(self, segmenter: SemanticSegmenter, loaded: LoadedImage) -> None:
        self.image, self.dpi = loaded.pixels, loaded.dpi
        self._segmenter = segmenter

    @cached_property
    def _probabilities(self) -> np.ndarray:
        return self._segmenter.model.probabilities(self.image)

    def segment(self, **options: Unpack[SegmentOptions]) -> HandSegmentation:
        """Cut out what the network calls hand; as `SemanticSegmenter.segment`."""
        options = complete(options)
        refused = given_prompts(options)
        refused += ["forearm"] if options["forearm"] is not None else []
        refused += ["holes"] if options["holes"] != "keep" else []
        if refused:
            raise ValueError(
                f"{' and '.join(refused)}: a model that labels whole photos knows neither prompts "
                "nor landmarks"
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
