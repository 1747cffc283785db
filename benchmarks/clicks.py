"""How clicks change the mask, on folders of pairs; by default the four test photos.

    python benchmarks/clicks.py [FOLDER ...] [--model MODEL] [--limit 60]

Each row gives the mean IoU after 0, 1, 2, ... clicks. A click goes to the middle of the largest
error against the true mask:

    correct  prompted with the hand's landmarks and clicks
    alone    prompted with clicks alone; the first is in the middle of the hand

Below, the cost of clicks off the hand: at most three, halfway between joints of neighbouring
fingers where there is no hand, and the share of the hand that they remove.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from handseg.data.image_mask import find_pairs
from handseg.landmarks.anatomy import share_inside
from handseg.segmenter import HandSegmenter

PHOTOS = Path(__file__).parents[1] / "tests" / "data" / "photos"
CLICKS = 4
NEIGHBOURS = ((6, 10), (10, 14), (14, 18), (7, 11), (11, 15), (15, 19), (3, 6))
"""Landmarks of neighbouring fingers, their middle joints first."""


def middle(mask: np.ndarray) -> tuple[list[float], float]:
    """The pixel (x, y) of `mask` farthest from its edge, and its distance from it, px."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return [float(x), float(y)], float(depth.max())


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def in_gaps(landmarks: np.ndarray, truth: np.ndarray) -> list[list[float]]:
    """At most three points (x, y) px between fingers, where `truth` (H, W) bool has no hand."""
    places = [np.rint((landmarks[one] + landmarks[other]) / 2) for one, other in NEIGHBOURS]
    inside = [(x, y) for x, y in places if 0 <= x < truth.shape[1] and 0 <= y < truth.shape[0]]
    return [[x, y] for x, y in inside if not truth[int(y), int(x)]][:3]


def click_through(
    segment: Callable[..., np.ndarray],
    mask: np.ndarray,
    truth: np.ndarray,
    first: tuple[list[float], int] | None = None,
) -> list[float]:
    """IoU with `truth` of `mask` and after each click; `first` replaces the first click."""
    scores, points, labels = [iou(mask, truth)], [], []
    for _ in range(CLICKS):
        (missed, deep), (excess, deeper) = middle(truth & ~mask), middle(mask & ~truth)
        point, label = first or ((missed, 1) if deep >= deeper else (excess, 0))
        first = None
        points.append(point)
        labels.append(label)
        mask = segment(points=points, labels=labels)
        scores.append(iou(mask, truth))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="*", type=Path, default=[PHOTOS])
    parser.add_argument("--model", default="handseg-lite")
    parser.add_argument("--limit", type=int, help="of each folder, evenly spread")
    options = parser.parse_args()
    print(f"{'set':16} {'task':8} {'rows':>5}" + "".join(f"{n:>7}" for n in range(CLICKS + 1)))
    with HandSegmenter.from_pretrained(options.model) as segmenter:
        for folder in options.folders:
            rows: dict[str, list[list[float]]] = {"correct": [], "alone": []}
            lost: list[float] = []
            pairs = find_pairs(folder)
            for pair in pairs[:: max(1, len(pairs) // (options.limit or len(pairs)))]:
                image, truth = pair.load()
                photo = segmenter.embed(image)
                nothing = np.zeros_like(truth)
                rows["alone"].append(
                    click_through(
                        lambda photo=photo, **clicks: photo.segment(**clicks).mask,
                        nothing,
                        truth,
                        (middle(truth)[0], 1),
                    )
                )
                hands = [
                    hand
                    for hand in photo.segment()
                    if hand.landmarks is not None and share_inside(hand.landmarks, truth) > 0.7
                ]
                if not hands:
                    continue
                marks = hands[0].landmarks

                def corrected(photo=photo, marks=marks, **clicks) -> np.ndarray:  # type: ignore[no-untyped-def]
                    return photo.segment(landmarks=marks, **clicks).mask

                rows["correct"].append(click_through(corrected, hands[0].mask, truth))
                if points := in_gaps(marks, truth):
                    hand = hands[0].mask & truth
                    after = corrected(points=points, labels=[0] * len(points))
                    lost.append(float((hand & ~after).sum() / max(1, hand.sum())))
            for task, scores in rows.items():
                means = "".join(f"{mean:7.3f}" for mean in np.mean(scores, 0))
                print(f"{folder.name:16} {task:8} {len(scores):5}{means}", flush=True)
            if lost:
                print(
                    f"{folder.name:16} clicks between fingers of {len(lost)} hands take off "
                    f"{100 * np.mean(lost):.2f} % of one in the mean, {100 * max(lost):.1f} % at "
                    "most",
                    flush=True,
                )


if __name__ == "__main__":
    main()
