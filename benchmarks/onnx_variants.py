"""The bundled model's ONNX graphs in half precision and in 8 bits: time and IoU.

    python benchmarks/onnx_variants.py --calibrate DATA/train/massey_asl PAIRS [PAIRS ...]

The variants alternate on the same crops on one thread; times are medians, as ratios to the original
graphs. IoU is that of `segment()` on the photos of each folder of pairs, misses counted as 0.
`int8` quantises convolutions of the encoder (static, per channel, calibrated on regions of photos
that are not measured) and the matrix products of the decoder (dynamic).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from handseg.data.image_mask import find_pairs
from handseg.evaluation.metrics import compare_masks
from handseg.landmarks import HandLandmarker
from handseg.models.bundled import LITE_FOLDER
from handseg.models.region import Region
from handseg.models.sam.onnx import DECODER, ENCODER, OnnxMaskModel
from handseg.prompts import PromptRecipe
from handseg.prompts.batch import PromptBatch
from handseg.segmenter import HandSegmenter

RUNS = 20
CALIBRATION = 60  # photos


class Crops(CalibrationDataReader):
    """The encoder's inputs from photos, one by one."""

    def __init__(self, folder: Path, size: int) -> None:
        self._crops = self._read(folder, size)

    @staticmethod
    def _read(folder: Path, size: int) -> Iterator[dict[str, np.ndarray]]:
        recipe = PromptRecipe.load(LITE_FOLDER)
        pairs = find_pairs(folder)
        with HandLandmarker() as landmarker:
            for pair in pairs[:: max(1, len(pairs) // CALIBRATION)]:
                image, _ = pair.load()
                for hand in landmarker.detect(image)[:1]:
                    prompts = recipe.prompts(hand.points, *image.shape[:2])
                    region = Region.around(prompts.roi_box, recipe.region_margin)
                    yield {"crops": region.crop(image, size)[None]}

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._crops, None)


def make_half(folder: Path) -> None:
    for name in (ENCODER, DECODER):
        graph = convert_float_to_float16(onnx.load(LITE_FOLDER / name), keep_io_types=True)
        onnx.save(graph, folder / name)


def make_int8(folder: Path, calibrate: Path) -> None:
    plain = OnnxMaskModel(LITE_FOLDER)
    for name in (ENCODER, DECODER):
        quant_pre_process(LITE_FOLDER / name, folder / f"whole_{name}", skip_symbolic_shape=True)
    quantize_static(
        folder / f"whole_{ENCODER}",
        folder / ENCODER,
        Crops(calibrate, plain.input_size),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    quantize_dynamic(
        folder / f"whole_{DECODER}",
        folder / DECODER,
        op_types_to_quantize=["MatMul"],
        weight_type=QuantType.QInt8,
    )
    graph = onnx.load(folder / DECODER)
    del graph.metadata_props[:]
    graph.metadata_props.extend(onnx.load(LITE_FOLDER / DECODER).metadata_props)
    onnx.save(graph, folder / DECODER)


def times(models: dict[str, OnnxMaskModel]) -> dict[str, tuple[float, float]]:
    """Median ms of the encoder and the decoder on one crop, taking turns."""
    random = np.random.default_rng(0)
    spent: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in models}
    for _ in range(RUNS + 2):
        for name, model in models.items():
            side = model.input_size
            crops = random.integers(0, 256, (1, side, side, 3), np.uint8)
            points = (random.random((1, 6, 2)) * side).astype(np.float32)
            box = np.array([[0.2, 0.2, 0.8, 0.8]], np.float32) * side
            start = time.process_time()
            embeddings = model.encode(crops)
            middle = time.process_time()
            model.decode(embeddings, PromptBatch(points, np.ones((1, 6), np.int64), box))
            spent[name][0].append(middle - start)
            spent[name][1].append(time.process_time() - middle)
    return {
        name: (1000 * statistics.median(encoder[2:]), 1000 * statistics.median(decoder[2:]))
        for name, (encoder, decoder) in spent.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--calibrate", type=Path, required=True, metavar="PAIRS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: Path(temporary) / name for name in ("float32", "float16", "int8")}
        for folder in folders.values():
            folder.mkdir()
        for name in (ENCODER, DECODER):
            shutil.copy(LITE_FOLDER / name, folders["float32"])
        make_half(folders["float16"])
        make_int8(folders["int8"], options.calibrate)
        models = {name: OnnxMaskModel(folder, threads=1) for name, folder in folders.items()}
        sizes = {
            name: sum((folder / file).stat().st_size for file in (ENCODER, DECODER)) / 1e6
            for name, folder in folders.items()
        }
        spent = times(models)
        head = f"{'graphs':10} {'MB':>6} {'encoder ms':>11} {'decoder ms':>11} {'time':>6}"
        print(head + "".join(f" {folder.name:>14}" for folder in options.pairs))
        recipe = PromptRecipe.load(LITE_FOLDER)
        with HandLandmarker() as landmarker:
            for name, model in models.items():
                segmenter = HandSegmenter(model, recipe, landmarker)
                row = f"{name:10} {sizes[name]:6.1f} {spent[name][0]:11.1f} {spent[name][1]:11.1f}"
                row += f" {sum(spent[name]) / sum(spent['float32']):6.2f}"
                for folder in options.pairs:
                    scores = []
                    for pair in find_pairs(folder):
                        image, mask = pair.load()
                        scores.append(compare_masks(segmenter.segment(image).mask, mask).iou)
                    row += f" {np.mean(scores):8.4f} ({len(scores):3})"
                print(row, flush=True)


if __name__ == "__main__":
    main()
