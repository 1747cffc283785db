"""Compare rules for when a place that only the hand finder, or only MediaPipe, sees is a hand.

    python benchmarks/finder_rules.py DATA/rendered_held_out DATA/held_out/wallpapers

Folders are those of `hand_recall.py`, with held-out photos alone. Every place that the finder
suspects where MediaPipe saw no hand is looked at as by `segment`: in a close-up, by MediaPipe from
nearby, and by the model. Prints for each rule the true and false hands that it adds, then how many
true and false hands of MediaPipe the close-up drops where the finder sees none in the whole photo.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
from hand_recall import BOXES, MASKS, Truth, photos_of

from handseg import HandSegmenter
from handseg.landmarks import FoundHand, HandFinder, HandLandmarks, second_look
from handseg.landmarks.boxes import box_iou
from handseg.landmarks.views import shrink
from handseg.pipeline.embedded import LEAST_IOU
from handseg.results import Hand

SURES, NONES = (0.4, 0.5, 0.6, 0.7, 0.8), (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)


@dataclass
class Place:
    """A place where MediaPipe or the finder suspects a hand."""

    folder: str
    photo: str
    by_mediapipe: bool
    whole: float  # Score in the whole photo.
    close: float  # Score in the close-up.
    looks: int  # Close views in which MediaPipe sees the hand, of two.
    predicted_iou: float
    hand: int  # Number of the true hand that it shows, -1 for none.


def places_of(folder: Path, segmenter: HandSegmenter) -> Iterator[Place]:
    """Yield the places in a folder's photos."""
    landmarker = segmenter.landmarker
    finder = landmarker.finder
    assert finder is not None
    for name, image, truth in photos_of(folder):
        small, factor = shrink(image)
        boxes = finder.find(small, second_look.LOOK)
        hands = [one for one in landmarker.find(small, False) if isinstance(one, HandLandmarks)]
        suspected: list[FoundHand] = [*hands, *boxes]
        for found in suspected:
            box, looks = second_look._box(found), 0
            if isinstance(found, HandLandmarks):
                same = [one for one in boxes if second_look._is_one_of(one, [found])]
                whole = max((one.detection_score for one in same), default=0.0)
                result = segmenter.segment(image, landmarks=found.resized(factor).points)
            elif second_look._is_one_of(found, hands):
                continue
            else:
                whole = found.detection_score
                seen = landmarker._look(small, second_look.close_views(found))
                looks = sum(second_look._at(found, one, hands) is not None for one in seen)
                result = segmenter.segment(image, boxes=found.resized(factor).box)
            hand = next(iter(result), None)
            yield Place(
                folder.name,
                name,
                isinstance(found, HandLandmarks),
                whole,
                finder.close_up_score(small, box),
                looks,
                0.0 if hand is None else float(hand.predicted_iou),
                -1 if hand is None else _shown(hand, truth),
            )


def _shown(hand: Hand, truth: Truth) -> int:
    """Return the number of the true hand that `hand` shows, -1 for none."""
    if truth.mask is None:
        overlap = box_iou(np.array(hand.box, float)[None], truth.boxes)[0]
        least = BOXES
    else:
        pairs = [(one & hand.mask, one | hand.mask) for one in truth.islands]
        overlap = np.array([both.sum() / max(1, either.sum()) for both, either in pairs])
        least = MASKS
    return int(overlap.argmax()) if overlap.max(initial=0) >= least else -1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--close-up", type=Path, help="graph of another network for close-ups")
    parser.add_argument("--json", type=Path, help="file to write the places to")
    options = parser.parse_args()
    with HandSegmenter.from_pretrained("handseg-lite") as segmenter:
        segmenter.landmarker.finder = HandFinder(close_up=options.close_up)
        places = [one for folder in options.folders for one in places_of(folder, segmenter)]
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(one) for one in places], indent=1) + "\n")
    names = [folder.name for folder in options.folders]
    added = [one for one in places if not one.by_mediapipe]
    print("sure  none  true, false: " + "; ".join(names))
    for sure, none in product(SURES, NONES):
        taken = [one for one in added if one.close >= none and _is_taken(one, sure)]
        print(f"{sure:4} {none:5}  " + "; ".join(_counts(taken, names)))
    alone = [one for one in places if one.by_mediapipe and one.whole < second_look.LOOK]
    print("none  true, false hands of MediaPipe that are dropped: " + "; ".join(names))
    for none in NONES:
        print(f"{none:5}  " + "; ".join(_counts([o for o in alone if o.close < none], names)))


def _is_taken(place: Place, sure: float) -> bool:
    if place.whole < sure:
        return place.looks == 2
    return place.looks > 0 or place.predicted_iou >= LEAST_IOU


def _counts(places: list[Place], names: list[str]) -> list[str]:
    texts = []
    for name in names:
        here = [one for one in places if one.folder == name]
        true = {(one.photo, one.hand) for one in here if one.hand >= 0}
        texts.append(f"{len(true):3} {sum(one.hand < 0 for one in here):3}")
    return texts


if __name__ == "__main__":
    main()
