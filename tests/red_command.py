"""`handseg` with a segmenter that takes red for hands, in a separate process.

With RED_LOG, it appends the path of each photo that it starts to that file; with RED_DELAY, each
takes that many seconds longer.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from red_hands import RedLandmarker, red_segmenter

from handseg import segmenter
from handseg.cli import main
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter

_segment = HandSegmenter.segment


def _noted(self: HandSegmenter, image: Any, **options: Any) -> HandSegmentation:
    if log := os.environ.get("RED_LOG"):
        with Path(log).open("a") as file:
            file.write(f"{image}\n")
    time.sleep(float(os.environ.get("RED_DELAY", "0")))
    return _segment(self, image, **options)


if __name__ == "__main__":
    HandSegmenter.segment = _noted  # type: ignore[method-assign]
    HandSegmenter.from_pretrained = lambda *_, **__: red_segmenter()  # type: ignore
    segmenter.HandLandmarker = RedLandmarker  # type: ignore
    main()
