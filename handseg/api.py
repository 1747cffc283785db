"""`segment`: the whole job in one function; `load_segmenter`: a segmenter of any model."""

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
    """Load a segmenter of any model, as its files say.

    Args:
        name_or_path: what `HandSegmenter.from_pretrained` takes, which loads it then; or the folder
            of a network that labels whole photos, as `handseg finetune` trains them: that becomes
            a `SemanticSegmenter`.
        adapter: folder or hub id of a PEFT adapter to put on top of a SAM-family model.
        device: such as "cuda"; None takes the CPU for a model with ONNX graphs, as the bundled one,
            and for others a GPU where there is one.
        dtype: of the weights, such as "bfloat16"; None keeps float32.
        recipe: how landmarks become prompts; None takes the one saved beside adapter or model.
        object_adapter: folder or hub id of an adapter that cuts out what hands hold.
        backend: "onnx" or "torch"; None takes ONNX Runtime where there are graphs and nothing above
            asks for torch. An adapter is exported the first time, and its graphs are kept; "torch"
            exports nothing.

    Returns:
        A `HandSegmenter` or a `SemanticSegmenter`; the latter takes no adapter, recipe or object
        adapter, and has no ONNX graphs.

    Raises:
        ModelError: if a model or adapter cannot be loaded or do not fit.
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
    """The bundled model on the CPU, made at the first call."""
    return HandSegmenter.from_pretrained()


@documents_options(SegmentOptions)
def segment(image: ImageSource, **options: Unpack[SegmentOptions]) -> HandSegmentation:
    """Cut the hands out of a photo with the bundled model.

    With no prompts, MediaPipe finds the hands. Boxes, points or landmarks of your own take its
    place: one hand for each box, each set of points or each set of landmarks. For another
    model, or several photos at a time, make a segmenter of your own with
    `HandSegmenter.from_pretrained` or `load_segmenter`.

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
        The hands with their masks, in px of the upright photo; none if there is none to be found.

    Raises:
        ImageError: if the image cannot be read.
        ValueError: if prompts have wrong shapes, are not finite or lie outside of the photo, or
            there are no landmarks for `objects`.
        TypeError: if there is no such option.
    """
    with _making:  # Threads may be first at the same time.
        segmenter = default_segmenter()
    return segmenter.segment(image, **options)
