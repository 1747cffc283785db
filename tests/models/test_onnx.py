"""ONNX graphs against the torch models that they were exported from."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_models import (
    FAMILIES,
    fixed_logits,
    padded,
    random_crops,
    random_prompts,
    save_tiny_model,
    tiny_model,
)

from handseg.errors import ModelError
from handseg.models import bundled, load_mask_model
from handseg.models.bundled import LITE_FOLDER
from handseg.models.export import onnx as onnx_export
from handseg.models.export.onnx import export_onnx
from handseg.models.sam.onnx import ENCODER, OnnxMaskModel
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.prompts.batch import PromptBatch
from handseg.segmenter import HandSegmenter

torch.set_num_threads(1)

Export = Callable[[str], Path]


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Export the graphs of a family's tiny model once; return the folder."""

    @cache
    def folder(family: str) -> Path:
        target = tmp_path_factory.mktemp(family)
        assert export_onnx(TransformersMaskModel(tiny_model(family)), target) < 1e-3
        return target

    return folder


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
class TestEveryFamily:
    def test_any_number_of_hands_and_points(self, family: str, graphs: Export) -> None:
        model, found = TransformersMaskModel(tiny_model(family)), OnnxMaskModel(graphs(family))
        assert (found.input_size, found.mask_size) == (model.input_size, model.mask_size)
        for count, points, boxes in ((1, 1, False), (3, 5, False), (3, 2, True), (1, 0, True)):
            crops = random_crops(count, model.input_size, seed=points)
            prompts = random_prompts(count, model.input_size, points, boxes, seed=points)
            logits, predicted_iou = found.decode(found.encode(crops), prompts)
            expected = model.decode(model.encode(crops), prompts)
            np.testing.assert_allclose(logits, expected[0], atol=1e-4)
            np.testing.assert_allclose(predicted_iou, expected[1], atol=1e-4)

    def test_masks(self, family: str, graphs: Export) -> None:
        model, found = TransformersMaskModel(tiny_model(family)), OnnxMaskModel(graphs(family))
        crops, side = random_crops(2, model.input_size), model.mask_size
        masks = np.random.default_rng(0).normal(0, 4, (2, side, side)).astype(np.float32)
        prompts = replace(random_prompts(2, model.input_size), masks=masks)
        logits, _ = found.decode(found.encode(crops), prompts)
        expected, _ = model.decode(model.encode(crops), prompts)
        np.testing.assert_allclose(logits, expected, atol=1e-4)
        without, _ = found.decode(found.encode(crops), replace(prompts, masks=None))
        assert np.abs(logits - without).max() > 1e-3

    def test_rows_of_embeddings_and_points_that_are_ignored(
        self, family: str, graphs: Export
    ) -> None:
        found = OnnxMaskModel(graphs(family))
        crops = random_crops(3, found.input_size)
        embeddings = found.encode(crops)
        assert len(embeddings) == 3
        rows = np.array([2, 0, 2])
        prompts = random_prompts(3, found.input_size)
        logits, _ = found.decode(embeddings[rows], padded(prompts, 2))
        expected, _ = found.decode(found.encode(crops[rows]), prompts)
        np.testing.assert_allclose(logits, expected, atol=1e-5)

    def test_crops_one_by_one_are_those_of_a_batch(self, family: str, graphs: Export) -> None:
        found = OnnxMaskModel(graphs(family))
        crops = random_crops(3, found.input_size)
        encoder = onnxruntime.InferenceSession(
            graphs(family) / ENCODER, providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in encoder.get_outputs()]
        arrays = found.encode(crops).arrays
        assert sorted(arrays) == sorted(names)
        for name, batch in zip(names, encoder.run(None, {"crops": crops}), strict=True):
            np.testing.assert_allclose(arrays[name], batch, atol=1e-4)


