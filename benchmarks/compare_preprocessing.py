"""How filters before the small residual network change a photo, and what the network learns.

    python benchmarks/compare_preprocessing.py --data DATA --output runs/preprocessing

draws every chain's effect on a photo into OUTPUT/preprocessing.png, trains the network of
finetune/baselines/small_resnet.yaml with each on the photos of compare_systems.py, and prints a
table of its IoU on the validation photos and on DATA/eval/arsl20.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from compare_systems import CONFIGS, gather
from PIL import Image, ImageDraw, ImageFont

from handseg.data.image_mask import find_pairs
from handseg.evaluation.run import evaluate_pairs
from handseg.finetune.train import parse_settings, train
from handseg.io.images import load_image
from handseg.models.semantic.preprocess import preprocess
from handseg.pipeline.semantic import SemanticSegmenter
from handseg.runtime.config import assign, read_yaml

PHOTOS = Path(__file__).parents[1] / "tests" / "data" / "photos" / "images"
CHAINS = ((), ("bilateral",), ("clahe",), ("canny",), ("canny", "dilate"),
          ("bilateral", "clahe", "canny", "dilate"))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of train/ and eval/")
    parser.add_argument("--output", type=Path, default=Path("runs/preprocessing"))
    parser.add_argument("--photos", type=int, default=250, help="of each of the two sets")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--picture-only", action="store_true")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    draw(sorted(PHOTOS.iterdir())[0]).save(options.output / "preprocessing.png")
    if options.picture_only:
        return
    photos = gather(options.data / "train", options.output / "photos", options.photos)
    pairs = find_pairs(options.data / "eval" / "arsl20")
    print(f"| before the network | validation IoU, {options.seeds} seeds | arsl20 IoU |")
    print("| --- | --- | --- |")
    for chain in CHAINS:
        validation, test = [], []
        for seed in range(options.seeds):
            changes = {
                "data.source": str(photos),
                "data.ratios": {"train": 0.85, "val": 0.15},
                "network.preprocess": list(chain),
                "network.image_size": options.image_size,
                "epochs": options.epochs,
                "patience": None,
                "report": False,
                "seed": seed,
            }
            folder = options.output / f"{'-'.join(chain) or 'nothing'}-{seed}"
            values = assign(read_yaml(CONFIGS / "baselines" / "small_resnet.yaml"), changes)
            validation.append(train(parse_settings(values, "settings"), folder).best)
            with SemanticSegmenter.from_pretrained(folder, device="cpu") as segmenter:
                found = evaluate_pairs(segmenter, pairs, worst=0)
            test.append(found.summary.metrics["iou"]["mean"])
        cells = (", ".join(f"{value:.3f}" for value in values) for values in (validation, test))
        print(f"| {' + '.join(chain) or 'nothing'} | {' | '.join(cells)} |", flush=True)


def draw(path: Path) -> Image.Image:
    """Draw a photo after each chain, side by side, with names."""
    image = load_image(path)[::2, ::2]
    height, width = image.shape[:2]
    sheet = Image.new("RGB", (3 * (width + 8) + 8, 2 * (height + 34) + 8), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for number, chain in enumerate(CHAINS):
        x, y = 8 + number % 3 * (width + 8), 8 + number // 3 * (height + 34)
        sheet.paste(Image.fromarray(preprocess(np.ascontiguousarray(image), chain)), (x, y))
        pen.text((x, y + height + 4), " + ".join(chain) or "nothing", "black", font)
    return sheet


if __name__ == "__main__":
    main()
