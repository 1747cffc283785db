"""Background left inside the hand, and how straight the mask ends at the wrist.

    python benchmarks/leftovers.py tests/data/photos DATA/eval/arsl20 [--model A --model B]

The share of true background taken for hand, inside the true hand's convex hull and farther from the
hand than 0.4 % of the photo's diagonal: mostly gaps between fingers. A patch is a part of it larger
than 0.2 % of the hand, which IoU hides but everybody sees. Photos whose hand is missed are counted
separately and excluded.

Where a mask ends at the line across the wrist, its end is compared with a straight line fitted to
it: the 95th percentile of the distances, in px and per mille of the diagonal.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np

from handseg import HandSegmenter
from handseg.data.image_mask import find_pairs
from handseg.landmarks.anatomy import WRIST, WRIST_END, hand_size, palm_axis
from handseg.results.hand import Hand
from handseg.runtime.connected import Components
from handseg.runtime.files import write_atomic

NEAR, PATCH = 0.004, 0.002
"""As shares of the diagonal and of the hand's area."""
END, SIDES = 0.06, 0.15
"""Largest distance of the end from the line, in hand sizes, and the share of its width excluded at
each side, where it turns into the arm's outline."""


@dataclass
class Tally:
    """Counts over a folder.

    Attributes:
        photos: number with a hand found; missed: number without.
        gaps, filled: px, true background between fingers and how much of it is taken for hand.
        patched: names of photos with a patch.
        strays: each wrist's deviation from straight, px and per mille of the diagonal.
    """

    photos: int = 0
    missed: int = 0
    gaps: int = 0
    filled: int = 0
    patched: list[str] = field(default_factory=list)
    strays: list[tuple[float, float]] = field(default_factory=list)

    def add(self, name: str, hands: list[Hand], mask: np.ndarray, truth: np.ndarray) -> None:
        """Count one photo, by its `mask` and the true one, both (H, W) bool."""
        if not (mask & truth).any():
            self.missed += 1
            return
        self.photos += 1
        diagonal = float(np.hypot(*truth.shape))
        gaps = between_fingers(truth, NEAR * diagonal)
        self.gaps += int(gaps.sum())
        self.filled += int((gaps & mask).sum())
        if largest_patch(gaps & mask) > PATCH * truth.sum():
            self.patched.append(name)
        for hand in hands:
            strayed = wrist_strays(hand)
            if strayed is not None:
                self.strays.append((strayed, 1000 * strayed / diagonal))


def between_fingers(truth: np.ndarray, near: float) -> np.ndarray:
    """(H, W) bool: background in the convex hulls of the hands, farther than `near` px from any.

    Each island of the true mask (H, W) bool has its own hull.
    """
    hulls = np.zeros(truth.shape, np.uint8)
    outlines, _ = cv2.findContours(truth.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        cv2.fillConvexPoly(hulls, cv2.convexHull(outline), 1)
    distance = cv2.distanceTransform((~truth).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return (hulls > 0) & (distance > near)


def largest_patch(mask: np.ndarray) -> int:
    """The area of the largest island, px."""
    parts = Components.of(mask, 8)
    return int(parts.sums(np.ones_like(mask))[1:].max(initial=0))


def wrist_strays(hand: Hand) -> float | None:
    """Deviation of the end of a hand's mask from straight, px; None if no line cuts it."""
    if hand.landmarks is None:
        return None
    axis, size = palm_axis(hand.landmarks), hand_size(hand.landmarks)
    end = hand.landmarks[WRIST] + axis * WRIST_END * size
    outlines, _ = cv2.findContours(
        hand.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    points = np.concatenate([outline[:, 0] for outline in outlines]).astype(float)
    height, width = hand.mask.shape
    inner = (points > 0).all(1) & (points < [width - 1, height - 1]).all(1)
    beyond = (points - end) @ axis
    across = (points - end) @ np.array([-axis[1], axis[0]])
    at_end = inner & (np.abs(beyond) < END * size) & (np.abs(across) < size)
    if at_end.sum() < 0.2 * size:
        return None  # The frame or a sleeve ends the mask.
    low, high = across[at_end].min(), across[at_end].max()
    margin = SIDES * (high - low)
    middle = at_end & (across > low + margin) & (across < high - margin)
    if middle.sum() < 8:
        return None
    line = np.polyfit(across[middle], beyond[middle], 1)
    return float(np.percentile(np.abs(beyond[middle] - np.polyval(line, across[middle])), 95))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", action="append", help="several are compared")
    parser.add_argument("--json", type=Path, help="file to write the counts to")
    options = parser.parse_args()
    counts: dict[str, dict[str, object]] = {}
    print(
        f"{'set':16} {'model':24} {'photos':>6} {'missed':>6} {'patched':>7} {'filled':>8} "
        f"{'wrists':>6} {'px':>6} {'per mille':>9}"
    )
    for model in options.model or ["handseg-lite"]:
        with HandSegmenter.from_pretrained(model) as segmenter:
            for folder in options.folders:
                tally = Tally()
                for pair in find_pairs(folder):
                    image, truth = pair.load()
                    result = segmenter.segment(image)
                    tally.add(pair.id.split("/")[-1], list(result), result.mask, truth)
                strays = np.median(tally.strays, axis=0) if tally.strays else [np.nan, np.nan]
                print(
                    f"{folder.name:16} {str(model)[-24:]:24} {tally.photos:6} {tally.missed:6} "
                    f"{len(tally.patched):7} {tally.filled / max(1, tally.gaps):8.4f} "
                    f"{len(tally.strays):6} {strays[0]:6.2f} {strays[1]:9.3f}",
                    flush=True,
                )
                counts.setdefault(folder.name, {})[str(model)] = asdict(tally)
    if options.json is not None:
        with write_atomic(options.json) as temporary:
            temporary.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
