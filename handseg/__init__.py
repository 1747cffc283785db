"""Cut the hand out of a photo, with a contour clean enough to measure on.

from handseg import segment

segment("photo.jpg").cutout().save("hand.png")
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from handseg._version import __version__

if TYPE_CHECKING:
    from handseg.api import load_segmenter, segment
    from handseg.errors import (
        HandsegError,
        ImageError,
        MeasurementError,
        MissingExtraError,
        ModelError,
        TrainingError,
    )
    from handseg.io.images import load_image
    from handseg.landmarks import HandLandmarker, HandLandmarks
    from handseg.measure import FingerMeasurement, HandMeasurement, measure_hand
    from handseg.models import MaskModel, load_mask_model
    from handseg.pipeline.embedded import EmbeddedPhoto
    from handseg.pipeline.interface import Segmenter
    from handseg.pipeline.options import BatchOptions, SegmentOptions
    from handseg.pipeline.semantic import SemanticSegmenter
    from handseg.prompts import PromptRecipe
    from handseg.results import Hand, HandSegmentation
    from handseg.segmenter import HandSegmenter

# ONNX Runtime and the Hugging Face libraries send usage data to their makers, and read these
# variables when they are imported.
for _variable in ("HF_HUB_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY"):
    os.environ.setdefault(_variable, "1")

# Names are imported when they are first used, to keep `import handseg` fast.
_HOMES = {
    "BatchOptions": "handseg.pipeline.options",
    "EmbeddedPhoto": "handseg.pipeline.embedded",
    "FingerMeasurement": "handseg.measure",
    "Hand": "handseg.results",
    "HandLandmarker": "handseg.landmarks",
    "HandLandmarks": "handseg.landmarks",
    "HandMeasurement": "handseg.measure",
    "HandSegmentation": "handseg.results",
    "HandSegmenter": "handseg.segmenter",
    "HandsegError": "handseg.errors",
    "ImageError": "handseg.errors",
    "MaskModel": "handseg.models",
    "MeasurementError": "handseg.errors",
    "MissingExtraError": "handseg.errors",
    "ModelError": "handseg.errors",
    "PromptRecipe": "handseg.prompts",
    "SegmentOptions": "handseg.pipeline.options",
    "Segmenter": "handseg.pipeline.interface",
    "SemanticSegmenter": "handseg.pipeline.semantic",
    "TrainingError": "handseg.errors",
    "load_image": "handseg.io.images",
    "load_mask_model": "handseg.models",
    "load_segmenter": "handseg.api",
    "measure_hand": "handseg.measure",
    "segment": "handseg.api",
}

__all__ = [  # noqa: RUF022 - the main entry first
    "segment",
    "load_segmenter",
    "Segmenter",
    "HandSegmenter",
    "SemanticSegmenter",
    "SegmentOptions",
    "BatchOptions",
    "EmbeddedPhoto",
    "HandSegmentation",
    "Hand",
    "HandLandmarker",
    "HandLandmarks",
    "PromptRecipe",
    "MaskModel",
    "load_mask_model",
    "load_image",
    "measure_hand",
    "HandMeasurement",
    "FingerMeasurement",
    "HandsegError",
    "ImageError",
    "MeasurementError",
    "MissingExtraError",
    "ModelError",
    "TrainingError",
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
