"""How the contour depends on the upsampling of logits, on pasted hands with exact masks.

    python benchmarks/compare_upsampling.py --data DATA --run runs/lite_scenes [--seed 6]

Hands held out by `finetune/lite_scenes.yaml` are pasted at twice the model's input size; the model
sees them shrunk. `--run` is the folder with the landmark caches of that run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from handseg.evaluation.metrics import compare_masks
from handseg.finetune.pretrain.samples import load_samples
from handseg.finetune.pretrain.settings import PretrainConfig
from handseg.models import load_mask_model
from handseg.models.bundled import LITE_FOLDER
from handseg.postprocess.cleanup import smooth_logits
from handseg.prompts import PromptBatch
from handseg.runtime.config import assign, from_mapping, read_yaml

CONFIG = Path(__file__).parents[1] / "finetune" / "lite_scenes.yaml"
WAYS = {
    "cubic": (lambda logits: np.clip(logits, -12, 12), cv2.INTER_CUBIC),
    "linear": (lambda logits: logits, cv2.INTER_LINEAR),
    "smooth_logits, cubic": (smooth_logits, cv2.INTER_CUBIC),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--samples", type=int, default=60)
    options = parser.parse_args()
    values = assign(read_yaml(CONFIG), {"data.root": str(options.data)})
    config = from_mapping(PretrainConfig, values, str(CONFIG))
    _, composer = load_samples(config.data, config.recipe, options.run / "cache")
    composer.scene_share = 0  # only pasted hands have exact masks
    model = load_mask_model(LITE_FOLDER, backend="torch")
    side = 2 * model.input_size
    scores: dict[str, list[tuple[float, float, float]]] = {name: [] for name in WAYS}
    for index in range(options.samples):
        sample = composer.sample(np.random.default_rng([options.seed, index]), side)
        truth = (sample.alpha > 0.5) & sample.valid
        crop = cv2.resize(sample.image, (model.input_size,) * 2, interpolation=cv2.INTER_AREA)
        points, box = (((one + 0.5) / 2 - 0.5)[None] for one in (sample.points, sample.box))
        prompts = PromptBatch(points, sample.labels[None], box)
        logits, _ = model.decode(model.encode(crop[None]), prompts)
        for name, (prepare, interpolation) in WAYS.items():
            upsampled = cv2.resize(prepare(logits[0]), (side, side), interpolation=interpolation)
            mask = (upsampled > 0) & sample.valid
            metrics = compare_masks(mask, truth, boundary_tolerance=4)
            scores[name].append((metrics.iou, metrics.boundary_f, metrics.mean_distance_px))
    print(f"{'way':22} {'IoU':>7} {'boundary F, 4 px':>17} {'median distance px':>19}")
    for name, rows in scores.items():
        iou, boundary, distance = np.array(rows).T
        print(f"{name:22} {iou.mean():7.4f} {boundary.mean():17.4f} {np.median(distance):19.2f}")


if __name__ == "__main__":
    main()
