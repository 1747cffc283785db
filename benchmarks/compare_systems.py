"""Every system on the same photos: baselines and handseg, trained, tested, counted, timed.

    python benchmarks/compare_systems.py --data DATA --output runs/systems

trains each row on photos of DATA/train/rps_green (split by burst) and massey_asl (by person),
unless it is already in the output folder, tests it on DATA/eval/arsl20 and hgr178, and prints a
Markdown table. Training takes about an hour on two cores.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from scipy.sparse.csgraph import connected_components

from handseg.data.groups import write_groups
from handseg.data.image_mask import ImageMaskPair, find_pairs
from handseg.evaluation.run import Evaluation, evaluate_pairs
from handseg.finetune.train import parse_settings, train
from handseg.models import load_mask_model
from handseg.models.sam.onnx import OnnxMaskModel
from handseg.pipeline.interface import Segmenter
from handseg.pipeline.semantic import SemanticSegmenter
from handseg.runtime.config import assign, read_yaml
from handseg.segmenter import HandSegmenter

CONFIGS = Path(__file__).parents[1] / "finetune"
BASELINES = {
    "DeepLabV3+, SGD, balanced": "deeplabv3plus_resnet18",
    "U-Net, last stage, opened": "unet_resnet101",
    "small residual CNN": "small_resnet",
    "DeepLabV3, two outputs, stage one": "hand_object_1",
}
ZERO_SHOT, FOREARM, TUNED = "handseg-lite", "handseg-lite, forearm=True", "handseg-lite + LoRA"
TESTS = ("arsl20", "hgr178")
ONE_BURST = 0.12
"""Frames belong to one burst if their masks, at 30 x 20 px, overlap by more than 1 minus this."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of train/ and eval/")
    parser.add_argument("--output", type=Path, default=Path("runs/systems"))
    parser.add_argument("--photos", type=int, default=400, help="of each of the two sets")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--image-size", type=int, default=192, help="of the baselines, px")
    parser.add_argument(
        "--encoder",
        default="tf_efficientnet_lite0",
        help='of the baselines; "own" is what each configuration says',
    )
    options = parser.parse_args()
    photos = gather(options.data / "train", options.output / "photos", options.photos)
    common = {
        "data.source": str(photos),
        "data.ratios": {"train": 0.85, "val": 0.15},
        "epochs": options.epochs,
        "report": False,
    }
    for name, file in BASELINES.items():
        changes = {**common, "network.image_size": options.image_size, "patience": None}
        # Schedules in epochs become shares of this shorter run.
        values = read_yaml(CONFIGS / "baselines" / f"{file}.yaml")
        if values.get("schedule") == "step":
            share = values["step_epochs"] / values["epochs"]
            changes["step_epochs"] = max(1, round(share * options.epochs))
        if options.encoder != "own" and values["network"]["encoder"] is not None:
            changes["network.encoder"] = options.encoder
        run(name, assign(values, changes), options.output / file)
    tuning = assign(read_yaml(CONFIGS / "forearm.yaml"), common)
    run(TUNED, tuning, options.output / "lora")

    segmenters: dict[str, Segmenter] = {
        name: SemanticSegmenter.from_pretrained(options.output / file, device="cpu")
        for name, file in BASELINES.items()
    }
    lite = HandSegmenter.from_pretrained(device="cpu")
    segmenters |= {
        ZERO_SHOT: lite,
        FOREARM: HandSegmenter(lite.model, lite.recipe.with_forearm(True)),
        TUNED: HandSegmenter.from_pretrained(options.output / "lora", device="cpu"),
    }
    tests = {name: find_pairs(options.data / "eval" / name) for name in TESTS}
    headers = ["", "parameters, million", "ms a photo"]
    for name, pairs in tests.items():
        headers += [f"{name} ({len(pairs)}): IoU", "boundary F", "accuracy", "missed"]
    print(f"| {' | '.join(headers)} |\n|{' --- |' * len(headers)}")
    milliseconds = time_all(segmenters, tests[TESTS[0]])
    for name, segmenter in segmenters.items():
        cells = [name, f"{parameters(segmenter) / 1e6:.1f}", f"{milliseconds[name]:.0f}"]
        for pairs in tests.values():
            cells += scores(evaluate_pairs(segmenter, pairs, worst=0))
        print(f"| {' | '.join(cells)} |", flush=True)
        segmenter.close()


