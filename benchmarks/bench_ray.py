"""Photos per second on Ray and by `handseg segment --jobs 2`, and results when an actor dies.

    python benchmarks/bench_ray.py [--photos 2000] [--cpus 1 2] [--json FILE]

Small photos, about 200 px, made from the four of tests/data; one in fifty is not a photo. This
process reads Ray's rows; `handseg segment` writes a row and a cut-out for each photo. Seconds are
those of the whole job, startup of actors or models included; Ray's own startup is separate. In the
last run, a working actor is ended with SIGKILL after the first results. Each run on Ray is compared
with the plain one: photos that are missing, duplicated, different or failed; only the broken ones
may fail, and all must. Ray's usage statistics are off.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import ray
from ray_actors import kill_an_actor
from small_photos import BROKEN, save_small_photos

from handseg.integrations.ray import connect, rows_of, segment_dataset

TITLES = {
    "run": "run",
    "start": "start of Ray, s",
    "seconds": "s",
    "rate": "photos a second",
    "against": "time against `handseg segment --jobs 2`",
    "lost": "missing",
    "twice": "twice",
    "different": "different",
    "failed": "failed",
}


def plain(folder: Path, output: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run `handseg segment`; return its table row and its hands by photo."""
    file = output / "rows.json"
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "handseg", "segment", str(folder), "--output", str(output / "cut"),
         "--json", str(file), "--jobs", "2", "--device", "cpu"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    counts = re.search(r"(\d+) done.*?(?:, (\d+) failed)?,", done.stdout)
    assert counts, done.stderr
    rows = {row["file"]: row["hands"] for row in json.loads(file.read_text())}
    failed = int(counts[2] or 0)
    return {"run": "`handseg segment --jobs 2`", "seconds": seconds, "failed": failed}, rows


def on_ray(
    name: str, paths: list[Path], cpus: int, expected: dict[str, Any], kill: bool
) -> dict[str, Any]:
    begin = time.perf_counter()
    connect(cpus=cpus)
    start = time.perf_counter() - begin
    ds = ray.data.from_items([{"image": str(path)} for path in paths], override_num_blocks=64)
    begin = time.perf_counter()
    rows = []
    for row in rows_of(segment_dataset(ds, actors=cpus)):
        rows.append(row)
        if kill:
            kill = not kill_an_actor()
    seconds = time.perf_counter() - begin
    ray.shutdown()
    return {"run": name, "start": start, "seconds": seconds, **compare(rows, expected, paths)}


def compare(
    rows: list[dict[str, Any]], expected: dict[str, Any], paths: list[Path]
) -> dict[str, int]:
    """Count photos that are missing, duplicated, different from a plain run, and failed."""
    by_photo = {row["image"]: row for row in rows}
    broken = {str(path) for number, path in enumerate(paths) if number % 50 == BROKEN}
    failed = {photo for photo, row in by_photo.items() if row["error"] is not None}
    assert failed == broken, failed ^ broken
    different = sum(
        rounded(row["boxes"]) != [hand["box"] for hand in expected[photo]]
        or rounded(row["landmarks"]) != [hand["landmarks"] for hand in expected[photo]]
        or row["predicted_ious"] != [hand["predicted_iou"] for hand in expected[photo]]
        for photo, row in by_photo.items()
        if photo not in failed
    )
    return {
        "lost": len(set(map(str, paths)) - by_photo.keys()),
        "twice": len(rows) - len(by_photo),
        "different": different,
        "failed": len(failed),
    }


def rounded(arrays: list[Any]) -> list[Any]:
    """Round lists of px as `handseg segment --json` writes them."""
    return [None if one is None else np.round(one, 2).tolist() for one in arrays]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--cpus", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path, help="store the table here, as docs/tables.py has it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        paths = save_small_photos(Path(name, "in"), arguments.photos)
        first, expected = plain(Path(name, "in"), Path(name))
        table = [first]
        for cpus in arguments.cpus:
            title = f"Ray, {cpus} CPU{'s' if cpus > 1 else ''}"
            table.append(on_ray(title, paths, cpus, expected, kill=False))
        title = f"{title}, an actor killed"
        table.append(on_ray(title, paths, cpus, expected, kill=True))
    for row in table:
        row["rate"] = arguments.photos / row["seconds"]
        row["against"] = row["seconds"] / first["seconds"]
    load = os.getloadavg()[0]
    print(f"{arguments.photos} photos, {os.cpu_count()} cores, load {load:.1f} at the end")
    print(" | ".join(TITLES.values()))
    for row in table:
        print(" | ".join(show(row.get(key)) for key in TITLES))
    if arguments.json is not None:
        digits = {"start": 1, "seconds": 1, "rate": 1, "against": 2}
        stored = {
            "command": f"python benchmarks/bench_ray.py --photos {arguments.photos}",
            "machine": f"{os.cpu_count()} CPU cores, load {load:.1f} at the end",
            "columns": [
                {"key": key, "title": title} | ({"digits": digits[key]} if key in digits else {})
                for key, title in TITLES.items()
            ],
            "rows": [{key: row.get(key) for key in TITLES} for row in table],
        }
        arguments.json.write_text(json.dumps(stored, indent=1) + "\n")


def show(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else "-" if value is None else str(value)


if __name__ == "__main__":
    main()
