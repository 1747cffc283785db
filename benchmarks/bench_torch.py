"""The model alone in torch by precision, compilation and batch size, against the device's limit.

    python benchmarks/bench_torch.py [--device cuda] [--model handseg-lite] [--compile]

One row per variant and batch: ms per region of the encoder and the decoder (medians), regions per
second of both, and TFLOP/s of the encoder as a share of those of a large matrix product of the same
precision on the device in the same run. Without --device it uses a GPU and exits if there is none,
as ONNX Runtime (`onnx_variants.py`) serves CPUs better; `--device cpu` measures anyway.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from handseg.models import load_mask_model
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.prompts.batch import PromptBatch

RUNS = 10


def median_seconds(call: Callable[[], Any], device: torch.device, runs: int = RUNS) -> float:
    spent = []
    for _ in range(runs + 3):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent.append(time.perf_counter() - start)
    return statistics.median(spent[3:])


def limit(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product."""
    side = 8192 if device.type == "cuda" else 1024
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    return 2 * side**3 / median_seconds(lambda: matrix @ matrix, device)


def inputs(model: TransformersMaskModel, count: int) -> tuple[np.ndarray, PromptBatch]:
    random, side = np.random.default_rng(0), model.input_size
    crops = random.integers(0, 256, (count, side, side, 3), np.uint8)
    points = (random.random((count, 6, 2)) * side).astype(np.float32)
    boxes = np.tile(np.array([[0.2, 0.2, 0.8, 0.8]], np.float32) * side, (count, 1))
    return crops, PromptBatch(points, np.ones((count, 6), np.int64), boxes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device")
    parser.add_argument("--model", default="handseg-lite")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    options = parser.parse_args()
    if options.device is None and not torch.cuda.is_available():
        print("no CUDA device here: skipped")
        return
    device = torch.device(options.device or "cuda")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} CPU threads")
    print("way                  batch  encoder ms  decoder ms  regions/s  encoder TFLOP/s of limit")
    for dtype in (torch.float32, torch.bfloat16):
        most = limit(device, dtype)
        for compiled in (False, True) if options.compile else (False,):
            model = load_mask_model(options.model, device=device, dtype=dtype, backend="torch")
            assert isinstance(model, TransformersMaskModel)
            if compiled:
                model.model.vision_encoder.compile()
            for batch in options.batches:
                crops, prompts = inputs(model, batch)
                with FlopCounterMode(display=False) as flops:
                    embeddings = model.encode(crops)
                encoder = median_seconds(lambda m=model, c=crops: m.encode(c), device)
                decoder = median_seconds(
                    lambda m=model, e=embeddings, p=prompts: m.decode(e, p), device
                )
                speed = flops.get_total_flops() / encoder
                way = f"{str(dtype).removeprefix('torch.')}{' compiled' if compiled else ''}"
                print(
                    f"{way:20} {batch:5} {1000 * encoder / batch:11.2f} "
                    f"{1000 * decoder / batch:11.2f} {batch / (encoder + decoder):10.0f} "
                    f"{speed / 1e12:10.2f} {100 * speed / most:8.1f} %",
                    flush=True,
                )


if __name__ == "__main__":
    main()
