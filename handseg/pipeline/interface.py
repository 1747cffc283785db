"""What all segmenters have in common, whatever their models are."""

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
    """One photo that is segmented any number of times; `Segmenter.embed` makes it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
    """

    image: np.ndarray

    def segment(self, **options: Unpack[SegmentOptions]) -> HandSegmentation:
        """Cut the hands out; takes and raises what `Segmenter.segment` does."""
        ...


class Segmenter(Protocol):
    """Cuts hands out of photos; `handseg.load_segmenter` makes one.

    Threads may share one, or each have its own by `share`. Close it, or use it in a `with` block.
    """

    def segment(self, image: ImageSource, **options: Unpack[SegmentOptions]) -> HandSegmentation:
        """Cut the hands out of one photo; see `handseg.segment`."""
        ...

    def segment_batch(
        self, images: Iterable[ImageSource], **options: Unpack[BatchOptions]
    ) -> list[HandSegmentation]:
        """Cut the hands out of several photos, which are held in memory together."""
        ...

    def embed(self, image: ImageSource) -> PreparedPhoto:
        """Take a photo in, to segment it any number of times.

        Raises:
            ImageError: if the image cannot be read.
        """
        ...

    def check_objects(self) -> None:
        """Make sure that `objects=True` will do, and load what it needs.

        Raises:
            ModelError: if there is nothing for this model that cuts out what hands hold.
        """
        ...

    def warm_up(self) -> None:
        """Start what the first photo would wait for."""
        ...

    def share(self) -> Segmenter:
        """Another segmenter, for another thread, with the same model in memory. Close it, too."""
        ...

    def save_pretrained(self, folder: str | Path) -> None:
        """Write what `handseg.load_segmenter` reads back.

        Raises:
            ModelError: if a model of this kind cannot be saved.
        """
        ...

    def close(self) -> None:
        """Free what is held outside of Python. The segmenter can be used again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