class TestCarriedGraphs:
    @pytest.fixture(scope="class")
    @staticmethod
    def torch_segmenter() -> HandSegmenter:
        return HandSegmenter.from_pretrained(device="cpu", backend="torch")

    def test_masks_are_those_of_torch(
        self,
        segmenter: HandSegmenter,
        torch_segmenter: HandSegmenter,
        photos: dict[str, np.ndarray],
    ) -> None:
        assert isinstance(segmenter.model, OnnxMaskModel)
        assert isinstance(torch_segmenter.model, TransformersMaskModel)
        for stem, photo in photos.items():
            (hand,) = segmenter.segment(photo)
            assert hand.landmarks is not None
            (expected,) = torch_segmenter.segment(photo, landmarks=hand.landmarks)
            assert np.count_nonzero(hand.mask != expected.mask) <= 3, stem
            assert hand.predicted_iou == pytest.approx(expected.predicted_iou, abs=1e-4)

    def test_logits_are_those_of_torch(
        self, segmenter: HandSegmenter, torch_segmenter: HandSegmenter
    ) -> None:
        np.testing.assert_allclose(
            fixed_logits(segmenter.model), fixed_logits(torch_segmenter.model), atol=1e-4
        )

    def test_weights_are_stored_in_half_precision(self) -> None:
        for name in ("encoder.onnx", "decoder.onnx"):
            assert (LITE_FOLDER / name).stat().st_size < 11e6

    def test_need_neither_torch_nor_transformers(self, photo_folder: Path) -> None:
        code = (
            "import sys; from handseg import segment; assert len(segment(sys.argv[1])) == 1; "
            "print(sorted({'torch', 'transformers', 'peft', 'timm', 'onnx'} & set(sys.modules)))"
        )
        photo = photo_folder / "images" / "2_pic00174.jpg"
        done = subprocess.run(
            [sys.executable, "-c", code, photo], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"


class TestBackend:
    def test_what_only_torch_can_do_takes_torch(self) -> None:
        half = load_mask_model("handseg-lite", device="cpu", dtype="bfloat16")
        assert isinstance(half, TransformersMaskModel)
        assert isinstance(load_mask_model("handseg-lite", device="cpu"), OnnxMaskModel)
        by_name = load_mask_model("handseg-lite", backend="torch", device="cpu")
        assert isinstance(by_name, TransformersMaskModel)

    def test_a_saved_segmenter_keeps_graphs_and_weights(
        self, segmenter: HandSegmenter, tmp_path: Path
    ) -> None:
        segmenter.save_pretrained(tmp_path)
        again = HandSegmenter.from_pretrained(tmp_path)
        assert isinstance(again.model, OnnxMaskModel)
        assert again.recipe == segmenter.recipe
        expected = fixed_logits(segmenter.model)
        np.testing.assert_array_equal(fixed_logits(again.model), expected)
        weights = load_mask_model(tmp_path, device="cpu", backend="torch")
        np.testing.assert_allclose(fixed_logits(weights), expected, atol=1e-4)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"dtype": "bfloat16"}, "with ONNX Runtime there is no dtype"),
            ({"device": "cuda"}, "with ONNX Runtime there is no device"),
        ],
    )
    def test_graphs_take_no(self, options: dict[str, str], message: str) -> None:
        with pytest.raises(ModelError, match=message):
            load_mask_model("handseg-lite", backend="onnx", **options)  # type: ignore[arg-type]

    def test_an_unknown_one(self) -> None:
        with pytest.raises(ValueError, match="backend must be 'onnx', 'torch' or None, got 'tf'"):
            load_mask_model("handseg-lite", backend="tf")  # type: ignore[arg-type]

    def test_an_unknown_device(self) -> None:
        with pytest.raises(ModelError, match="device must be cpu, cuda, cuda:1 or mps, got 'gpu'"):
            load_mask_model("handseg-lite", device="gpu")

    def test_a_folder_without_graphs(self, tmp_path: Path) -> None:
        save_tiny_model("sam", tmp_path)
        with pytest.raises(ModelError, match=r"no encoder\.onnx and decoder\.onnx"):
            load_mask_model(tmp_path, backend="onnx")

    def test_a_folder_with_graphs_alone(self, tmp_path: Path) -> None:
        for name in ("encoder.onnx", "decoder.onnx"):
            shutil.copy(LITE_FOLDER / name, tmp_path)
        assert isinstance(load_mask_model(tmp_path), OnnxMaskModel)
        with pytest.raises(ModelError, match=r"dtype need.* has only ONNX graphs"):
            load_mask_model(tmp_path, dtype="bfloat16")


class TestErrors:
    def test_a_damaged_graph(self, tmp_path: Path) -> None:
        shutil.copy(LITE_FOLDER / "decoder.onnx", tmp_path)
        (tmp_path / "encoder.onnx").write_bytes(b"no graph")
        with pytest.raises(ModelError, match=r"encoder\.onnx: not a graph that ONNX Runtime"):
            OnnxMaskModel(tmp_path)

    def test_graphs_of_another_program(self, tmp_path: Path) -> None:
        shutil.copy(LITE_FOLDER / "encoder.onnx", tmp_path)
        graph = onnx.load(LITE_FOLDER / "decoder.onnx")
        del graph.metadata_props[:]
        onnx.save(graph, tmp_path / "decoder.onnx")
        with pytest.raises(ModelError, match=r"decoder\.onnx: not a graph that `handseg export`"):
            OnnxMaskModel(tmp_path)

    def test_embeddings_of_another_model(self) -> None:
        found = OnnxMaskModel(LITE_FOLDER)
        side = found.input_size
        torch_model = load_mask_model(bundled.LITE, device="cpu", backend="torch")
        with pytest.raises(TypeError, match="what encode"):
            found.decode(torch_model.encode(random_crops(1, side)), random_prompts(1, side))

    def test_shapes_that_do_not_fit(self) -> None:
        found = OnnxMaskModel(LITE_FOLDER)
        with pytest.raises(ValueError, match=r"crops: expected \(N, 448, 448, 3\) uint8"):
            found.encode(random_crops(1, 64))
        embeddings = found.encode(random_crops(1, 448))
        with pytest.raises(
            ValueError, match=r"prompts\.points: expected \(1, 1, 2\), got \(2, 1, 2\)"
        ):
            found.decode(embeddings, PromptBatch(np.zeros((2, 1, 2)), np.ones((2, 1))))

    @pytest.mark.slow
    def test_graphs_that_differ_from_torch(
        self, graphs: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = graphs("sam")
        monkeypatch.setattr(onnx_export, "TOLERANCE", -1.0)
        # Tracing the model again would take most of the time.
        monkeypatch.setattr(
            onnx_export, "write_graph", lambda file, *_: shutil.copy(made / file.name, file)
        )
        with pytest.raises(ModelError, match=r"graphs differ from torch by .* at most -1"):
            export_onnx(TransformersMaskModel(tiny_model("sam")), tmp_path)
