"""Masks for photos that have none, made by a trained model and kept only where it is sure.

    python -m handseg.finetune.pretrain.selflabel --model runs/lite --photos DIR --output DIR

Every hand is segmented under several recipes, regions and a mirror image. Where these agree with
each other and with GrabCut, which knows nothing of hands but sees every edge, their mean becomes
the mask. The output is a folder of pairs, one for each hand: images/ and masks/.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from PIL import Image

from handseg.data.image_mask import ImageMaskPair
from handseg.errors import ImageError, TrainingError, reason
from handseg.evaluation.metrics import compare_masks
from handseg.io.files import find_images
from handseg.io.images import load_image
from handseg.landmarks import HandLandmarker, HandLandmarks
from handseg.landmarks.anatomy import wrist_side
from handseg.runtime.files import write_atomic
from handseg.runtime.journal import Journal
from handseg.runtime.progress import tracked
from handseg.runtime.terminal import fail, running
from handseg.segmenter import HandSegmenter
from handseg.synthetic.pasted.sources import LANDMARKS

logger = logging.getLogger(__name__)

# Ways to prompt for a hand: each must be reasonable on its own, and they should differ.
VARIANTS: tuple[tuple[dict, bool], ...] = (
    ({}, False),
    ({}, True),
    ({"skeleton": True}, False),
    ({"positives": (), "negatives": ()}, False),
    ({"box": False}, True),
    ({"region_margin": 0.32}, False),
    ({"region_margin": 0.2}, True),
)


@dataclass(frozen=True)
class SelfLabelThresholds:
    """Minimum scores for keeping a hand's mask, all 0..1.

    Attributes:
        votes: share of MediaPipe's views in which the hand was found.
        agreement: mean IoU of the variants with their mean.
        grabcut: IoU of GrabCut's mask with the variants' mean.
        predicted_iou: mean of the variants' own estimates.
    """

    votes: float = 0.4
    agreement: float = 0.94
    grabcut: float = 0.86
    predicted_iou: float = 0.75


def self_label(
    segmenter: HandSegmenter, photo: np.ndarray, thresholds: SelfLabelThresholds
) -> list[tuple[HandLandmarks, np.ndarray | None, dict[str, float]]]:
    """Return each hand of a photo with its mask, (H, W) bool, or None if the variants disagree."""
    found = segmenter.landmarker.detect(photo)
    labelled: list[tuple[HandLandmarks, np.ndarray | None, dict[str, float]]] = []
    for hand in found:
        alphas, estimates = _opinions(segmenter, photo, hand.points)
        # The end of a bare forearm is a matter of definition, not of visible edges.
        above_wrist = wrist_side(hand.points, *photo.shape[:2])
        alphas = [alpha * above_wrist for alpha in alphas]
        mean = np.mean(alphas, axis=0)
        mask = mean > 0.5
        if not mask.any():
            labelled.append((hand, None, {"agreement": 0.0}))
            continue
        scores = {
            "votes": hand.votes / len(segmenter.landmarker.views),
            "agreement": float(np.mean([compare_masks(alpha > 0.5, mask).iou for alpha in alphas])),
            "predicted_iou": float(np.mean(estimates)),
            "grabcut": compare_masks(grabcut(photo, mean) & (above_wrist > 0.5), mask).iou,
        }
        sure = all(scores[name] >= least for name, least in vars(thresholds).items())
        labelled.append((hand, mask if sure else None, scores))
    return labelled


def _opinions(
    segmenter: HandSegmenter, photo: np.ndarray, points: np.ndarray
) -> tuple[list[np.ndarray], list[float]]:
    alphas, estimates = [], []
    mirrored = np.ascontiguousarray(photo[:, ::-1])
    mirrored_points = points * [-1, 1] + [photo.shape[1] - 1, 0]
    for changes, mirror in VARIANTS:
        recipe = dataclasses.replace(segmenter.recipe, **changes)
        variant = HandSegmenter(segmenter.model, recipe)
        image, marks = (mirrored, mirrored_points) if mirror else (photo, points)
        hand = variant.segment(image, landmarks=marks).hands[0]
        alphas.append(hand.alpha[:, ::-1] if mirror else hand.alpha)
        estimates.append(hand.predicted_iou)
    return alphas, estimates


def grabcut(photo: np.ndarray, probability: np.ndarray, rounds: int = 3) -> np.ndarray:
    """Run GrabCut from `probability`, undecided in a band around 0.5; return (H, W) bool."""
    rows, columns = (np.flatnonzero((probability > 0.5).any(axis)) for axis in (1, 0))
    reach = max(len(rows), len(columns)) // 2
    window = (
        slice(max(0, rows[0] - reach), rows[-1] + reach),
        slice(max(0, columns[0] - reach), columns[-1] + reach),
    )
    part = (probability[window] > 0.5).astype(np.uint8)
    width = max(3, round(0.03 * max(len(rows), len(columns))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1,) * 2)
    trimap = np.where(part, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    trimap[cv2.erode(part, kernel) > 0] = cv2.GC_FGD
    trimap[cv2.dilate(part, kernel) == 0] = cv2.GC_BGD
    cv2.setRNGSeed(0)
    models = np.zeros((2, 1, 65))
    image = np.ascontiguousarray(photo[window])
    nowhere = (0, 0, 0, 0)  # ignored when a mask is given
    cv2.grabCut(image, trimap, nowhere, models[0], models[1], rounds, cv2.GC_INIT_WITH_MASK)
    result = np.zeros(probability.shape, bool)
    result[window] = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    return result


def label_folder(
    segmenter: HandSegmenter, photos: Sequence[Path], output: Path, thresholds: SelfLabelThresholds
) -> None:
    """Write a pair for every hand with a certain mask, and `labels.json` with all scores.

    Pairs of an earlier run in `output` are removed.

    Raises:
        TrainingError: if `output` holds other files, or two photos differ only in their suffix.
    """
    labels = output / "labels.json"
    if not labels.is_file() and output.exists() and any(output.iterdir()):
        raise TrainingError(f"{output} holds other files, choose a new or empty folder")
    stem, count = Counter(path.stem for path in photos).most_common(1)[0] if photos else ("", 0)
    if count > 1:
        raise TrainingError(f"photos: {count} are named {stem}, and would share a mask")
    for name in ("images", "masks"):
        shutil.rmtree(output / name, ignore_errors=True)
        (output / name).mkdir(parents=True)
    labels.write_text("{}")  # This marks the folder as our own.
    # For `add_landmarks`: in a photo of two hands, it must not search for the hand again.
    records, landmarks = {}, Journal(output / LANDMARKS)
    for path in tracked(photos, "labelling"):
        try:
            photo = load_image(path)
        except ImageError as error:
            logger.warning("%s", error)
            continue
        for index, (hand, mask, scores) in enumerate(self_label(segmenter, photo, thresholds)):
            stem = f"{path.stem}_h{index}"
            records[stem] = {"kept": mask is not None, **scores}
            if mask is None:
                continue
            image_path = output / "images" / f"{stem}{path.suffix}"
            mask_path = output / "masks" / f"{stem}.png"
            shutil.copyfile(path, image_path)
            with write_atomic(mask_path) as temporary:
                Image.fromarray(mask.astype(np.uint8) * 255).save(temporary)
            pair = ImageMaskPair(stem, image_path, mask_path)
            landmarks.record(pair.digest(), hand.points.astype(float).round(2).tolist())
    labels.write_text(json.dumps(records, indent=1))
    kept = sum(record["kept"] for record in records.values())
    logger.info("kept %d of %d hands in %d photos", kept, len(records), len(photos))


def main(
    model: Annotated[str, typer.Option(help="Model folder, as HandSegmenter takes it.")],
    photos: Annotated[Path, typer.Option(help="Folder of photos.")],
    output: Annotated[Path, typer.Option(help="Folder of pairs to write.")],
    votes: float = SelfLabelThresholds.votes,
    agreement: float = SelfLabelThresholds.agreement,
    grabcut: float = SelfLabelThresholds.grabcut,
    predicted_iou: float = SelfLabelThresholds.predicted_iou,
) -> None:
    """Make masks for photos that have none, and keep those that a trained model is sure of."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    thresholds = SelfLabelThresholds(votes, agreement, grabcut, predicted_iou)
    with running("finetune.pretrain.selflabel"):
        try:
            with (
                HandLandmarker(all_views=True) as landmarker,  # Each view has a vote.
                HandSegmenter.from_pretrained(model, landmarker=landmarker) as segmenter,
            ):
                label_folder(segmenter, find_images([photos]), output, thresholds)
        except (ValueError, OSError) as error:
            fail(reason(error))


if __name__ == "__main__":
    typer.run(main)
