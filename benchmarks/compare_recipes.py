"""Scores of each prompt recipe on a folder of pairs, and a picture of each on one photo.

python benchmarks/compare_recipes.py DATA/eval/arsl20 --picture prompts/recipes.jpg
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from handseg.data.image_mask import find_pairs
from handseg.evaluation.metrics import compare_masks
from handseg.io.files import save_image
from handseg.io.images import load_image
from handseg.landmarks.anatomy import draw_skeleton
from handseg.models.region import Region
from handseg.prompts import POSITIVE, PromptRecipe
from handseg.segmenter import HandSegmenter

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "tests" / "data" / "photos" / "images"
GREEN, RED, BLUE, YELLOW = (60, 220, 60), (255, 60, 60), (60, 140, 255), (255, 220, 0)


def draw_prompts(segmenter: HandSegmenter, photo: np.ndarray, name: str) -> np.ndarray:
    """Draw the first hand's region with its prompts, next to the cut-out that they give."""
    side = 320
    hand = segmenter.landmarker.detect(photo)[0]
    prompts = segmenter.recipe.prompts(hand.points, *photo.shape[:2])
    region = Region.around(prompts.roi_box, segmenter.recipe.region_margin)
    picture = region.crop(photo, side)
    if prompts.skeleton and prompts.landmarks is not None:
        bones = draw_skeleton(region.to_crop(prompts.landmarks, side), side) > 0
        picture[bones] = picture[bones] // 2 + np.array(YELLOW, np.uint8) // 2
    if prompts.box is not None:
        corners = np.round(region.to_crop(prompts.box.reshape(2, 2), side)).astype(int).tolist()
        cv2.rectangle(picture, *corners, BLUE, 2)
    for point, label in zip(region.to_crop(prompts.points, side), prompts.labels, strict=True):
        if label >= 0:
            middle = np.round(point).astype(int).tolist()
            cv2.circle(picture, middle, 4, GREEN if label == POSITIVE else RED, -1, cv2.LINE_AA)
    composite = np.asarray(segmenter.segment(photo, max_hands=1).composite("white"))
    result = region.crop(composite, side)
    cv2.putText(picture, name, (8, 22), 0, 0.6, (255, 255, 255), 3, cv2.LINE_AA)
    cv2.putText(picture, name, (8, 22), 0, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([picture, result])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="*", type=Path, help="folders of pairs")
    parser.add_argument("--model", default="handseg-lite")
    parser.add_argument("--picture", type=Path, help="where to write the picture")
    options = parser.parse_args()
    photo = load_image(sorted(PHOTO.iterdir())[-1])
    tiles = []
    with HandSegmenter.from_pretrained(options.model) as segmenter:
        print(f"{'recipe':16} {'set':12} {'IoU':>7} {'median':>7} {'boundary F':>11} {'ms':>6}")
        for path in sorted((ROOT / "prompts").glob("*.yaml")):
            segmenter.recipe = PromptRecipe.load(path)
            if segmenter.recipe.is_for_objects:
                continue
            tiles.append(draw_prompts(segmenter, photo, path.stem))
            for folder in options.folders:
                scores, seconds = [], []
                for pair in find_pairs(folder):
                    image, mask = pair.load()
                    start = time.perf_counter()
                    result = segmenter.segment(image)
                    seconds.append(time.perf_counter() - start)
                    metrics = compare_masks(result.mask, mask)
                    scores.append((metrics.iou, metrics.boundary_f))
                iou, boundary = np.array(scores).T
                print(
                    f"{path.stem:16} {folder.name:12} {iou.mean():7.4f} {np.median(iou):7.4f} "
                    f"{boundary.mean():11.4f} {1000 * np.median(seconds):6.0f}"
                )
    if options.picture:
        save_image(np.hstack(tiles), options.picture)


if __name__ == "__main__":
    main()
