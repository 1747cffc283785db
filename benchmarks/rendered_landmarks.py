"""Whether MediaPipe sees rendered hands, and where: its landmarks against the rendered ones.

    python benchmarks/rendered_landmarks.py FOLDER [--scenes palm,sign] [--least 100]

FOLDER is written by `python -m handseg.synthetic.rendered`. A hand counts if the longer side of its
box is at least `--least` px, all its landmarks are in the frame and two fifths of them are seen.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from handseg.io.images import load_image
from handseg.landmarks.anatomy import LANDMARK_NAMES
from handseg.landmarks.landmarker import HandLandmarker

FOUND_WITHIN = 0.5
"""Largest distance between two landmark sets' means if they are of one hand, in hand sizes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", default="palm,sign")
    parser.add_argument("--least", type=float, default=100.0)
    arguments = parser.parse_args()
    found: dict[str, list[bool]] = defaultdict(list)
    sides: list[bool] = []
    offsets: list[np.ndarray] = []
    with HandLandmarker() as landmarker:
        for path in sorted((arguments.folder / "truth").glob("*.json")):
            record = json.loads(path.read_text())
            if record["scene"] not in arguments.scenes.split(","):
                continue
            image = load_image(arguments.folder / "images" / f"{record['id']}.jpg")
            seen = landmarker.detect(image)
            for hand in record["hands"]:
                if not counts(hand, record["size"], arguments.least):
                    continue
                points = np.array(hand["landmarks"])
                near = [
                    other
                    for other in seen
                    if np.linalg.norm(other.points.mean(0) - points.mean(0))
                    < FOUND_WITHIN * hand["hand_size"]
                ]
                found[record["scene"]].append(bool(near))
                if near:
                    best = min(near, key=lambda one: np.abs(one.points - points).mean())
                    offsets.append((best.points - points) / hand["hand_size"])
                    sides.append(best.handedness == hand["handedness"])
    for scene, hits in sorted(found.items()):
        print(f"{scene}: {np.mean(hits):.3f} of {len(hits)} hands found")
    if not offsets:
        raise SystemExit("no hand was found")
    distances = np.linalg.norm(offsets, axis=2)
    print(f"same handedness: {np.mean(sides):.3f}")
    print(f"distance, median over landmarks and hands: {np.median(distances):.4f} hand sizes")
    for number, name in enumerate(LANDMARK_NAMES):
        print(f"  {name:18s} {np.median(distances[:, number]):.3f}")


def counts(hand: dict, size: int, least: float) -> bool:
    """Whether the hand is large enough, in the frame, and not hidden."""
    x0, y0, x1, y1 = hand["box"]
    points = np.array(hand["landmarks"])
    inside = ((points > 2) & (points < size - 3)).all()
    return max(x1 - x0, y1 - y0) >= least and bool(inside) and np.mean(hand["seen"]) >= 0.4


if __name__ == "__main__":
    main()
