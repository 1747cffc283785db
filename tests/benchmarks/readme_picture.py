"""Draw the README's picture: test photos, what is found on them, and the cut-outs.

python tests/benchmarks/readme_picture.py tests/data/readme.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from handseg.files import save_image
from handseg.images import load_image
from handseg.predictor import HandSegmenter

PHOTOS = Path(__file__).parents[1] / "data" / "photos" / "images"
WIDTH = 400


def checkerboard(width: int, height: int, square: int = 16) -> np.ndarray:
    rows, columns = np.indices((height, width)) // square
    return np.where(((rows + columns) % 2)[..., None], 205, 245).astype(np.uint8).repeat(3, -1)


def main(output: str) -> None:
    rows = []
    with HandSegmenter.from_pretrained() as segmenter:
        for path in sorted(PHOTOS.iterdir()):
            photo = load_image(path)
            result = segmenter.segment(photo)
            board = checkerboard(photo.shape[1], photo.shape[0])
            pictures = [Image.fromarray(photo), result.overlay(), result.composite(board)]
            height = round(WIDTH * photo.shape[0] / photo.shape[1])
            small = [
                np.asarray(picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS))
                for picture in pictures
            ]
            rows.append(np.hstack(small))
    save_image(np.vstack(rows), output)


if __name__ == "__main__":
    main(sys.argv[1])
