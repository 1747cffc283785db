"""Compare rules for when a box that only the hand finder sees is a hand.

    python benchmarks/finder_rules.py DATA/rendered_held_out DATA/backgrounds DATA/faces/interfaces

Folders are those of `hand_recall.py`. Every box over `--least` that MediaPipe does not confirm in a
close look becomes a prompt for the model. Counts the true and false hands that each rule adds: a
rule requires a score, a predicted IoU, and an IoU of the finder's box with the mask's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
from hand_recall import BOXES, MASKS, photos_of

from handseg import HandSegmenter
from handseg.landmarks import HandBox, HandFinder, second_look
from handseg.landmarks.boxes import box_iou
from handseg.pipeline import embedded
from handseg.pipeline.predict import Request
from handseg.results import Hand


@dataclass
class Seen:
    """A box that only the finder sees, and the model's mask of it."""

    folder: str
    photo: str
    score: float
    predicted_iou: float
    within: float  # IoU of the finder's box with the mask's.
    right: bool


def candidates(folder: Path, segmenter: HandSegmenter) -> Iterator[Seen]:
    """Yield all such boxes in a folder's photos."""
    boxes: list[tuple[HandBox, Hand]] = []

    def noted(request: Request, hand: Hand) -> bool:
        if isinstance(request.found, HandBox):
            boxes.append((request.found, hand))
        return True

    embedded._shows = noted
    for name, image, truth in photos_of(folder):
        boxes.clear()
        segmenter.segment(image)
        for box, hand in boxes:
            if truth.mask is None:
                right = bool((box_iou(box.box[None], truth.boxes) >= BOXES).any())
            else:
                masks = [one & hand.mask for one in truth.islands]
                pairs = zip(masks, truth.islands, strict=True)
                right = any(one.sum() >= MASKS * (true | hand.mask).sum() for one, true in pairs)
            within = float(box_iou(box.box[None], np.array(hand.box, float)[None])[0, 0])
            yield Seen(
                folder.name,
                name,
                float(box.detection_score),
                float(hand.predicted_iou),
                within,
                right,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--finder", type=Path, help="graph of another hand finder")
    parser.add_argument("--least", type=float, default=second_look.LOOK, help="score of boxes")
    parser.add_argument("--json", type=Path, help="file to write the boxes to")
    options = parser.parse_args()
    second_look.SURE = options.least
    with HandSegmenter.from_pretrained("handseg-lite") as segmenter:
        if options.finder is not None:
            segmenter.landmarker.finder = HandFinder(options.finder)
        seen = [one for folder in options.folders for one in candidates(folder, segmenter)]
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(one) for one in seen], indent=1) + "\n")
    names = [folder.name for folder in options.folders]
    print("score  predicted IoU  within  true, false: " + "; ".join(names))
    for score, predicted, within in product(
        (0.3, 0.4, 0.5, 0.6, 0.7), (0.75, 0.85, 0.9), (0, 0.5, 0.65)
    ):
        counts = []
        for name in names:
            taken = [
                one
                for one in seen
                if one.folder == name
                and one.score >= score
                and one.predicted_iou >= predicted
                and one.within >= within
            ]
            true = sum(one.right for one in taken)
            counts.append(f"{true:3} {len(taken) - true:3}")
        print(f"{score:5} {predicted:14} {within:7}  " + "; ".join(counts))


if __name__ == "__main__":
    main()
