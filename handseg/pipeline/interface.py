"""The common interface of all segmenters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from handseg.io.images import ImageSource
from handseg.pipeline.options import BatchOptions, SegmentOptions
from handseg.results import HandSegmentation

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class PreparedPhoto(Protocol):
    """A photo that can be segmented any number of times; create one with `Segmenter.embed`.

    Attributes:
        image: (H, W, 3) uint8 RGB.
    """

    image: np.ndarray

    def segment(self, **options: Unpack[SegmentOptions]) -> HandSegmentation:
        """Cut the hands out; options and errors are those of `Segmenter.segment`."""
        ...


class Segmenter(Protocol):
    """Cuts hands out of photos; create one with `handseg.load_segmenter`.

    Threads can use one segmenter together, or each its own from `share`. Close it, or use it in a
    `with` block.
    """

    def segment(self, image: ImageSource, **options: Unpack[SegmentOptions]) -> HandSegmentation:
        """Cut the hands out of one photo; see `handseg.segment`."""
        ...

    def segment_batch(
        self, images: Iterable[ImageSource], **options: Unpack[BatchOptions]
    ) -> list[HandSegmentation]:
        """Cut the hands out of several photos, all held in memory."""
        ...

    def embed(self, image: ImageSource) -> PreparedPhoto:
        """Prepare a photo, to segment it any number of times.

        Raises:
            ImageError: if the image cannot be read.
        """
        ...

    def check_objects(self) -> None:
        """Check that `objects=True` is supported, and load what it needs.

        Raises:
            ModelError: if there is no object stage for this model.
        """
        ...

    def warm_up(self) -> None:
        """Load everything now, so that the first photo does not have to wait."""
        ...

    def share(self) -> Segmenter:
        """Create another segmenter with the same model, for another thread. Close it, too."""
        ...

    def save_pretrained(self, folder: str | Path) -> None:
        """Save the segmenter for `handseg.load_segmenter`.

        Raises:
            ModelError: if a model of this kind cannot be saved.
        """
        ...

    def close(self) -> None:
        """Free resources outside Python. The segmenter can be used again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
