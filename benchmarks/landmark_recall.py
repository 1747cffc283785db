"""How many hands the landmark stage finds: with one view of each photo, all, or those it needs.

    python benchmarks/landmark_recall.py DATA/eval/arsl20 DATA/boxes/subhi_hands [--every 3]
    python benchmarks/landmark_recall.py DATA/boxes/subhi_hands --row 2

A folder has images/ and either masks/ (one hand per photo) or boxes.json (stem -> list of
{"box": xyxy px}). A hand is found if a detection's palm centre lies in its box, widened by 15 %;
leftover detections count as false. In photos with masks, these may be other hands. `--row` makes
photos of several hands: that many photos side by side, each scaled to a height of 480 px.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from handseg.data.image_mask import find_pairs
from handseg.io.images import load_image
from handseg.landmarks import HandLandmarker, HandLandmarks
from handseg.landmarks.anatomy import PALM
from handseg.landmarks.views import HARD_VIEWS, VIEWS, View

STAGES = {
    "one view": {"views": VIEWS[:1], "hard_views": ()},
    "two views": {"views": VIEWS[:2], "hard_views": (), "all_views": True},
    "all views": {"views": VIEWS, "hard_views": (), "all_views": True},
    "and hard views": {"views": VIEWS, "hard_views": HARD_VIEWS, "all_views": True},
    "default": {},
}


class CountingLandmarker(HandLandmarker):
    """A landmarker that counts the views it looks at."""

    passes = 0

    def _look(self, image: np.ndarray, views: Sequence[View]) -> list[list[HandLandmarks]]:
        self.passes += len(views)
        return super()._look(image, views)


def load_boxes(folder: Path, every: int) -> list[tuple[Path, np.ndarray]]:
    """Load photos with the boxes of their hands, (K, 4) xyxy px."""
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


def load_row(photos: list[tuple[Path, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Photos side by side, (480, W, 3) uint8 RGB, and the boxes of all their hands, (K, 4)."""
    images, boxes, left = [], [], 0
    for path, own in photos:
        image = load_image(path)
        factor = 480 / len(image)
        width = round(image.shape[1] * factor)
        images.append(cv2.resize(image, (width, 480), interpolation=cv2.INTER_AREA))
        boxes.append(own * factor + [left, 0, left, 0])
        left += width
    return np.hstack(images), np.concatenate(boxes)


def match(hands: list[HandLandmarks], boxes: np.ndarray) -> tuple[int, int]:
    """Count boxes with a hand of their own, and hands without a box."""
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
    parser.add_argument("--row", type=int, default=1, help="put so many photos side by side")
    options = parser.parse_args()
    print(
        f"{'set':16} {'views':16} {'found':>11} {'share':>7} {'false':>6} {'passes':>7} "
        f"{'ms a photo':>11} {'CPU ms':>7}"
    )
    for folder in options.folders:
        photos = load_boxes(folder, options.every)
        # Neighbours in a folder look alike: a row takes one photo from each part of it.
        count = len(photos) // options.row
        rows = [photos[index : count * options.row : count] for index in range(count)]
        for name, stage in STAGES.items():
            found = false = total = 0
            seconds = cpu = 0.0
            with CountingLandmarker(**stage) as landmarker:  # type: ignore[arg-type]
                for row in rows:
                    if options.row > 1:
                        image, boxes = load_row(row)
                    else:
                        image, boxes = load_image(row[0][0]), row[0][1]
                    start, cpu_start = time.perf_counter(), time.process_time()
                    hands = landmarker.detect(image)
                    seconds += time.perf_counter() - start
                    cpu += time.process_time() - cpu_start
                    counts = match(hands, boxes)
                    found, false, total = found + counts[0], false + counts[1], total + len(boxes)
                passes = landmarker.passes / count
            print(
                f"{folder.name:16} {name:16} {found:5}/{total:5} {found / total:7.3f} {false:6} "
                f"{passes:7.2f} {1000 * seconds / count:11.1f} {1000 * cpu / count:7.1f}"
            )


if __name__ == "__main__":
    main()
