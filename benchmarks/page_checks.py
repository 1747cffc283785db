"""How good the page's "check this hand" is: does it mark the wrong masks, and few others?

    python benchmarks/page_checks.py DATA/eval/arsl20 DATA/eval/wong_ceiling [--every 2]

For photos in which one hand is found: how many are marked and why, the mean IoU to the true mask of
these and of the others, and how many of the masks below 0.85 are marked. True masks are cut at the
wrist like the predicted ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from handseg.annotate.records import mask_iou
from handseg.app.checks import find_doubts
from handseg.data.image_mask import find_pairs
from handseg.postprocess.cleanup import cut_at_wrist
from handseg.segmenter import HandSegmenter

WRONG = 0.85


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--every", type=int, default=1, help="take every Nth photo of each folder")
    options = parser.parse_args()
    ious, said = [], []
    with HandSegmenter.from_pretrained() as segmenter:
        for folder in options.folders:
            for pair in find_pairs(folder)[:: options.every]:
                image, mask = pair.load()
                result = segmenter.segment(image)
                if len(result) != 1 or not mask.any():
                    continue
                (hand,) = result
                truth = mask * np.uint8(255)
                if hand.landmarks is not None:
                    cut_at_wrist(truth, hand.landmarks)
                ious.append(mask_iou(hand.patch, hand.offset, truth, (0, 0)))
                said.append(find_doubts(hand, [hand], prompted=True))
    true = np.array(ious)
    rows = {"to be checked": np.array([bool(doubts) for doubts in said])}
    for reason in sorted({one for doubts in said for one in doubts}):
        rows[reason] = np.array([reason in doubts for doubts in said])
    print(f"{len(true)} hands, {(true < WRONG).sum()} of them below {WRONG}")
    for name, marked in rows.items():
        print(
            f"{name:44} {marked.sum():3} marked, mean IoU {true[marked].mean():.3f}, "
            f"others {true[~marked].mean():.3f}, "
            f"{(marked & (true < WRONG)).sum()} below {WRONG}"
        )


if __name__ == "__main__":
    main()