def gather(source: Path, target: Path, count: int) -> Path:
    """Make a folder of links to `count` photos of each set, with their groups: bursts, persons."""
    rng = np.random.default_rng(0)
    green, letters = (find_pairs(source / name) for name in ("rps_green", "massey_asl"))
    burst = dict(zip(green, bursts(green), strict=True))
    chosen = [(pair, f"burst{burst[pair]}") for pair in sample(green, count, rng)]
    people = sorted({person_of(pair) for pair in letters})
    for person in people:
        theirs = [pair for pair in letters if person_of(pair) == person]
        chosen += [(pair, person) for pair in sample(theirs, count // len(people), rng)]
    groups = {}
    for pair, group in chosen:
        stem = pair.id.replace("/", "_")
        groups[stem] = group
        for kind, path in (("images", pair.image_path), ("masks", pair.mask_path)):
            link = target / kind / f"{stem}{path.suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(path.resolve())
    write_groups(groups, target / "groups.csv")
    return target


def sample(
    pairs: Sequence[ImageMaskPair], count: int, rng: np.random.Generator
) -> list[ImageMaskPair]:
    places = rng.choice(len(pairs), min(count, len(pairs)), replace=False)
    return [pairs[place] for place in sorted(places)]


def person_of(pair: ImageMaskPair) -> str:
    return pair.image_path.stem.partition("_")[0]


def bursts(pairs: Sequence[ImageMaskPair]) -> np.ndarray:
    """Number of each photo's burst, which file names do not give."""
    small = np.stack(
        [
            cv2.resize(
                cv2.imread(str(pair.mask_path), cv2.IMREAD_GRAYSCALE),
                (30, 20),
                interpolation=cv2.INTER_AREA,
            ).reshape(-1)
            / 255
            for pair in pairs
        ]
    )
    near = np.zeros((len(pairs), len(pairs)), bool)
    for place, one in enumerate(small):
        overlap = np.minimum(one, small).sum(1) / np.maximum(one, small).sum(1)
        near[place] = overlap > 1 - ONE_BURST
    return connected_components(near)[1]


def run(name: str, values: dict[str, Any], folder: Path) -> None:
    started = time.perf_counter()
    print(f"{name}: {folder}", flush=True)
    train(parse_settings(values, name), folder)
    print(f"{name}: {(time.perf_counter() - started) / 60:.1f} minutes", flush=True)


def parameters(segmenter: Any) -> int:
    """Number of parameters of the network alone, without MediaPipe's."""
    model = segmenter.model
    if isinstance(model, OnnxMaskModel):
        model = load_mask_model(model.folder, backend="torch")
    network = model.network if isinstance(segmenter, SemanticSegmenter) else model.model
    return sum(parameter.numel() for parameter in network.parameters())


def time_all(segmenters: dict[str, Segmenter], pairs: Sequence[ImageMaskPair]) -> dict[str, float]:
    """Median milliseconds of `segment`, all systems in turn on each photo, on two threads."""
    torch.set_num_threads(2)
    times: dict[str, list[float]] = {name: [] for name in segmenters}
    for number, pair in enumerate([pairs[0], *pairs]):
        image, _ = pair.load()
        for name, segmenter in segmenters.items():
            started = time.perf_counter()
            segmenter.segment(image)
            if number:  # the first one warms up
                times[name].append(time.perf_counter() - started)
    return {name: 1000 * statistics.median(some) for name, some in times.items()}


def scores(evaluation: Evaluation) -> list[str]:
    metrics = evaluation.summary.metrics
    means = (metrics[name]["mean"] for name in ("iou", "boundary_f", "pixel_accuracy"))
    return [*(f"{value:.3f}" for value in means), str(evaluation.summary.missed)]


if __name__ == "__main__":
    main()
