"""How well held objects are cut out: composites, real empty hands, objects put into real hands.

    python benchmarks/held_objects.py DATA --held data/held [--adapter runs/objects] \
        [--baseline runs/hand_object]

`--held` is the output of `python -m handseg.synthetic.pasted.held_dataset DATA data/held ...`; its
part "val" is measured. The real photos are DATA/boxes/subhi_hands, in which nobody holds anything.
Objects not seen in training are pasted in front of and behind the real hands; behind, the hand's
mask is handseg's own, so the edge between the two is not exact. A baseline with an output for
objects is measured on the same pictures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from handseg.data import LabelledPhotos, Splits, load_data
from handseg.evaluation.held_objects import evaluate_objects
from handseg.io.files import find_images
from handseg.io.images import load_image
from handseg.pipeline.interface import Segmenter
from handseg.pipeline.semantic import SemanticSegmenter
from handseg.segmenter import HandSegmenter
from handseg.synthetic.pasted.held_compositor import HeldComposer
from handseg.synthetic.pasted.held_dataset import in_validation
from handseg.synthetic.pasted.pasting import blend


@dataclass
class Photo:
    """A real photo; `held` is the object in its hand, `mask` the hand as handseg sees it."""

    id: str
    image: np.ndarray
    mask: np.ndarray
    held: np.ndarray

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        return self.image, self.mask

    def load_object_mask(self) -> np.ndarray:
        return self.held

    def digest(self) -> str:
        return self.id


def real_photos(
    segmenter: HandSegmenter, files: Sequence[Path], objects: Sequence[Path], seed: int
) -> list[Photo]:
    """Return each photo unchanged, and with an object in front of or behind its first hand."""
    made = []
    for index, file in enumerate(files):
        image = load_image(file)
        hands = segmenter.segment(image)
        made.append(Photo(file.stem, image, hands.mask, np.zeros(image.shape[:2], bool)))
        if not hands or hands.hands[0].landmarks is None:
            continue
        height, width = image.shape[:2]
        size = max(height, width)
        square = cv2.copyMakeBorder(image, 0, size - height, 0, size - width, cv2.BORDER_REFLECT)
        hand = np.zeros((size, size), np.float32)
        hand[:height, :width] = hands.hands[0].alpha
        rng = np.random.default_rng([seed, index])
        way = ("behind", "front")[index % 2]
        composer = HeldComposer([], [], objects, size=size, drawn_share=0)
        landmarks = hands.hands[0].landmarks
        laid = composer._lay_held(way, landmarks, hand, np.zeros_like(hand), rng)
        if laid is None:
            continue
        color, cover = laid
        held = cover * (1 - hand) if way == "behind" else cover
        photo = blend(square, color, held)[:height, :width]
        mask = hands.mask & ~(held[:height, :width] > 0.5)
        made.append(Photo(f"{file.stem}, {way}", photo, mask, held[:height, :width] > 0.5))
    return made


def show(name: str, segmenter: Segmenter, photos: Sequence, sheet: Path | None) -> None:
    scores = evaluate_objects(segmenter, photos)
    print(name, json.dumps(scores.summary(), indent=1), scores.failures or "", flush=True)
    if sheet is None:
        return
    tiles = []
    for photo in photos[:: max(1, len(photos) // 24)][:24]:
        picture = segmenter.segment(photo.load()[0], objects=True).overlay(landmarks=False)
        picture.thumbnail((320, 320))
        tile = Image.new("RGB", (320, 320))
        tile.paste(picture)
        tiles.append(np.asarray(tile))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 6)
    rows = [np.hstack(tiles[start : start + 6]) for start in range(0, len(tiles), 6)]
    Image.fromarray(np.vstack(rows)).save(sheet / f"{name.replace(' ', '_')}.jpg", quality=88)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--held", type=Path, required=True)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--baseline", type=Path, help="folder of a network with two outputs")
    parser.add_argument("--every", type=int, default=6, help="take every so many real photos")
    parser.add_argument("--limit", type=int, help="the most composites")
    parser.add_argument("--sheets", type=Path, help="folder for pictures of the results")
    options = parser.parse_args()
    objects = [file for file in find_images([options.data / "objects"]) if in_validation(file)]
    with HandSegmenter.from_pretrained(object_adapter=options.adapter, device="cpu") as segmenter:
        splits = Splits.load(options.held / "splits.json")
        photos = LabelledPhotos(splits.select(load_data(options.held), "val"))
        files = find_images([options.data / "boxes/subhi_hands/images"])[:: options.every]
        real = real_photos(segmenter, files, objects, seed=0)
        sets = {
            "composites": photos[: options.limit],
            "real empty hands": [photo for photo in real if not photo.held.any()],
            "things in real hands": [photo for photo in real if photo.held.any()],
        }
        systems: dict[str, Segmenter] = {"": segmenter}
        if options.baseline is not None:
            baseline = SemanticSegmenter.from_pretrained(options.baseline, device="cpu")
            systems["baseline, "] = baseline
        for system, one in systems.items():
            for name, some in sets.items():
                show(system + name, one, some, options.sheets)


if __name__ == "__main__":
    main()
