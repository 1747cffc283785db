"""Where the time goes for a photo, from file to PNG, and for a command, from the shell on.

    python benchmarks/bench_segment.py [--remover FILE] [--runs 9] [--backend torch] [--json FILE]

JPEG photos of 0.3, 0.7, 2 and 12 megapixels with one hand and with four, warm: the median ms of
each stage alone, of `segment(path)`, in which stages overlap, and from file to PNG. Then cold
starts, with the peak memory of each process. With `--remover`, an ONNX background remover like
U2-Net or ISNet processes the same photos in turn (prediction only, without reading and writing
files), with the IoU of both on the photos with one hand. `--json` writes the table in the form of
docs/benchmarks/speed.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mask_ways import OnnxRemover
from PIL import Image

from handseg.data.image_mask import find_pairs
from handseg.evaluation.metrics import compare_masks
from handseg.io.files import encode_image
from handseg.io.images import load_image
from handseg.models.region import Region
from handseg.runtime.files import write_atomic
from handseg.segmenter import HandSegmenter

PHOTOS = Path(__file__).parents[1] / "tests" / "data" / "photos"
WIDTHS = (640, 960, 1632, 4000)
"""Widths in px of 4:3 photos: 0.3, 0.7, 2 and 12 megapixels."""
STAGES = ("decode", "landmarks", "warp", "encoder", "decoder", "refine", "cut-out", "PNG",
          "segment(path)", "file to PNG")  # fmt: skip
TOLD = {
    "decode the JPEG": ("decode",),
    "landmarks": ("landmarks",),
    "crop regions": ("warp",),
    "encoder": ("encoder",),
    "decoder": ("decoder",),
    "contour": ("refine",),
    "**`segment(path)`**": ("segment(path)",),
    "cut-out and PNG": ("cut-out", "PNG"),
    "ISNet alone": ("remover",),
    "ISNet / `segment(path)`": ("ratio to segment",),
}
"""Rows of the table in the docs, with the stages that each sums."""
IDS = {"segment(path)": "segment", "remover": "isnet", "ratio to segment": "ratio"}
"""Names by which other tables refer to rows."""


class Clock:
    """Seconds by stage, summed over a stage's calls in a run."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = defaultdict(list)

    def start_run(self) -> None:
        for stage in STAGES:
            self.spent[stage].append(0.0)

    def timed(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*arguments, **options)
            finally:
                self.spent[stage][-1] += time.perf_counter() - start

        return inner

    def median(self, stage: str) -> float:
        """Median ms; the first two runs are warm-up."""
        return 1000 * statistics.median(self.spent[stage][2:])


def enlarged(image: np.ndarray, width: int) -> np.ndarray:
    """Resize the photo to `width` px, with a little grain if it is enlarged."""
    scale = width / image.shape[1]
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    if scale > 1:
        grain = np.random.default_rng(0).integers(0, 11, image.shape, np.uint8)
        image = cv2.subtract(cv2.add(image, grain), np.full_like(image, 5))
    return image


def photos() -> tuple[np.ndarray, np.ndarray]:
    """A photo of one hand, and one of four: the photo and its mirror images."""
    image = find_pairs(PHOTOS)[0].load()[0]
    row = np.hstack([image, image[:, ::-1]])
    return image, np.vstack([row, row[::-1]])


def measure(
    segmenter: HandSegmenter, file: Path, runs: int, remover: OnnxRemover | None
) -> tuple[Clock, int, list[float]]:
    """Return times by stage, hands found, and the remover's seconds."""
    clock, removing = Clock(), []
    model, landmarker = segmenter.model, segmenter.landmarker
    stages = {
        "landmarks": (landmarker, "find"),
        "warp": (Region, "crop"),
        "encoder": (model, "encode"),
        "decoder": (model, "decode"),
    }
    for _ in range(runs + 2):
        clock.start_run()
        image = clock.timed("decode", load_image)(file)
        plain = {stage: getattr(owner, name) for stage, (owner, name) in stages.items()}
        for stage, (owner, name) in stages.items():
            setattr(owner, name, clock.timed(stage, plain[stage]))
        start = time.perf_counter()
        result = segmenter.segment(image)
        whole = time.perf_counter() - start
        for stage, (owner, name) in stages.items():
            setattr(owner, name, plain[stage])
        clock.spent["refine"][-1] = whole - sum(clock.spent[stage][-1] for stage in stages)
        picture = clock.timed("cut-out", result.cutout)()
        clock.timed("PNG", encode_image)(picture, "hand.png")
        clock.timed("segment(path)", segmenter.segment)(file)
        clock.timed("file to PNG", lambda: segmenter.segment(file).save(file.with_suffix(".png")))()
        if remover is not None:
            start = time.perf_counter()
            remover(image)
            removing.append(time.perf_counter() - start)
    for stage in stages:
        if not clock.median(stage):
            raise RuntimeError(f"segment() did not call what is timed as {stage}")
    return clock, len(result), removing


