"""`segment` does everything in one call; `load_segmenter` loads a segmenter for any model."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from handseg.errors import ModelError
from handseg.io.images import ImageSource
from handseg.models.bundled import LITE, home
from handseg.models.semantic.model import is_semantic
from handseg.pipeline.options import SegmentOptions, documents_options
from handseg.prompts import PromptRecipe
from handseg.results import HandSegmentation
from handseg.runtime.forks import Mutex
from handseg.segmenter import HandSegmenter

if TYPE_CHECKING:
    import torch
    from typing_extensions import Unpack

    from handseg.models import Backend
    from handseg.pipeline.interface import Segmenter

_making = Mutex()


def load_segmenter(
    name_or_path: str | Path = LITE,
    adapter: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    recipe: PromptRecipe | str | Path | None = None,
    object_adapter: str | Path | None = None,
    backend: Backend | None = None,
) -> Segmenter:
    """Load a segmenter for any kind of model, which is detected from its files.

    Args:
        name_or_path: anything that `HandSegmenter.from_pretrained` takes, or the folder of a
            semantic segmentation network trained by `handseg finetune`, which gives a
            `SemanticSegmenter`.
        adapter: folder or hub id of a PEFT adapter for a SAM-family model.
        device: such as "cuda". None selects the CPU for a model with ONNX graphs, such as the
            bundled one, and for all others a GPU if there is one.
        dtype: type of the weights, such as "bfloat16"; None keeps float32.
        recipe: how landmarks become prompts; None uses the one saved with the adapter or model.
        object_adapter: folder or hub id of an adapter that segments held objects.
        backend: "onnx" or "torch"; None selects ONNX Runtime if there are graphs and no other
            argument needs torch. The graphs of an adapter are exported when it is first loaded,
            and kept; "torch" exports nothing.

    Returns:
        A `HandSegmenter` or a `SemanticSegmenter`; the latter takes no adapter, recipe or object
        adapter, and has no ONNX graphs.

    Raises:
        ModelError: if a model or adapter cannot be loaded, or they do not match.
        ValueError: if the recipe cannot be read.
    """
    folder = home(name_or_path)
    if not is_semantic(folder):
        return HandSegmenter.from_pretrained(
            name_or_path,
            adapter=adapter,
            device=device,
            dtype=dtype,
            recipe=recipe,
            object_adapter=object_adapter,
            backend=backend,
        )
    parts = {"adapter": adapter, "recipe": recipe, "object_adapter": object_adapter}
    parts["ONNX graphs"] = "onnx" if backend == "onnx" else None
    for name, part in parts.items():
        if part is not None:
            raise ModelError(f"{folder} takes no prompts and no {name}, got one")
    from handseg.pipeline.semantic import SemanticSegmenter

    return SemanticSegmenter.from_pretrained(folder, device, dtype)


@functools.cache
def default_segmenter() -> HandSegmenter:
    """Segmenter with the bundled model on the CPU, created at the first call."""
    return HandSegmenter.from_pretrained()


@documents_options(SegmentOptions)
def segment(image: ImageSource, **options: Unpack[SegmentOptions]) -> HandSegmentation:
    """Cut the hands out of a photo with the bundled model.

    Without prompts, MediaPipe finds the hands. Your own boxes, points or landmarks replace it: one
    hand for each box, each set of points or each set of landmarks. For another model, or several
    photos at a time, create a segmenter with `HandSegmenter.from_pretrained` or `load_segmenter`.

    Examples:
        >>> result = segment("photo.jpg")
        >>> result.mask  # (H, W) bool, all hands
        >>> result.cutout().save("hand.png")
        >>> segment("photo.jpg", boxes=[120, 80, 420, 510], holes="fill")

    Args:
        image: a path, bytes, file object, PIL image, RGB array (H, W, 3) uint8 or tensor; see
            `load_image`. EXIF orientation is applied.
        **options: see `SegmentOptions`.

    Returns:
        The hands with their masks, in px of the upright photo; empty if no hand is found.

    Raises:
        ImageError: if the image cannot be read.
        ValueError: if prompts have wrong shapes, are not finite or lie outside the photo, or
            `objects` lacks landmarks.
        TypeError: if an option is unknown.
    """
    with _making:  # Several threads may make the first call.
        segmenter = default_segmenter()
    return segmenter.segment(image, **options)
