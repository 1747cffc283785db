"""Finger widths by a coin or a card, on rendered palms with known true widths.

    python benchmarks/rendered_sizes.py FOLDER [FOLDER ...] [--overlays DIR] [--json FILE]

Each folder is written by `python -m handseg.synthetic.rendered FOLDER --scenes palm`. Every picture
of a palm with the whole of a coin or a card in view is measured as by `handseg measure`, with the
default model and no truth but the kind of coin. A scale is right if its middle lies on an object in
the true mask.
Prints for each folder: pictures with the scale found, fingers measured and refused, the error of
their widths, and how many of the 95 % intervals contain the truth.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rendered_millimetres import NAMES, same_hand

from handseg import HandSegmenter
from handseg.errors import MeasurementError
from handseg.io.files import write_atomic
from handseg.io.images import load_image
from handseg.measure import HandMeasurement, measure_hand


@dataclass
class Rows:
    """Results of the pictures of one kind."""

    pictures: int = 0
    found: int = 0
    wrong: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    fingers: int = 0
    finger_refusals: Counter[str] = field(default_factory=Counter)
    widths: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Measured, low, high and true, mm."""


def objects(folder: Path, record: dict) -> np.ndarray:
    """Return the true mask of the coin or card, (H, W) uint8."""
    return load_image(folder / "object_masks" / f"{record['id']}.png")[..., 0]


def is_in_view(things: np.ndarray) -> bool:
    """Whether all of the coin or card is in the picture."""
    inner = things[1:-1, 1:-1]
    return bool(inner.any()) and int(things.sum()) == int(inner.sum())


def measure(
    segmenter: HandSegmenter, folder: Path, record: dict, kind: str, overlays: Path | None
) -> tuple[HandMeasurement, bool]:
    """Measure a record's hand, and tell whether its scale lies on an object.

    Raises:
        MeasurementError: if the hand cannot be measured.
    """
    image = load_image(folder / "images" / f"{record['id']}.jpg")
    result = segmenter.segment(image)
    truth = next(hand for hand in record["hands"] if "fingers_mm" in hand)
    index = same_hand(result, truth)
    if index is None:
        raise MeasurementError("the hand is not found")
    scale = "card" if kind == "card" else record["notes"]["coin_mm"]
    measured = measure_hand(result, index, scale=scale)
    middle = measured.coins[0].centre if measured.coins else measured.card.corners.mean(0)
    things = objects(folder, record)
    x, y = np.rint(middle).astype(int)
    if overlays is not None:
        picture = measured.overlay()
        picture.save(overlays / f"{folder.name}_{record['id']}.png")
    return measured, bool(things[y, x])


def add(rows: Rows, measured: HandMeasurement, truth: dict, right: bool) -> None:
    rows.found += right
    rows.wrong += not right
    for name, other in NAMES.items():
        finger = measured[name]
        rows.fingers += 1
        if finger.reason:
            rows.finger_refusals[re.sub(r" \d+", " N", finger.reason)] += 1
        else:
            true = truth["fingers_mm"][other]["width"]
            rows.widths.append((finger.width_mm, *finger.width_range, true))


def summary(rows: Rows) -> dict:
    values = np.array(rows.widths).reshape(-1, 4)
    error = values[:, 0] - values[:, 3]
    inside = (values[:, 1] <= values[:, 3]) & (values[:, 3] <= values[:, 2])
    return {
        "pictures": rows.pictures,
        "scale_found": rows.found,
        "scale_wrong": rows.wrong,
        "refused": dict(rows.refusals.most_common()),
        "fingers": rows.fingers,
        "measured": len(values),
        "fingers_refused": dict(rows.finger_refusals.most_common()),
        "bias_mm": float(np.median(error)) if len(error) else None,
        "median_error_mm": float(np.median(np.abs(error))) if len(error) else None,
        "error_95_mm": float(np.percentile(np.abs(error), 95)) if len(error) else None,
        "intervals_with_truth": float(inside.mean()) if len(error) else None,
        "median_half_interval_mm": (
            float(np.median(values[:, 2] - values[:, 1]) / 2) if len(error) else None
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--overlays", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.overlays is not None:
        arguments.overlays.mkdir(parents=True, exist_ok=True)
    every: dict[str, Rows] = {}
    with HandSegmenter.from_pretrained() as segmenter:
        for folder in arguments.folders:
            for path in sorted((folder / "truth").glob("palm_*.json")):
                record = json.loads(path.read_text())
                notes = record["notes"]
                kind = "coin" if "coin_mm" in notes else "card" if "card_mm" in notes else ""
                picture = folder / "images" / f"{record['id']}.jpg"
                if not kind or not notes.get("palm_up") or not picture.exists():
                    continue
                if not is_in_view(objects(folder, record)):
                    continue
                truth = next(hand for hand in record["hands"] if "fingers_mm" in hand)
                keys = [f"{folder.name}, {kind}", f"all, {kind}"]
                try:
                    measured, right = measure(segmenter, folder, record, kind, arguments.overlays)
                except MeasurementError as error:
                    for key in keys:
                        rows = every.setdefault(key, Rows())
                        rows.pictures += 1
                        rows.refusals[re.sub(r"(, by)? \d.*", "", str(error).split(":")[0])] += 1
                    continue
                if measured.coins:
                    place = "on the palm" if measured.coins[0].on_hand else "beside"
                    keys.append(f"all, coin {place}")
                if right:
                    keys.append(f"all, {kind} right")
                for key in keys:
                    rows = every.setdefault(key, Rows())
                    rows.pictures += 1
                    add(rows, measured, truth, right)
    found = {key: summary(rows) for key, rows in sorted(every.items())}
    for key, values in found.items():
        print(key)
        for name, value in values.items():
            print(f"    {name}: {round(value, 3) if isinstance(value, float) else value}")
    if arguments.json is not None:
        with write_atomic(arguments.json) as temporary:
            temporary.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
