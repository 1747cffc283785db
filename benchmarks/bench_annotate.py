"""How long `handseg annotate` takes for 1,000 photos, by number of processes.

    python benchmarks/bench_annotate.py [--photos 40] [--runs 3] [--processes 1 2] [--review]

Photos are copies of those in tests/data (640 x 480 px, one hand each). Every process gets one
thread and loads its own model; the loading time is excluded, as it does not grow with the photos.
Times span from the first photo to the last of all processes. Runs with different numbers of
processes alternate, so that other load on the machine affects all; prints the median of the runs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PHOTOS = Path(__file__).parents[1] / "tests" / "data" / "photos" / "images"


def run_once(photos: Path, output: Path, processes: int, options: list[str]) -> float:
    """Seconds per photo."""
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes)]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "handseg.annotate", str(photos), "--output", str(output),
         "--device", "cpu", *options],
        capture_output=True, text=True, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    found = re.search(r"([\d.]+) s per photo", done.stdout)
    assert found, done.stdout
    return float(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--review", action="store_true")
    arguments = parser.parse_args()
    options = ["--review"] if arguments.review else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        originals = sorted(PHOTOS.iterdir())
        for number in range(arguments.photos):
            original = originals[number % len(originals)]
            shutil.copyfile(original, folder / "in" / f"{number:04d}{original.suffix}")
        seconds: dict[int, list[float]] = {count: [] for count in arguments.processes}
        for run in range(arguments.runs):
            for count in arguments.processes:
                output = folder / f"out_{run}_{count}"
                seconds[count].append(run_once(folder / "in", output, count, options))
                time.sleep(1)
        load = os.getloadavg()[0]
    base = statistics.median(seconds[arguments.processes[0]])
    print(
        f"{arguments.photos} photos, {arguments.runs} runs, one thread a process, "
        f"{os.cpu_count()} cores, load {load:.1f} at the end"
    )
    print("processes  s for 1,000 photos  ratio  (range of runs)")
    for count, values in seconds.items():
        median = statistics.median(values)
        low, high = 1000 * min(values), 1000 * max(values)
        print(f"{count:9}  {1000 * median:18.0f}  {base / median:5.2f}  ({low:.0f} to {high:.0f})")


if __name__ == "__main__":
    main()
