"""`segment`: the whole job in one function, on a segmenter that is made once."""

from __future__ import annotations

import atexit
import functools
from typing import Any

from handseg.io.images import ImageSource
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter


@functools.cache
def default_segmenter() -> HandSegmenter:
    """The bundled model on the CPU; made at the first call, closed at exit."""
    segmenter = HandSegmenter.from_pretrained()
    atexit.register(segmenter.close)
    return segmenter


def segment(image: ImageSource, **prompts: Any) -> HandSegmentation:
    """Cut the hands out of a photo with the bundled model.

    Takes what `HandSegmenter.segment` takes. For many photos, for another model or from several
    threads, make a `HandSegmenter` of your own.
    """
    return default_segmenter().segment(image, **prompts)
