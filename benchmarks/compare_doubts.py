"""Which number reveals wrong masks: predicted IoU, or disagreement with other prompts' masks?

    python benchmarks/compare_doubts.py DATA/eval/hgr178 [--every 2]

For one hand per photo: each number's rank correlation with the IoU to the true mask, with the 95 %
interval over photos, and how many of the worst fifth of masks are in the number's lowest fifth.
True masks are cut at the wrist like the predicted ones, so that arms, which some of them include,
do not count.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from handseg.annotate import records
from handseg.data.image_mask import find_pairs
from handseg.postprocess.cleanup import cut_at_wrist
from handseg.segmenter import HandSegmenter

NUMBERS = (
    "predicted IoU",
    "IoU with a box alone, same region",
    "IoU with a wider box alone",
    "product of the first and the last",
)


def measure(folder: Path, every: int) -> np.ndarray:
    """(N, 4): the true IoU of each photo's most certain hand, then the first three `NUMBERS`."""
    rows = []
    with HandSegmenter.from_pretrained() as segmenter:
        for pair in find_pairs(folder)[::every]:
            image, mask = pair.load()
            photo = segmenter.embed(image)
            for hand in photo.segment(max_hands=1, finder=False):
                assert hand.landmarks is not None
                truth = mask * np.uint8(255)
                cut_at_wrist(truth, hand.landmarks)
                row = [records.mask_iou(hand.patch, hand.offset, truth, (0, 0)), hand.predicted_iou]
                for wider in (1.0, 1.3):
                    agreed = records.agreement(photo, hand, segmenter.recipe, wider)
                    assert agreed is not None
                    row.append(agreed)
                rows.append(row)
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every Nth photo")
    options = parser.parse_args()
    measured = measure(options.folder, options.every)
    true = measured[:, 0]
    numbers = [*measured[:, 1:].T, measured[:, 1] * measured[:, 3]]
    fifth = len(true) // 5
    worst = set(np.argsort(true)[:fifth].tolist())
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(true), (1000, len(true)))
    print(f"{len(true)} hands")
    for name, number in zip(NUMBERS, numbers, strict=True):
        low, high = np.percentile(
            [spearmanr(number[draw], true[draw]).statistic for draw in draws], (2.5, 97.5)
        )
        rank = spearmanr(number, true).statistic
        caught = len(worst & set(np.argsort(number)[:fifth].tolist()))
        below = (number < (0.95 if "IoU with" in name else 0.88)).mean()
        print(
            f"{name:36} {rank:5.2f} ({low:.2f} to {high:.2f})  {caught} of {fifth}  "
            f"{np.median(number):.3f} median, {below:.0%} doubtful"
        )


if __name__ == "__main__":
    main()
