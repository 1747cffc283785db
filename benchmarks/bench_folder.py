"""Photos per second, CPU time and peak memory of `handseg segment` on folders, by jobs and size.

    python benchmarks/bench_folder.py [--photos 100] [--jobs 1 2] [--runs 3] [OPTION ...]

Photos are repeated links to those of --source (by default the four of tests/data, 640 x 480 px, one
hand each). Each run is a separate process, and the kinds of run alternate, so that other load on
the machine affects all. Photos per second are as the command reports them, without startup; CPU
time and memory are the process's, with startup. Several numbers of photos (--photos 200 1000) show
whether memory grows with them. Other options, such as --device cpu, go to the command.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PHOTOS = Path(__file__).parents[1] / "tests" / "data" / "photos" / "images"


@dataclass(frozen=True)
class Measured:
    rate: float  # photos per second
    cpu: float  # s per photo
    peak: float  # MiB


def run_once(photos: Path, jobs: int, options: list[str]) -> Measured:
    with tempfile.TemporaryDirectory() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "handseg", "segment", str(photos), "--output", output,
             "--json", f"{output}/all.json", "--jobs", str(jobs), *options],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    found = re.search(r"([\d.]+) photos per second", printed)
    assert status == 0, printed
    assert found, printed
    cpu = (usage.ru_utime + usage.ru_stime) / len(list(photos.iterdir()))
    return Measured(float(found[1]), cpu, usage.ru_maxrss / 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=PHOTOS)
    parser.add_argument("--photos", type=int, nargs="+", default=[100])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=3)
    arguments, options = parser.parse_known_args()
    originals = sorted(arguments.source.resolve().iterdir())
    kinds = [(photos, jobs) for photos in arguments.photos for jobs in arguments.jobs]
    measured: dict[tuple[int, int], list[Measured]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as name:
        for photos in arguments.photos:
            folder = Path(name, str(photos))
            folder.mkdir()
            for number in range(photos):
                original = originals[number % len(originals)]
                (folder / f"{number:06d}{original.suffix}").symlink_to(original)
        for _ in range(arguments.runs):
            for photos, jobs in kinds:
                measured[photos, jobs].append(run_once(Path(name, str(photos)), jobs, options))
    print(
        f"{arguments.runs} runs, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"
    )
    print("photos  jobs  photos/s  (range of runs)  CPU s a photo  peak MiB")
    for (photos, jobs), runs in measured.items():
        rates = [run.rate for run in runs]
        between = f"({min(rates):.1f} to {max(rates):.1f})"
        print(
            f"{photos:6}  {jobs:4}  {statistics.median(rates):8.1f}  {between:15}  "
            f"{statistics.median(run.cpu for run in runs):13.3f}  "
            f"{max(run.peak for run in runs):8.0f}"
        )


if __name__ == "__main__":
    main()
