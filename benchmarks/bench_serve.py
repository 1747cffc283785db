"""How `handseg serve` copes with clients: errors, response times, memory.

    python benchmarks/bench_serve.py [--clients 4] [--seconds 60] [--json FILE] [-- --jobs 2]

Starts a server with the bundled model; each client posts one photo after another, to /cutout,
/mask and /hands in turn. Arguments after `--` are options of `handseg serve`. Memory is that of the
server's process in the second quarter of the run, when caches are full, and in the last: medians
(Linux). Exits with 1 if a response was not 200.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, cycle, product
from pathlib import Path
from typing import Any

import httpx

from handseg.runtime.files import write_atomic

PHOTOS = Path(__file__).parents[1] / "tests" / "data" / "photos" / "images"
PATHS = ("/cutout", "/mask", "/hands")


@dataclass
class Load:
    """Observations of a server: ms by path, failed responses, MB of memory over time."""

    times: dict[str, list[float]] = field(default_factory=lambda: {path: [] for path in PATHS})
    errors: dict[str, list[str]] = field(default_factory=lambda: {path: [] for path in PATHS})
    memory: list[float] = field(default_factory=list)

    def visit(self, url: str, number: int, end: float) -> None:
        """Post photos until `end`."""
        photos = [path.read_bytes() for path in sorted(PHOTOS.iterdir())]
        requests = cycle(product(photos, PATHS))
        for _ in range(number):  # Clients start at different paths.
            next(requests)
        with httpx.Client(base_url=url, timeout=120) as client:
            while time.monotonic() < end:
                photo, path = next(requests)
                start = time.perf_counter()
                try:
                    answer = client.post(path, files={"photo": photo})
                except httpx.HTTPError as error:
                    self.errors[path].append(repr(error))
                    continue
                self.times[path].append(1000 * (time.perf_counter() - start))
                if answer.status_code != 200:
                    self.errors[path].append(f"{answer.status_code}: {answer.text[:100]}")

    def watch(self, process: int, end: float) -> None:
        """Record the memory of a process until `end`, where /proc gives it."""
        status = Path(f"/proc/{process}/status")
        while time.monotonic() < end and status.exists():
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            self.memory.append(int(lines["VmRSS"].split()[0]) / 1000)
            time.sleep(0.25)

    def rows(self, seconds: float) -> list[dict[str, Any]]:
        times = {**self.times, "all": list(chain(*self.times.values()))}
        errors = {**self.errors, "all": list(chain(*self.errors.values()))}
        return [
            {
                "path": path,
                "answers": len(taken),
                "errors": len(errors[path]),
                "a_second": round(len(taken) / seconds, 2),
                "p50": round(_at(taken, 0.5)),
                "p95": round(_at(taken, 0.95)),
            }
            for path, taken in times.items()
        ]

    def memory_mb(self) -> dict[str, int]:
        """Median memory in the second quarter and in the last."""
        quarter = len(self.memory) // 4
        if not quarter:
            return {}
        early = statistics.median(self.memory[quarter : 2 * quarter])
        late = statistics.median(self.memory[-quarter:])
        return {"memory_early_mb": round(early), "memory_late_mb": round(late)}


def _at(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("serve", nargs="*", help="options of handseg serve, after --")
    options = parser.parse_args()
    command = [sys.executable, "-m", "handseg", "serve", "--port", "0", *options.serve]
    load = Load()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            if "http://" not in line:
                sys.exit(line + process.stderr.read())
            url = line.split()[2].rstrip(",")
            end = time.monotonic() + options.seconds
            threads = [
                threading.Thread(target=load.visit, args=(url, number, end))
                for number in range(options.clients)
            ]
            threads.append(threading.Thread(target=load.watch, args=(process.pid, end)))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            process.terminate()
    rows = load.rows(options.seconds)
    print(f"{'path':8} answers  errors  a second  ms at 50 %  ms at 95 %")
    for row in rows:
        print(
            f"{row['path']:8} {row['answers']:7}  {row['errors']:6}  {row['a_second']:8.2f}  "
            f"{row['p50']:10}  {row['p95']:10}"
        )
    memory = load.memory_mb()
    if memory:
        print(
            "memory: {memory_early_mb} MB after a quarter, {memory_late_mb} at the end".format_map(
                memory
            )
        )
    print(f"{options.clients} clients, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for error in list(chain(*load.errors.values()))[:5]:
        print(error, file=sys.stderr)
    if options.json is not None:
        figures = {"clients": options.clients, "seconds": options.seconds, **memory, "rows": rows}
        with write_atomic(options.json) as temporary:
            temporary.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    sys.exit(process.returncode or bool(rows[-1]["errors"] or not rows[-1]["answers"]))


if __name__ == "__main__":
    main()
