"""Finger widths in millimetres, on rendered palms with known widths and scale.

    python -m handseg.synthetic.rendered FOLDER --scenes palm --size 1344 --count 60 --held-out
    python benchmarks/rendered_millimetres.py FOLDER [--tilt 10] [--json FILE]

A finger's true width is that of the body's mesh where a ring sits. `handseg.measure` measures it on
the default's contour and on the true one, each with the palm's true scale and, if a coin lies on
the hand, with the coin's. The remaining error on the true contour is what one photo cannot show (a
slanted hand, fingers nearer to the camera than the palm) and where along the finger the width is
taken. Palms that the camera sees at a slant of more than `--tilt` degrees are reported separately.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from handseg import HandSegmenter
from handseg.errors import MeasurementError
from handseg.io.files import write_atomic
from handseg.io.images import load_image
from handseg.measure import HandMeasurement, measure_hand
from handseg.results import HandSegmentation
from handseg.results.hand import Hand

NAMES = {"index": "index", "middle": "middle", "ring": "ring", "little": "pinky"}
"""The truth's names of the fingers."""

NEAR = 0.3
"""Largest distance between the landmarks' means of the same hand, in hand sizes."""


def slant(points: np.ndarray) -> float:
    """Degrees between the palm's normal and the ray from the camera to its middle.

    `points` (21, 3) are landmarks in camera space, mm.
    """
    palm = points[[0, 5, 17]]
    normal = np.cross(palm[1] - palm[0], palm[2] - palm[0])
    ray = palm.mean(0)
    cosine = abs(normal @ ray) / np.linalg.norm(normal) / np.linalg.norm(ray)
    return float(np.degrees(np.arccos(np.clip(cosine, 0, 1))))


def same_hand(result: HandSegmentation, truth: dict) -> int | None:
    """Index of the segmented hand that matches the record, or None."""
    middle = np.mean(truth["landmarks"], 0)
    away = [
        np.linalg.norm(hand.landmarks.mean(0) - middle) / truth["hand_size"]
        for hand in result
        if hand.landmarks is not None
    ]
    return int(np.argmin(away)) if away and min(away) < NEAR else None


def true_hand(folder: Path, record: dict, number: int) -> Hand:
    """Return the hand as rendered, with its true landmarks."""
    instances = load_image(folder / "instances" / f"{record['id']}.png")[..., 0]
    hand = record["hands"][number]
    return Hand.from_alpha(
        instances == number + 1,
        (0, 0),
        instances.shape,
        prompt_box=np.array(hand["box"], np.float32),
        predicted_iou=1.0,
        landmarks=np.array(hand["landmarks"], np.float32),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tilt", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    errors: dict[tuple[str, str, bool], list[float]] = defaultdict(list)
    scales: list[float] = []
    counts = {"hands": 0, "found": 0, "coins": 0, "coins found": 0}
    with HandSegmenter.from_pretrained() as segmenter:
        for path in sorted((arguments.folder / "truth").glob("palm_*.json")):
            record = json.loads(path.read_text())
            for number, truth in enumerate(record["hands"]):
                if "fingers_mm" not in truth:
                    continue
                counts["hands"] += 1
                image = load_image(arguments.folder / "images" / f"{record['id']}.jpg")
                straight = slant(np.array(truth["landmarks_mm"])) <= arguments.tilt
                photo = segmenter.segment(image)
                index = same_hand(photo, truth)
                counts["found"] += index is not None
                ways = {
                    "true contour": (
                        HandSegmentation(image, (true_hand(arguments.folder, record, number),)),
                        0,
                    )
                }
                if index is not None:
                    ways["default"] = (photo, index)
                coin = record["notes"].get("coin_mm")
                counts["coins"] += coin is not None
                for way, (result, place) in ways.items():
                    measured = measure_hand(result, place, mm_per_px=truth["mm_per_px"])
                    add(errors, way, "true scale", straight, measured, truth)
                if coin is None or index is None:
                    continue
                try:
                    measured = measure_hand(photo, index, scale=coin)
                except MeasurementError:
                    continue
                counts["coins found"] += 1
                scales.append(100 * (measured.mm_per_px / truth["mm_per_px"] - 1))
                add(errors, "default", "coin", straight, measured, truth)
    report(errors, scales, counts, arguments.tilt)
    if arguments.json is not None:
        stored = [
            {"contour": way, "scale": scale, "straight": straight, "errors_mm": values}
            for (way, scale, straight), values in errors.items()
        ]
        with write_atomic(arguments.json) as temporary:
            temporary.write_text(json.dumps({**counts, "scale_percent": scales, "rows": stored}))


def add(
    errors: dict[tuple[str, str, bool], list[float]],
    way: str,
    scale: str,
    straight: bool,
    measured: HandMeasurement,
    truth: dict,
) -> None:
    """Store the errors in mm of fingers that could be measured, NaN for the others."""
    for name, other in NAMES.items():
        width = measured[name].width_mm
        errors[way, scale, straight].append(width - truth["fingers_mm"][other]["width"])


def report(
    errors: dict[tuple[str, str, bool], list[float]],
    scales: list[float],
    counts: dict[str, int],
    tilt: float,
) -> None:
    print(", ".join(f"{name}: {count}" for name, count in counts.items()))
    print(
        f"{'contour':14}{'scale':12}{'aslant':>10}{'fingers':>9}{'of':>6}"
        f"{'bias':>8}{'median':>8}{'95 %':>8}  mm"
    )
    for (way, scale, straight), values in sorted(errors.items()):
        error = np.array(values)
        there = error[np.isfinite(error)]
        if not len(there):
            continue
        print(
            f"{way:14}{scale:12}{'<=' if straight else '> '}{tilt:5.0f} deg{len(there):8}"
            f"{len(error):6}{np.median(there):+8.2f}{np.median(np.abs(there)):8.2f}"
            f"{np.percentile(np.abs(there), 95):8.2f}"
        )
    if scales:
        print(
            f"scale by the coin: {np.median(scales):+.2f} % (median), "
            f"{np.percentile(np.abs(scales), 95):.2f} % (95th percentile of its size)"
        )


if __name__ == "__main__":
    main()
