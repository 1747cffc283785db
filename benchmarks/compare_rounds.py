"""How well a tuned model applies clicks, by the rounds of a training step.

    python benchmarks/compare_rounds.py --config RUN.yaml --output runs/rounds \
        --rows prompts.second_pass=0 'prompts.second_pass=0.8 prompts.rounds=[2,4]'

tunes once per row, then corrects the hands of the validation part click by click. A click goes to
the middle of the largest error of at least `--depth` px of the logits' grid; it counts as applied
if its pixel is right afterwards. "mask" gives the model its last mask with the clicks, "plain" only
the clicks, as the predictor does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from handseg.finetune.lora.augment import Augmentation
from handseg.finetune.lora.data import load_photos
from handseg.finetune.lora.features import AugmentedHands
from handseg.finetune.lora.hands import find_hands
from handseg.finetune.lora.settings import FinetuneConfig
from handseg.finetune.train import train
from handseg.models import load_mask_model
from handseg.models.bundled import home
from handseg.models.torch_common import image_embeddings
from handseg.prompts import IGNORED
from handseg.prompts.recipe import find_recipe
from handseg.runtime.config import assign, from_mapping, parse_assignments, read_yaml

CLICKS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", required=True, help="settings of each row")
    parser.add_argument("--depth", type=float, default=2.0)
    options = parser.parse_args()
    given = {"cache_dir": str(options.output / "cache"), "report": False}
    table = Table("settings", "prompted", "IoU", "after each click", "applied", "clicks")
    console = Console(width=150)
    for number, row in enumerate(["", *options.rows]):
        values = assign(read_yaml(options.config), given | parse_assignments(row.split()))
        config = from_mapping(FinetuneConfig, values, row or "base")
        folder = options.output / str(number)
        if row:
            train(config, folder)
        for name, (scores, applied) in _click(config, folder if row else None, options).items():
            mean = [f"{value:.4f}" for value in np.mean(scores, 0)]
            share = f"{np.mean(applied):.3f}" if applied else "-"
            table.add_row(
                row or "base", name, mean[0], " ".join(mean[1:]), share, f"{len(applied)}"
            )
        console.print(table)


@torch.no_grad()
def _click(
    config: FinetuneConfig, adapter: Path | None, options: argparse.Namespace
) -> dict[str, tuple[list[list[float]], list[bool]]]:
    """By prompting: each hand's IoU before and after each click, and which clicks were applied."""
    photos = load_photos(config.data, options.output / "split", config.seed)["val"]
    cache = options.output / "cache" / "landmarks"
    found = find_hands(photos, cache, target=config.data.target)
    model = load_mask_model(config.model, adapter=adapter, device="cpu", backend="torch")
    recipe = config.recipe or find_recipe(home(config.model))
    views = AugmentedHands(found.hands, recipe, model.input_size, Augmentation(), 1, 0)
    rows: dict[str, tuple[list[list[float]], list[bool]]] = {"mask": ([], []), "plain": ([], [])}
    for index in range(len(views)):
        item = views[index]
        embedded = image_embeddings(model.model, model.pixel_values(item["image"][None]))
        for name, (scores, applied) in rows.items():
            ious, right = _correct(model, embedded, item, name == "mask", options.depth)
            scores.append(ious)
            applied += right
    return rows


def _correct(
    model: Any, embedded: dict[str, Any], item: dict[str, Any], with_mask: bool, least: float
) -> tuple[list[float], list[bool]]:
    """The IoU of a hand before and after each click, and whether each click was applied."""
    there = item["labels"][0] != IGNORED
    points, labels = item["points"][:, there][None], item["labels"][:, there][None]
    prompts: dict[str, Any] = {"input_boxes": item["box"][None], "multimask_output": False}
    ious: list[float] = []
    applied: list[bool] = []
    click = (0, 0)
    for _ in range(CLICKS + 1):
        output = model.model(**embedded, **prompts, input_points=points, input_labels=labels)
        logits = output.pred_masks[0, 0]
        side = logits.shape[-1]
        truth, valid = (
            torch.nn.functional.adaptive_avg_pool2d(item[name][None], (side, side))[0].numpy()
            for name in ("target", "valid")
        )
        mask, truth, valid = (logits[0] > 0).numpy(), truth > 0.5, valid > 0.99
        if ious:
            applied.append(bool(mask[click] == truth[click]))
        ious.append(float((mask & truth & valid).sum() / max(1, ((mask | truth) & valid).sum())))
        click, depth = _deepest(mask, truth, valid)
        if depth < least:
            return ious + ious[-1:] * (CLICKS + 1 - len(ious)), applied
        scale = model.input_size / side
        point = (torch.tensor(click[::-1], dtype=torch.float32) + 0.5) * scale - 0.5
        points = torch.cat([points, point[None, None, None]], 2)
        labels = torch.cat([labels, torch.tensor([[[int(truth[click])]]])], 2)
        if with_mask:
            prompts["input_masks"] = logits[None].float().clamp(-20, 20)
    return ious, applied


def _deepest(
    mask: np.ndarray, truth: np.ndarray, valid: np.ndarray
) -> tuple[tuple[int, int], float]:
    """Row and column of the middle of the largest error, and its depth, px."""
    depths = [
        cv2.distanceTransform(np.pad(one & valid, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        for one in (truth & ~mask, mask & ~truth)
    ]
    deepest = max(depths, key=lambda depth: depth.max())
    row, column = np.unravel_index(int(deepest.argmax()), deepest.shape)
    return (int(row), int(column)), float(deepest.max())


if __name__ == "__main__":
    main()
