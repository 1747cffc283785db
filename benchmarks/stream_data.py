"""Time and memory to list, split and read a large data set.

    python benchmarks/stream_data.py [--photos 1000 10000 100000]

Writes a folder of the layout "freihand" with that many photos (hard links to one small JPEG, each
of four versions with one mask), and prints the time and the growth of the process's peak memory
(peak RSS) up to each step. Every number of photos runs in a separate process.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

VERSIONS = 4
PICTURES = 10_000
"""Largest number of photos and masks to read, evenly spread."""


def write(root: Path, photos: int) -> None:
    """Write `training/rgb` with `photos` files and `training/mask` with a quarter as many."""
    picture = np.random.default_rng(0).integers(0, 255, (224, 224, 3), np.uint8)
    mask = np.zeros((224, 224), np.uint8)
    mask[60:160, 60:160] = 255
    for name, count, pixels in (("rgb", photos, picture), ("mask", photos // VERSIONS, mask)):
        folder = root / "training" / name
        folder.mkdir(parents=True)
        first = folder / "00000000.jpg"
        Image.fromarray(pixels).save(first, quality=75)
        for number in range(1, count):
            # ext4 allows 65,000 links per file.
            if number % 50_000 == 0:
                first = folder / f"{number:08d}.jpg"
                Image.fromarray(pixels).save(first, quality=75)
            else:
                (folder / f"{number:08d}.jpg").hardlink_to(first)


def peak() -> float:
    """The peak RSS of this process so far, MB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1e6 if sys.platform == "darwin" else 1e3)


def measure(root: Path, photos: int) -> None:
    from handseg.data import LabelledPhotos, Splits, load_data

    before, start = peak(), time.perf_counter()

    def step(name: str, rows: int = photos) -> None:
        nonlocal start
        seconds = time.perf_counter() - start
        print(
            f"{photos:>8} {name:<8} {seconds:8.1f} s {rows / seconds:10.0f} rows/s "
            f"{peak() - before:+8.0f} MB",
            flush=True,
        )
        start = time.perf_counter()

    dataset = load_data(root, "freihand", cache_dir=root / "cache")
    step("load")
    dataset = load_data(root, "freihand", cache_dir=root / "cache")
    step("again")
    splits = Splits.by_group(dataset, {"train": 0.8, "val": 0.1, "test": 0.1}, 0)
    step("split")
    splits.save(root / "splits.json")
    parts = [LabelledPhotos(splits.select(dataset, part)) for part in splits.parts]
    step("select")
    assert sum(1 for part in parts for _ in part) == photos
    step("rows")
    chosen = LabelledPhotos(dataset)[:: max(1, photos // PICTURES)]
    for row in chosen:
        row.load()
    step("pictures", len(chosen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder is not None:
        measure(arguments.folder, *arguments.photos)
        return
    for photos in arguments.photos:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), photos)
            command = [sys.executable, __file__, "--folder", folder, "--photos", str(photos)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
