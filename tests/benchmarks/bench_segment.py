"""Where the time of `segment()` goes, on a 12-megapixel photo.

    python tests/benchmarks/bench_segment.py [--runs 7] [--model handseg-lite]

Prints the median of each stage and of the whole call, warm, and the peak memory of the process.
"""

from __future__ import annotations

import argparse
import io
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from handseg import pipeline, predictor
from handseg.images import load_image
from handseg.predictor import HandSegmenter
from handseg.regions import Region

PHOTOS = Path(__file__).parents[1] / "data" / "photos" / "images"


def twelve_megapixels(path: Path) -> bytes:
    """The photo enlarged to 4000 px with a little grain, as JPEG."""
    image = load_image(path)
    scale = 4000 / max(image.shape[:2])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    file = io.BytesIO()
    pixels = np.clip(image + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=92)
    return file.getvalue()


def timed(times: dict[str, list[float]], name: str, call: Callable) -> Callable:
    def wrapper(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = call(*arguments, **options)
        times[name][-1] += time.perf_counter() - start
        return result

    return wrapper


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--model", default="handseg-lite")
    options = parser.parse_args()
    photo = twelve_megapixels(sorted(PHOTOS.iterdir())[0])
    segmenter = HandSegmenter.from_pretrained(options.model)
    times: dict[str, list[float]] = defaultdict(list)
    segmenter.landmarker.detect = timed(  # type: ignore[method-assign]
        times, "landmarks (MediaPipe)", segmenter.landmarker.detect
    )
    segmenter.model.encode = timed(times, "encode", segmenter.model.encode)  # type: ignore
    segmenter.model.decode = timed(times, "decode", segmenter.model.decode)  # type: ignore
    Region.crop = timed(times, "crop", Region.crop)  # type: ignore[method-assign]
    predictor.load_image = timed(times, "load_image", load_image)  # type: ignore[attr-defined]
    for name in ("clean_logits", "follow_edges"):
        setattr(pipeline, name, timed(times, name, getattr(pipeline, name)))
    hand = pipeline.Hand
    hand.from_alpha = timed(times, "keep the hand's part", hand.from_alpha)  # type: ignore
    stages = ["load_image", "landmarks (MediaPipe)", "crop", "encode", "decode", "clean_logits",
              "follow_edges", "keep the hand's part"]  # fmt: skip
    totals = []
    for _ in range(options.runs + 2):
        for stage in stages:
            times[stage].append(0.0)
        start = time.perf_counter()
        result = segmenter.segment(photo)
        totals.append(time.perf_counter() - start)
    segmenter.close()
    height, width = result.image.shape[:2]
    print(
        f"{width} x {height} px, {len(result)} hand(s), torch on {torch.get_num_threads()} threads"
    )
    for stage in stages:
        print(f"{stage:24} {1000 * statistics.median(times[stage][2:]):8.1f} ms")
    print(f"{'segment()':24} {1000 * statistics.median(totals[2:]):8.1f} ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
