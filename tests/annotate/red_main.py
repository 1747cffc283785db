"""`python -m handseg.annotate` with a segmenter that takes red for hands, and takes its time.

RED_SECONDS is what it sleeps for each photo; RED_PIDS is a folder that gets a file named after
each process once that has segmented a photo.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from red_hands import red_segmenter

from handseg.cli.annotate import main
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter

segment = HandSegmenter.segment


def segment_slowly(self: HandSegmenter, image: Any, **options: Any) -> HandSegmentation:
    result = segment(self, image, **options)
    time.sleep(float(os.environ.get("RED_SECONDS", "0")))
    if "RED_PIDS" in os.environ and image.shape != (1, 1, 3):
        Path(os.environ["RED_PIDS"], str(os.getpid())).touch()
    return result


HandSegmenter.from_pretrained = lambda *_, **__: red_segmenter()  # type: ignore[method-assign]
HandSegmenter.segment = segment_slowly  # type: ignore[method-assign]
main()
