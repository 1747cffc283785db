"""Hands that MediaPipe finds in dark and in black-and-white copies of photos, and false ones.

    python benchmarks/low_light.py DATA [--limit 40]

DATA holds `boxes/subhi_hands`, `eval/unipd15`, `eval/cc0_face_hands`, `eval/faces_nohand`,
`faces/interfaces` and `backgrounds`; the last three show no hand. Prints counts of photos
with a hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from handseg.io.files import find_images
from handseg.io.images import load_image
from handseg.landmarks.landmarker import HandLandmarker

FOLDERS = (
    *("boxes/subhi_hands/images", "eval/unipd15/images", "eval/cc0_face_hands/images"),
    *("eval/faces_nohand/images", "faces/interfaces", "backgrounds"),
)


def darkened(image: np.ndarray) -> np.ndarray:
    return (image * 0.1).astype(np.uint8)


def grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda image: image,
    "a tenth as bright": darkened,
    "grey": grey,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=int, default=40, help="photos a folder, evenly drawn")
    arguments = parser.parse_args()
    with HandLandmarker() as landmarker:
        for folder in FOLDERS:
            files = find_images([arguments.data / folder], recursive=True)
            files = files[:: max(1, len(files) // arguments.limit)][: arguments.limit]
            counts = {
                name: sum(bool(landmarker.detect(copy(load_image(file)))) for file in files)
                for name, copy in COPIES.items()
            }
            told = ", ".join(f"{name} {count}" for name, count in counts.items())
            print(f"{folder} ({len(files)}): {told}", flush=True)


if __name__ == "__main__":
    main()