def cold_start(command: list[str]) -> tuple[float, float]:
    """Median seconds of five runs of a process, start to end, and its peak MB."""
    seconds, peaks = [], []
    for _ in range(6):
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds.append(time.perf_counter() - start)
        peaks.append(usage.ru_maxrss / 1000)
    return statistics.median(seconds[1:]), max(peaks)


def print_cold_starts(folder: Path) -> None:
    commands = {"import torch, transformers": ["-c", "import torch, transformers"]}
    for megapixels, width in {"0.3": WIDTHS[0], "12": WIDTHS[-1]}.items():
        file = folder / f"{width}.jpg"
        Image.fromarray(enlarged(photos()[0], width)).save(file, quality=92)
        options = ["-m", "handseg", "segment", str(file), "--overwrite", "-o", str(folder / "out")]
        commands[f"handseg segment, {megapixels} MP"] = options
    for name, command in commands.items():
        seconds, peak = cold_start([sys.executable, *command])
        print(f"{name:28} {seconds:6.2f} s from the shell on, {peak:6.0f} MB at the peak")


def compare(segmenter: HandSegmenter, remover: OnnxRemover) -> None:
    ours, theirs = [], []
    for pair in find_pairs(PHOTOS):
        image, mask = pair.load()
        ours.append(compare_masks(segmenter.segment(image).mask, mask).iou)
        theirs.append(compare_masks(remover(image), mask).iou)
    print(f"IoU on {len(ours)} photos: {np.mean(ours):.3f}, the remover's {np.mean(theirs):.3f}")


def write_table(file: Path, columns: list[str], rows: dict[str, list[float]], runs: int) -> None:
    """Write the medians in the form of docs/benchmarks/."""
    keys = [f"mp{column.replace(' MP, ', '_h').replace('.', '_')}" for column in columns]
    titles = [column.replace(" MP", "").replace(".0", "") for column in columns]
    table = []
    for title, stages in TOLD.items():
        if not all(stage in rows for stage in stages):
            continue
        values = [sum(parts) for parts in zip(*(rows[stage] for stage in stages), strict=True)]
        digits = 1 if stages == ("ratio to segment",) else None
        name = {"id": IDS[stages[0]]} if stages[0] in IDS else {}
        numbers = dict(zip(keys, (round(value, digits) for value in values), strict=True))
        table.append({**name, "stage": title, **numbers})
    remover = " --remover FILE" if "remover" in rows else ""
    content = {
        "command": f"python benchmarks/bench_segment.py --runs {runs}{remover}",
        "machine": f"{os.cpu_count()} CPU cores, medians",
        "date": time.strftime("%Y-%m-%d"),
        "columns": [
            {"key": "stage", "title": "megapixels, hands"},
            *({"key": key, "title": title} for key, title in zip(keys, titles, strict=True)),
        ],
        "rows": table,
    }
    with write_atomic(file) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--backend", choices=["onnx", "torch"])
    parser.add_argument("--remover", type=Path, metavar="FILE")
    parser.add_argument("--remover-size", type=int, default=1024)
    parser.add_argument("--remover-mean", type=float, nargs=3, default=[0.5, 0.5, 0.5])
    parser.add_argument("--remover-std", type=float, nargs=3, default=[1.0, 1.0, 1.0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        # First, because child processes' memory includes the parent's when they start.
        print_cold_starts(Path(temporary))
    remover = None
    if options.remover:
        remover = OnnxRemover(
            options.remover, options.remover_size, options.remover_mean, options.remover_std
        )
    segmenter = HandSegmenter.from_pretrained(device="cpu", backend=options.backend)
    columns, rows = [], defaultdict(list)
    with tempfile.TemporaryDirectory() as temporary, segmenter:
        file = Path(temporary) / "photo.jpg"
        for image in photos():
            for width in WIDTHS:
                Image.fromarray(enlarged(image, width)).save(file, quality=92)
                clock, hands, removing = measure(segmenter, file, options.runs, remover)
                columns.append(f"{width * width * 3 / 4e6:.1f} MP, {hands}")
                for stage in STAGES:
                    rows[stage].append(clock.median(stage))
                if removing:
                    seconds = statistics.median(removing[2:])
                    rows["remover"].append(1000 * seconds)
                    rows["ratio to segment"].append(1000 * seconds / clock.median("segment(path)"))
        print(f"{'ms; size, hands':16}" + "".join(f" {column:>11}" for column in columns))
        for name, values in rows.items():
            print(f"{name:16}" + "".join(f" {value:11.1f}" for value in values))
        if options.json:
            write_table(options.json, columns, rows, options.runs)
        if remover is not None:
            compare(segmenter, remover)


if __name__ == "__main__":
    main()
