"""Hands found, false hands and their cost: with MediaPipe, on tiles, with the finder.

    python benchmarks/hand_recall.py DATA/eval/unipd15 DATA/boxes/subhi_hands DATA/faces/interfaces

A folder has images/ and masks/ (a true hand is an island of over 2 % of the mask's area), or
images/ and boxes.json (stem -> list of {"box": xyxy px}), or only pictures, which show no hand. A
true hand is found if a hand's mask has an IoU of at least 0.3 with it, or a box of at least 0.4. A
found hand is false if it matches none and less than half of it lies on true hands. IoU is that of
all hands of a photo together, and 0 if none is found.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from handseg import HandSegmenter, load_image
from handseg.data.image_mask import find_pairs
from handseg.evaluation.run import segment_from_mask
from handseg.landmarks import HandFinder, HandLandmarks
from handseg.landmarks.boxes import areas, box_iou, shared_area
from handseg.landmarks.views import drop_doubtful, merge
from handseg.results import HandSegmentation
from handseg.runtime.connected import Components
from handseg.runtime.files import write_atomic

SMALLEST, MASKS, BOXES = 0.02, 0.3, 0.4
PICTURES = (".jpg", ".jpeg", ".png")


@dataclass
class Tally:
    """Counts over a set of photos."""

    photos: int = 0
    hands: int = 0
    found: int = 0
    false: int = 0
    missed: list[str] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)

    def add(self, name: str, result: HandSegmentation, truth: Truth) -> None:
        """Count one photo."""
        found = truth.match(result)
        self.photos += 1
        self.hands += len(found)
        self.found += sum(found)
        self.false += truth.false(result)
        self.missed += [name] * (len(found) - sum(found))
        if truth.mask is not None:
            both = np.count_nonzero(result.mask & truth.mask)
            either = np.count_nonzero(result.mask | truth.mask)
            self.ious.append(both / either if either else 1.0)

    @property
    def iou(self) -> float | None:
        return float(np.mean(self.ious)) if self.ious else None


@dataclass
class Truth:
    """The hands of a photo: masks of its islands, or boxes."""

    mask: np.ndarray | None
    islands: list[np.ndarray]
    boxes: np.ndarray

    def match(self, result: HandSegmentation) -> list[bool]:
        """Tell for each true hand whether it is found."""
        if self.mask is not None:
            masks = [hand.mask for hand in result]
            return [any(_iou(one, mask) >= MASKS for mask in masks) for one in self.islands]
        return (box_iou(self.boxes, _boxes(result)) >= BOXES).any(1).tolist()

    def false(self, result: HandSegmentation) -> int:
        """Count the false hands."""
        if self.mask is None:
            boxes = _boxes(result)
            inside = shared_area(boxes, self.boxes).max(1, initial=0) >= 0.5 * areas(boxes)
            right = (box_iou(boxes, self.boxes) >= BOXES).any(1)
            return int((~right & ~inside).sum())
        count = 0
        for hand in result:
            mask = hand.mask
            right = any(_iou(one, mask) >= MASKS for one in self.islands)
            count += int(not right and (mask & self.mask).sum() < 0.5 * max(1, hand.area))
        return count


def _boxes(result: HandSegmentation) -> np.ndarray:
    return np.array([hand.box for hand in result], float).reshape(-1, 4)


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return np.count_nonzero(one & other) / max(1, np.count_nonzero(one | other))


def photos_of(folder: Path) -> Iterator[tuple[str, np.ndarray, Truth]]:
    """Yield the name, image and true hands of each photo."""
    none = np.zeros((0, 4))
    if (folder / "boxes.json").is_file():
        boxes = json.loads((folder / "boxes.json").read_text(encoding="utf-8"))
        for stem, hands in sorted(boxes.items()):
            image = load_image(folder / "images" / f"{stem}.jpg")
            corners = np.array([hand["box"] for hand in hands], float).reshape(-1, 4)
            yield stem, image, Truth(None, [], corners)
    elif (folder / "masks").is_dir():
        for pair in find_pairs(folder):
            image, mask = pair.load()
            parts = Components.of(mask, 8)
            areas = parts.sums(np.ones_like(mask))
            large = [one for one, area in enumerate(areas) if one and area > SMALLEST * mask.sum()]
            islands = [parts.labels == one for one in large]
            yield pair.id.split("/")[-1], image, Truth(mask, islands, none)
    else:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in PICTURES:
                yield path.stem, load_image(path), Truth(None, [], none)


def tiled(segmenter: HandSegmenter) -> Callable[[np.ndarray, np.ndarray | None], HandSegmentation]:
    """Cut out the hands that MediaPipe finds on the whole photo and on six overlapping tiles."""

    def run(image: np.ndarray, mask: np.ndarray | None) -> HandSegmentation:
        hands = segmenter.landmarker.find(image, False)
        height, width = image.shape[:2]
        for row in range(2):
            for column in range(3):
                y, x = (round(part) for part in (row * 0.4 * height, column * 0.25 * width))
                part = image[y : y + round(0.6 * height), x : x + round(0.5 * width)]
                for hand in segmenter.landmarker.find(np.ascontiguousarray(part), False):
                    moved = (hand.points + np.array([x, y])).astype(np.float32)
                    hands.append(HandLandmarks(moved, hand.handedness, hand.score, hand.votes))
        found = drop_doubtful(merge(hands))[:4]
        if not found:
            return HandSegmentation(image)
        return segmenter.segment(image, landmarks=np.stack([hand.points for hand in found]))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", default="handseg-lite")
    parser.add_argument("--ways", default="mediapipe,tiles,finder,true boxes")
    parser.add_argument("--finder", type=Path, help="graph of another hand finder")
    parser.add_argument("--close-up", type=Path, help="graph of another network for close-ups")
    parser.add_argument("--json", type=Path, help="file to write the counts to")
    options = parser.parse_args()
    counts: dict[str, dict[str, object]] = {}
    print(f"{'set':16} {'way':12} {'found':>11} {'false':>6} {'IoU':>7} photos")
    with HandSegmenter.from_pretrained(options.model) as segmenter:
        if options.finder is not None or options.close_up is not None:
            segmenter.landmarker.finder = HandFinder(options.finder, close_up=options.close_up)
        ways: dict[str, Callable[[np.ndarray, np.ndarray | None], HandSegmentation]] = {
            "mediapipe": lambda image, mask: segmenter.segment(image, finder=False),
            "tiles": tiled(segmenter),
            "finder": lambda image, mask: segmenter.segment(image),
            "true boxes": lambda image, mask: segment_from_mask(segmenter, image, mask),
        }
        for folder in options.folders:
            for way in options.ways.split(","):
                tally = Tally()
                for name, image, truth in photos_of(folder):
                    if way == "true boxes" and truth.mask is None:
                        break
                    tally.add(name, ways[way](image, truth.mask), truth)
                if not tally.photos:
                    continue
                score = "" if tally.iou is None else f"{tally.iou:.3f}"
                print(
                    f"{folder.name:16} {way:12} {tally.found:5}/{tally.hands:5} {tally.false:6} "
                    f"{score:>7} {tally.photos}",
                    flush=True,
                )
                counts.setdefault(folder.name, {})[way] = {**asdict(tally), "iou": tally.iou}
    if options.json is not None:
        with write_atomic(options.json) as temporary:
            temporary.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
