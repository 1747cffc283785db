"""How often the hand finder is right, by score, on the validation pictures of its run.

    python benchmarks/finder_curve.py runs/finder --count 400

Prints recall, precision and false hands per picture above each score, and how often boxes with a
score are right (IoU of 0.4 with a hand). The pictures are made from the same held-out photos as
those that calibrated the scores, but differ from them.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from handseg.finetune.finder.calibration import fit_logistic
from handseg.finetune.finder.close_ups import CloseUps
from handseg.finetune.finder.samples import FinderSamples
from handseg.finetune.finder.settings import FinderConfig
from handseg.finetune.finder.task import finished, found_boxes, load_samples
from handseg.runtime.config import from_mapping, read_yaml
from handseg.runtime.files import write_atomic
from handseg.runtime.run_folder import CACHE

SCORES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


def hands_in(samples: FinderSamples | CloseUps) -> int:
    """Count the hands in the pictures."""
    return sum(
        int((item["heat"] == 1).sum()) for item in map(samples.__getitem__, range(len(samples)))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=400, help="pictures")
    parser.add_argument("--json", type=Path, help="file to write the curve to")
    options = parser.parse_args()
    values = read_yaml(options.run / "config.yaml")
    config = from_mapping(FinderConfig, values, str(options.run))
    _, held_out = load_samples(config, options.run / CACHE)
    network = finished(config, options.run)
    slope, offset = fit_logistic(*found_boxes(network, held_out))
    pictures = held_out.pictures if isinstance(held_out, CloseUps) else held_out
    pictures.seed, pictures.count = config.seed + 2, options.count
    logits, right = found_boxes(network, held_out)
    scores = 1 / (1 + np.exp(-(slope * logits + offset)))
    hands = hands_in(held_out)

    print(f"{options.count} pictures, {hands} hands\n score  recall  precision  false a picture")
    curve = []
    for score in SCORES:
        found = right[scores >= score]
        row = {
            "score": score,
            "recall": round(float(found.sum() / hands), 3),
            "precision": round(float(found.mean()), 3) if len(found) else 1.0,
            "false": round(float((~found).sum() / options.count), 3),
        }
        curve.append(row)
        print(f"{score:6} {row['recall']:7.3f} {row['precision']:10.3f} {row['false']:16.3f}")
    print("\nscores       boxes  mean score  right")
    for low, high in pairwise(BINS):
        inside = (scores >= low) & (scores < high)
        if inside.any():
            mean, share = scores[inside].mean(), right[inside].mean()
            print(f"{low:3} to {high:3} {inside.sum():8} {mean:11.3f} {share:6.3f}")
    if options.json is not None:
        with write_atomic(options.json) as temporary:
            temporary.write_text(json.dumps(curve, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
