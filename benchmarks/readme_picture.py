"""Draw the README's picture: the model's prompts on the test photos, and the cut-outs.

python benchmarks/readme_picture.py tests/data/readme.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from handseg.app.views import on_checkerboard
from handseg.io.files import save_image
from handseg.io.images import load_image
from handseg.results import overlay
from handseg.segmenter import HandSegmenter

PHOTOS = Path(__file__).parents[1] / "tests" / "data" / "photos" / "images"
CELL = (400, 300)


def main(output: str) -> None:
    columns = []
    with HandSegmenter.from_pretrained() as segmenter:
        for path in sorted(PHOTOS.iterdir()):
            photo = load_image(path)
            result = segmenter.segment(photo)
            told = [segmenter.recipe.prompts(hand.landmarks, *photo.shape[:2]) for hand in result]
            pictures = [overlay.prompts(photo, told), on_checkerboard(result.cutout())]
            cells = [ImageOps.fit(one, CELL, Image.Resampling.LANCZOS) for one in pictures]
            columns.append(np.vstack([np.asarray(cell) for cell in cells]))
    save_image(np.hstack(columns), output)


if __name__ == "__main__":
    main(sys.argv[1])
