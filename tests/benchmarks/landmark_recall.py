"""How many hands the landmark stage finds, with one view of each photo and with all of them.

    python tests/benchmarks/landmark_recall.py DATA/eval/arsl20 DATA/boxes/subhi_hands [--every 3]

A folder holds images/ and either masks/ (one hand a photo) or boxes.json (stem -> list of
{"box": xyxy px}). A hand is found when the palm's centre of a finding lies in its box, widened by
15 %; findings that are left over count as false. In photos with masks they may be other hands.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from handseg.images import load_image
from handseg.pairs import find_pairs
from handseg.prompts import HandLandmarker, HandLandmarks
from handseg.prompts.anatomy import PALM
from handseg.prompts.landmarks import HARD_VIEWS, VIEWS

STAGES = {
    "one view": {"views": VIEWS[:1], "hard_views": ()},
    "and padded": {"views": VIEWS[:2], "hard_views": ()},
    "and turned": {"views": VIEWS, "hard_views": ()},
    "and hard views": {"views": VIEWS, "hard_views": HARD_VIEWS},
}


def load_boxes(folder: Path, every: int) -> list[tuple[Path, np.ndarray]]:
    """Photos with the boxes of their hands, (K, 4) xyxy px."""
    if (folder / "boxes.json").is_file():
        boxes = json.loads((folder / "boxes.json").read_text())
        return [
            (folder / "images" / f"{stem}.jpg", np.array([hand["box"] for hand in boxes[stem]]))
            for stem in sorted(boxes)[::every]
        ]
    found = []
    for pair in find_pairs(folder)[::every]:
        rows, columns = np.nonzero(pair.load()[1])
        box = [columns.min(), rows.min(), columns.max(), rows.max()]
        found.append((pair.image_path, np.array([box], float)))
    return found


def match(hands: list[HandLandmarks], boxes: np.ndarray) -> tuple[int, int]:
    """How many boxes have a hand of their own, and how many hands have no box."""
    left = [hand.points[list(PALM)].mean(0) for hand in hands]
    found = 0
    for box in boxes:
        reach = 0.15 * (box[2:] - box[:2])
        for index, centre in enumerate(left):
            if (centre > box[:2] - reach).all() and (centre < box[2:] + reach).all():
                del left[index]
                found += 1
                break
    return found, len(left)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th photo")
    options = parser.parse_args()
    print(f"{'set':16} {'views':16} {'found':>11} {'share':>7} {'false':>6} {'ms a photo':>11}")
    for folder in options.folders:
        photos = load_boxes(folder, options.every)
        for name, stage in STAGES.items():
            found = false = 0
            with HandLandmarker(**stage) as landmarker:  # type: ignore[arg-type]
                seconds = 0.0
                for path, boxes in photos:
                    image = load_image(path)
                    start = time.perf_counter()
                    hands = landmarker.detect(image)
                    seconds += time.perf_counter() - start
                    counts = match(hands, boxes)
                    found, false = found + counts[0], false + counts[1]
            total = sum(len(boxes) for _, boxes in photos)
            print(
                f"{folder.name:16} {name:16} {found:5}/{total:5} {found / total:7.3f} {false:6} "
                f"{1000 * seconds / len(photos):11.1f}"
            )


if __name__ == "__main__":
    main()
