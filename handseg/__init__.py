"""Cut the hand out of a photo, with a contour clean enough to measure on.

from handseg import segment

segment("photo.jpg").cutout().save("hand.png")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from handseg._version import __version__

if TYPE_CHECKING:
    from handseg.api import segment
    from handseg.errors import HandsegError, ImageError, ModelError
    from handseg.io.images import load_image
    from handseg.landmarks import HandLandmarker, HandLandmarks
    from handseg.prompts import PromptRecipe
    from handseg.results import Hand, HandSegmentation
    from handseg.segmenter import HandSegmenter

# The names are looked up when they are first used, so that `import handseg` takes no time.
_HOMES = {
    "Hand": "handseg.results",
    "HandLandmarker": "handseg.landmarks",
    "HandLandmarks": "handseg.landmarks",
    "HandSegmentation": "handseg.results",
    "HandSegmenter": "handseg.segmenter",
    "HandsegError": "handseg.errors",
    "ImageError": "handseg.errors",
    "ModelError": "handseg.errors",
    "PromptRecipe": "handseg.prompts",
    "load_image": "handseg.io.images",
    "segment": "handseg.api",
}

__all__ = [  # noqa: RUF022 - the main entry first
    "segment",
    "HandSegmenter",
    "HandSegmentation",
    "Hand",
    "HandLandmarker",
    "HandLandmarks",
    "PromptRecipe",
    "load_image",
    "HandsegError",
    "ImageError",
    "ModelError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
