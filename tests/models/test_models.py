from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import (
    FAMILIES,
    input_size,
    padded,
    random_crops,
    random_prompts,
    save_tiny_model,
    tiny_model,
)

from handseg.models import MaskModel, load_mask_model
from handseg.models.export.original import segment_anything_tensors
from handseg.models.interface import without_padding
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.prompts.batch import IGNORED, PromptBatch

torch.set_num_threads(1)

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A saved tiny model of each family, and a SAM as an original checkpoint file."""
    root = tmp_path_factory.mktemp("models")
    paths = {family: root / family for family in FAMILIES}
    for family, path in paths.items():
        save_tiny_model(family, path)
    paths["original"] = root / "model.pth"
    torch.save(segment_anything_tensors(tiny_model("sam")), paths["original"])
    return paths


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, MaskModel]:
    return {name: load_mask_model(path, device="cpu") for name, path in folders.items()}


@pytest.fixture(params=(*FAMILIES, "original"))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(name: str, models: dict[str, MaskModel]) -> MaskModel:
    return models[name]


def predict(
    model: MaskModel, crops: np.ndarray, prompts: PromptBatch
) -> tuple[np.ndarray, np.ndarray]:
    return model.decode(model.encode(crops), prompts)


def assert_same(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


def with_masks(prompts: PromptBatch, side: int) -> PromptBatch:
    masks = np.random.default_rng(1).normal(0, 5, (len(prompts), side, side))
    return replace(prompts, masks=masks.astype(np.float32))


class TestDecode:
    def test_shapes_and_dtypes(self, model: MaskModel) -> None:
        prompts = random_prompts(3, model.input_size)
        logits, iou = predict(model, random_crops(3, model.input_size), prompts)
        assert logits.shape == (3, model.mask_size, model.mask_size)
        assert iou.shape == (3,)
        assert logits.dtype == iou.dtype == np.float32
        assert np.isfinite(logits).all()
        assert logits.std() > 0.01

    @pytest.mark.parametrize("family", FAMILIES)
    def test_agrees_with_one_call_of_the_torch_model(self, family: str, models: Any) -> None:
        side = input_size(family)
        crops = random_crops(2, side)
        prompts = with_masks(random_prompts(2, side), 16)
        half = np.float32(0.5)
        mean, std = (half, half) if family == "sam3_tracker" else (IMAGENET_MEAN, IMAGENET_STD)
        pixels = (crops.astype(np.float32) / 255 - mean) / std
        with torch.no_grad():
            output = tiny_model(family)(
                pixel_values=torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()),
                input_points=torch.from_numpy(prompts.points)[:, None],
                input_labels=torch.from_numpy(prompts.labels)[:, None],
                input_boxes=torch.from_numpy(prompts.boxes)[:, None],
                input_masks=torch.from_numpy(prompts.masks)[:, None],
                multimask_output=False,
            )
        expected = output.pred_masks[:, 0, 0].numpy(), output.iou_scores[:, 0, 0].numpy()
        assert_same(predict(models[family], crops, prompts), expected)

    def test_embeddings_serve_many_prompts(self, model: MaskModel) -> None:
        crops = random_crops(2, model.input_size)
        embeddings = model.encode(crops)
        for seed in (1, 2):
            prompts = random_prompts(2, model.input_size, seed=seed)
            assert_same(model.decode(embeddings, prompts), predict(model, crops, prompts))

    def test_batch_equals_one_by_one(self, model: MaskModel) -> None:
        crops = random_crops(2, model.input_size)
        prompts = with_masks(random_prompts(2, model.input_size), model.mask_size)
        rows = [
            predict(
                model,
                crops[i : i + 1],
                PromptBatch(*(getattr(prompts, n)[i : i + 1] for n in vars(prompts))),
            )
            for i in range(2)
        ]
        logits, iou = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        assert_same(predict(model, crops, prompts), (logits, iou))
        assert abs(logits[0] - logits[1]).max() > 0.01

    def test_embeddings_can_be_picked_and_repeated(self, model: MaskModel) -> None:
        crops = random_crops(3, model.input_size)
        prompts = random_prompts(4, model.input_size)
        embeddings = model.encode(crops)
        rows = np.array([2, 0, 2, 1])
        assert len(embeddings) == 3
        assert_same(model.decode(embeddings[rows], prompts), predict(model, crops[rows], prompts))
        assert len(embeddings[1:]) == 2


class TestPrompts:
    @pytest.mark.parametrize("boxes", [True, False])
    def test_ignored_points_change_nothing(self, model: MaskModel, boxes: bool) -> None:
        crops = random_crops(2, model.input_size)
        prompts = random_prompts(2, model.input_size, boxes=boxes)
        assert_same(predict(model, crops, padded(prompts, 2)), predict(model, crops, prompts))

    def test_rows_of_different_lengths(self, model: MaskModel) -> None:
        crops = random_crops(3, model.input_size)
        prompts = random_prompts(3, model.input_size)
        prompts.labels[0, 1:] = IGNORED
        prompts.labels[2] = IGNORED
        logits, _ = predict(model, crops, prompts)
        for row, length in ((0, 1), (1, 3), (2, 0)):
            alone = PromptBatch(
                prompts.points[row : row + 1, :length],
                prompts.labels[row : row + 1, :length],
                prompts.boxes[row : row + 1] if prompts.boxes is not None else None,
            )
            expected, _ = predict(model, crops[row : row + 1], alone)
            np.testing.assert_allclose(logits[row], expected[0], atol=2e-6)

    def test_points_boxes_and_masks_all_matter(self, model: MaskModel) -> None:
        side = model.input_size
        crops = random_crops(2, side)
        prompts = with_masks(random_prompts(2, side), model.mask_size)
        other_points = replace(prompts, points=side - 1 - prompts.points)
        flipped_labels = replace(prompts, labels=1 - prompts.labels)
        results = [
            predict(model, crops, variant)[0]
            for variant in (
                prompts,
                other_points,
                flipped_labels,
                replace(prompts, boxes=None),
                replace(prompts, masks=None),
                replace(prompts, labels=np.full_like(prompts.labels, IGNORED)),
            )
        ]
        for i, one in enumerate(results):
            for other in results[:i]:
                assert abs(one - other).max() > 1e-4

    def test_mask_alone_is_a_prompt(self, model: MaskModel) -> None:
        side = model.input_size
        prompts = random_prompts(2, side, points=0, boxes=False)
        logits, _ = predict(model, random_crops(2, side), with_masks(prompts, model.mask_size))
        assert np.isfinite(logits).all()

    @pytest.mark.parametrize(
        ("field", "change"),
        [
            ("points", lambda a: a[:1]),
            ("labels", lambda a: a[:, :1]),
            ("boxes", lambda a: a[:, None]),
            ("masks", lambda a: a[:, :-1]),
        ],
    )
    def test_wrong_shapes_are_named(self, model: MaskModel, field: str, change: Any) -> None:
        prompts = with_masks(random_prompts(2, model.input_size), model.mask_size)
        wrong = replace(prompts, **{field: change(getattr(prompts, field))})
        with pytest.raises(ValueError, match=rf"prompts\.{field}: expected"):
            predict(model, random_crops(2, model.input_size), wrong)

    @settings(deadline=None)
    @given(st.lists(st.lists(st.sampled_from([1, 0, IGNORED]), min_size=4, max_size=4), min_size=1))
    def test_without_padding_keeps_every_point_in_order(self, rows: list[list[int]]) -> None:
        labels = np.array(rows, np.int64)
        points = np.random.default_rng(0).normal(size=(*labels.shape, 2)).astype(np.float32)
        boxes = np.arange(4 * len(labels), dtype=np.float32).reshape(-1, 4)
        seen = []
        for indices, group in without_padding(PromptBatch(points, labels, boxes)):
            seen += list(indices)
            for place, row in enumerate(indices):
                kept = labels[row] != IGNORED
                np.testing.assert_array_equal(group.labels[place], labels[row, kept])
                np.testing.assert_array_equal(group.points[place], points[row, kept])
                assert group.boxes is not None
                np.testing.assert_array_equal(group.boxes[place], boxes[row])
        assert sorted(seen) == list(range(len(labels)))


class TestEncode:
    @pytest.mark.parametrize("wrong", ["side", "dtype", "single", "empty"])
    def test_wrong_crops_are_named(self, model: MaskModel, wrong: str) -> None:
        crops = random_crops(1, model.input_size)
        bad = {
            "side": random_crops(1, model.input_size * 2),
            "dtype": crops.astype(np.float32),
            "single": crops[0],
            "empty": crops[:0],
        }[wrong]
        with pytest.raises(ValueError, match="crops: expected"):
            model.encode(bad)

    def test_takes_views_of_other_arrays(self, model: MaskModel) -> None:
        bgr = random_crops(2, model.input_size)
        rgb = bgr[..., ::-1]
        prompts = random_prompts(2, model.input_size)
        assert_same(predict(model, rgb, prompts), predict(model, rgb.copy(), prompts))

    def test_foreign_embeddings_are_refused(self, model: MaskModel) -> None:
        embeddings: Any = [np.zeros(3)]
        with pytest.raises(TypeError, match="encode"):
            model.decode(embeddings, random_prompts(1, model.input_size))

    @pytest.mark.parametrize("family", FAMILIES)
    def test_normalises_as_the_folder_says(self, family: str, tmp_path: Path) -> None:
        save_tiny_model(family, tmp_path)
        config = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 1.0, 2.0]}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
        model = TransformersMaskModel.from_pretrained(tmp_path, device="cpu")
        crops = random_crops(1, model.input_size)
        expected = (crops / 255 - config["image_mean"]) / config["image_std"]
        np.testing.assert_allclose(
            model.pixel_values(crops).numpy(), expected.transpose(0, 3, 1, 2), atol=1e-5
        )

    def test_half_precision_is_close(
        self, name: str, folders: dict[str, Path], model: MaskModel
    ) -> None:
        half = load_mask_model(folders[name], device="cpu", dtype="bfloat16")
        crops = random_crops(2, model.input_size)
        prompts = with_masks(random_prompts(2, model.input_size), model.mask_size)
        logits, iou = predict(half, crops, prompts)
        exact, _ = predict(model, crops, prompts)
        assert logits.dtype == iou.dtype == np.float32
        assert 0.99 < np.corrcoef(logits.ravel(), exact.ravel())[0, 1] < 1
