"""What LoRA gains on your own masks, by rank and placement, and what it forgets.

    python benchmarks/compare_adapters.py DATA/eval/hgr178 --config finetune/forearm.yaml \
        --train 'train_.*_id0[1-5]_' --val val_ --groups '(id[0-9]+)' --other DATA/eval/arsl20

tunes once per row, prints a table, and keeps the runs in the output folder.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from handseg.data import LabelledPhotos, Splits, load_data
from handseg.data.image_mask import LabelledPhoto, find_pairs
from handseg.evaluation.run import MASK, MEDIAPIPE, Evaluation, evaluate_pairs
from handseg.finetune.lora.settings import FinetuneConfig
from handseg.finetune.train import train
from handseg.runtime.config import assign, from_mapping, parse_assignments, read_yaml
from handseg.segmenter import HandSegmenter

ROWS = (
    "lora.rank=8",
    "lora.rank=4",
    "lora.rank=16",
    "lora.rank=32",
    "lora.modules_to_save=[]",
    "cache=false lora.placement=decoder+neck epochs=4",
    "cache=false lora.placement=all epochs=8",
)
"""The first row encodes the photos for all rows with a cache."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder of images/ and masks/")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--train", required=True, help="regular expression of the ids to train on")
    parser.add_argument("--val", required=True, help="and of those to measure on")
    parser.add_argument("--groups", help="regular expression of what must not be in both")
    parser.add_argument("--other", type=Path, help="pairs on which forgetting is measured")
    parser.add_argument("--rows", nargs="*", default=ROWS, help="settings of each row")
    parser.add_argument("--output", type=Path, default=Path("runs/compare_adapters"))
    options = parser.parse_args()
    data = {"group_pattern": options.groups} if options.groups else {}
    dataset = load_data(options.data, **data)
    groups = dict(zip(dataset["id"], dataset["group"], strict=True))
    parts = {
        part: tuple(name for name in groups if re.search(pattern, name))
        for part, pattern in (("train", options.train), ("val", options.val))
    }
    splits = Splits(parts, {name: groups[name] for ids in parts.values() for name in ids})
    options.output.mkdir(parents=True, exist_ok=True)
    splits.save(options.output / "splits.json")
    photos = LabelledPhotos(splits.select(dataset, "val"))
    other = find_pairs(options.other) if options.other else []
    given = {
        "data.source": str(options.data),
        "data.options": data,
        "data.splits": str(options.output / "splits.json"),
        "cache_dir": str(options.output / "cache"),
        "report": False,
    }
    table = Table("settings", "minutes", "adapter MB", "IoU", "median", "boundary F", "IoU, mask",
                  "other IoU", title=f"{len(photos)} photos, {len(other)} others")  # fmt: skip
    console = Console(width=150)
    table.add_row("zero-shot", "", "", *_scores(None, photos, other))
    for number, row in enumerate(options.rows):
        values = assign(read_yaml(options.config), given | parse_assignments(row.split()))
        config = from_mapping(FinetuneConfig, values, row)
        folder = options.output / f"{number}"
        started = time.perf_counter()
        train(config, folder)
        minutes = (time.perf_counter() - started) / 60
        size = (folder / "adapter_model.safetensors").stat().st_size / 1e6
        table.add_row(row, f"{minutes:.1f}", f"{size:.2f}", *_scores(folder, photos, other))
        console.print(table)


def _scores(
    adapter: Path | None, photos: Sequence[LabelledPhoto], other: Sequence[LabelledPhoto]
) -> list[str]:
    with HandSegmenter.from_pretrained(adapter=adapter, device="cpu") as segmenter:
        found = evaluate_pairs(segmenter, photos, worst=0)
        from_mask = evaluate_pairs(segmenter, photos, prompts=MASK, worst=0)
        kept = evaluate_pairs(segmenter, other, prompts=MEDIAPIPE, worst=0) if other else None
    iou = found.summary.metrics["iou"]
    cells: list[Any] = [
        iou["mean"],
        iou["median"],
        _mean(found, "boundary_f"),
        _mean(from_mask, "iou"),
        _mean(kept, "iou") if kept else float("nan"),
    ]
    return [f"{value:.4f}" for value in cells]


def _mean(evaluation: Evaluation, metric: str) -> float:
    return evaluation.summary.metrics[metric]["mean"]


if __name__ == "__main__":
    main()
