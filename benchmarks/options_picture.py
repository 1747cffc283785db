"""Draw the docs' picture of the options for the hand's extent and its edge.

    python benchmarks/options_picture.py [OUTPUT]

The coin and the ring are painted onto the photo: none of handseg-lite's photos has both.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from handseg import HandSegmenter, load_image
from handseg.io.files import save_image
from handseg.results import EDGES

DATA = Path(__file__).parents[1] / "tests" / "data"
TILE = 300  # px


def main() -> None:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "options.jpg"
    palm = load_image(DATA / "photos" / "images" / "2_pic00212.jpg")
    arm = load_image(DATA / "photos" / "images" / "35_pic00033.jpg")
    tiles = []
    with HandSegmenter.from_pretrained() as segmenter:
        (hand,) = segmenter.segment(palm)
        assert hand.landmarks is not None
        worn = wear(palm, hand.landmarks)
        view = (slice(0, 440), slice(150, 590))
        tiles += [(worn[view], "coin and ring, painted on")]
        for holes in ("keep", "fill"):
            result = segmenter.segment(worn, landmarks=hand.landmarks, holes=holes)  # type: ignore
            tiles += [(np.asarray(result.composite("white"))[view], f'holes="{holes}"')]
        view = (slice(100, 480), slice(140, 520))
        tiles += [(arm[view], "the photo")]
        for forearm in (False, True):
            result = segmenter.segment(arm, forearm=forearm)
            tiles += [(np.asarray(result.composite("white"))[view], f"forearm={forearm}")]
        view = (slice(132, 188), slice(342, 398))
        result = segmenter.segment(arm)
        for color in ("white", "magenta"):
            for edge in EDGES:
                picture = np.asarray(result.composite(color, edge))[view]  # type: ignore[arg-type]
                tiles += [(picture, f'edge="{edge}"')]
    save_image(sheet(tiles, columns=6), output)
    print(output)


def wear(photo: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Paint a coin on the palm and a ring on a finger of the hand with `landmarks`."""
    picture = photo.copy()
    size = float(np.linalg.norm(landmarks[9] - landmarks[0]))
    centre = np.rint(landmarks[[0, 5, 9, 13, 17]].mean(0)).astype(int).tolist()
    for share, color in ((0.22, (150, 135, 95)), (0.2, (205, 185, 130)), (0.14, (190, 190, 195))):
        cv2.circle(picture, centre, round(share * size), color, -1, cv2.LINE_AA)
    bone = landmarks[10] - landmarks[9]
    across = np.array([-bone[1], bone[0]]) / np.linalg.norm(bone) * 0.18 * size
    middle = landmarks[9] + 0.5 * bone
    ends = [np.rint(middle + sign * across).astype(int).tolist() for sign in (-1, 1)]
    cv2.line(picture, *ends, (40, 60, 150), round(0.07 * size), cv2.LINE_AA)
    return picture


def sheet(tiles: list[tuple[np.ndarray, str]], columns: int) -> Image.Image:
    """Lay out `tiles` in rows, each a picture with its caption below."""
    font = ImageFont.load_default(18)
    rows = -(-len(tiles) // columns)
    canvas = Image.new("RGB", (columns * (TILE + 8) - 8, rows * (TILE + 36)), "white")
    draw = ImageDraw.Draw(canvas)
    for index, (picture, text) in enumerate(tiles):
        x, y = index % columns * (TILE + 8), index // columns * (TILE + 36)
        # Pixels of small pictures should be visible.
        method = cv2.INTER_NEAREST if picture.shape[0] < 100 else cv2.INTER_AREA
        resized = cv2.resize(picture, (TILE, TILE), interpolation=method)
        canvas.paste(Image.fromarray(resized), (x, y))
        draw.rectangle((x, y, x + TILE - 1, y + TILE - 1), outline=(200, 200, 200))
        draw.text((x + TILE / 2, y + TILE + 6), text, (40, 40, 40), font, anchor="ma")
    return canvas


if __name__ == "__main__":
    main()
