from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from stub_stages import StubLandmarker, StubModel, assert_same, found
from tiny_models import FAMILIES, save_tiny_model, tiny_model

from handseg.errors import MissingExtraError, ModelError
from handseg.models import bundled
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.prompts import PromptRecipe
from handseg.segmenter import HandSegmenter

torch.set_num_threads(1)


def name_base(adapter: Path, base: str) -> None:
    """Write the base model's name into the adapter's configuration."""
    config = adapter / "adapter_config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {"base_model_name_or_path": base}))


class TestRealFamilies:
    """Tiny random models: their masks are meaningless, but every shape and path is real."""

    @pytest.fixture(scope="class")
    @staticmethod
    def photo() -> np.ndarray:
        noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
        return cv2.resize(noise, (160, 120), interpolation=cv2.INTER_CUBIC)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_every_kind_of_prompt(
        self, family: str, photo: np.ndarray, open_hand: np.ndarray
    ) -> None:
        segmenter = HandSegmenter(TransformersMaskModel(tiny_model(family)))
        landmarks = open_hand * 0.3 + [80, 80]
        cases: list[tuple[int, dict[str, Any]]] = [
            (2, {"boxes": [[20, 20, 90, 100], [50, 10, 150, 110]]}),
            (1, {"points": [[50, 50], [100, 100]], "labels": [1, 0]}),
            (1, {"boxes": [20, 20, 90, 100], "points": [[50, 50]]}),
            (1, {"landmarks": landmarks}),
            (1, {"landmarks": landmarks, "points": [[5, 5]], "labels": [0]}),
        ]
        for count, prompts in cases:
            result = segmenter.segment(photo, **prompts)
            assert len(result) == count
            for hand in result:
                assert hand.alpha.shape == (120, 160)
                assert np.isfinite(hand.predicted_iou)

    @pytest.mark.parametrize("options", [{"box": False}, {"skeleton": True}, {"positives": ()}])
    @pytest.mark.parametrize("family", FAMILIES)
    def test_every_kind_of_recipe(
        self, family: str, options: dict[str, Any], photo: np.ndarray, open_hand: np.ndarray
    ) -> None:
        model = TransformersMaskModel(tiny_model(family))
        segmenter = HandSegmenter(model, PromptRecipe(**options))
        (hand,) = segmenter.segment(photo, landmarks=open_hand * 0.3 + [80, 80])
        (default,) = HandSegmenter(model).segment(photo, landmarks=open_hand * 0.3 + [80, 80])
        assert hand.alpha.shape == (120, 160)
        assert hand.predicted_iou != default.predicted_iou

    def test_batch_is_what_photos_give_one_by_one(
        self, photo: np.ndarray, open_hand: np.ndarray
    ) -> None:
        photos = [photo, photo[::-1, :150], photo[:, :140]]
        marks = {
            shot.shape[1]: [
                found(open_hand * (0.2 + 0.04 * index) + [50 + 8 * index, 70]) for index in range(3)
            ]
            for shot in photos
        }
        # Hands cut by the frame have fewer points.
        marks[150][1] = found(open_hand * 0.3 + [140, 30])
        model = TransformersMaskModel(tiny_model("edgetam"))
        segmenter = HandSegmenter(model, None, StubLandmarker(marks))
        together = segmenter.segment_batch(photos)
        for shot, result in zip(photos, together, strict=True):
            for hand, expected in zip(result, segmenter.segment(shot), strict=True):
                assert_same(hand, expected, tolerance=1)


class TestFromPretrained:
    MODEL = PromptRecipe(positives=("palm",))
    ADAPTER = PromptRecipe(positives=("tips",))
    ARGUMENT = PromptRecipe(positives=("joints",))

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        save_tiny_model("edgetam", tmp_path / "model")
        return tmp_path / "model"

    @pytest.fixture
    def adapter(self, tmp_path: Path) -> Path:
        import peft

        decoder = tiny_model("edgetam").mask_decoder
        config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"])
        peft.get_peft_model(decoder, config).save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter"

    def load(self, name: Any, adapter: Any = None, **options: Any) -> HandSegmenter:
        return HandSegmenter.from_pretrained(name, adapter, "cpu", **options)

    def test_save_and_load(self, model: Path, tmp_path: Path, open_hand: np.ndarray) -> None:
        recipe = PromptRecipe(box_reach=0.3, negatives=("wrist",), region_margin=0.4)
        first = self.load(model, recipe=recipe)
        first.save_pretrained(tmp_path / "new" / "folder")
        second = self.load(tmp_path / "new" / "folder")
        assert second.recipe == recipe
        photo = np.random.default_rng(1).integers(0, 256, (120, 160, 3), np.uint8)
        landmarks = open_hand * 0.3 + [80, 80]
        (one,) = first.segment(photo, landmarks=landmarks)
        (other,) = second.segment(photo, landmarks=landmarks)
        assert_same(one, other)

    def test_merged_adapter_is_saved(self, model: Path, adapter: Path, tmp_path: Path) -> None:
        self.ADAPTER.save(adapter)
        self.load(model, adapter).save_pretrained(tmp_path / "merged")
        assert self.load(tmp_path / "merged").recipe == self.ADAPTER

    def test_recipe_default(self, model: Path, adapter: Path) -> None:
        assert self.load(model).recipe == PromptRecipe()
        assert self.load(model, adapter).recipe == PromptRecipe()

    def test_recipe_of_the_model(self, model: Path, adapter: Path) -> None:
        self.MODEL.save(model)
        assert self.load(model).recipe == self.MODEL
        assert self.load(str(model), str(adapter)).recipe == self.MODEL

    def test_recipe_of_the_adapter_comes_first(self, model: Path, adapter: Path) -> None:
        self.MODEL.save(model)
        self.ADAPTER.save(adapter)
        assert self.load(model, adapter).recipe == self.ADAPTER

    @pytest.mark.parametrize("with_own", [True, False])
    def test_recipe_where_the_adapter_names_its_base(
        self, with_own: bool, model: Path, adapter: Path
    ) -> None:
        name_base(adapter, str(model))
        self.MODEL.save(model)
        if with_own:
            self.ADAPTER.save(adapter)
        assert self.load(adapter).recipe == (self.ADAPTER if with_own else self.MODEL)

    def test_adapter_of_the_bundled_model(
        self, model: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.MODEL.save(model)
        name_base(adapter, "handseg-lite")
        monkeypatch.setattr(bundled, "LITE_FOLDER", model)
        assert self.load(adapter).recipe == self.MODEL

    def test_adapter_on_an_adapter(self, adapter: Path) -> None:
        with pytest.raises(ModelError, match="is an adapter itself"):
            self.load(adapter, adapter)

    def test_recipe_argument_comes_first(self, model: Path, adapter: Path, tmp_path: Path) -> None:
        self.MODEL.save(model)
        self.ADAPTER.save(adapter)
        self.ARGUMENT.save(tmp_path)
        file = tmp_path / "mine.yaml"
        file.write_text("positives: [joints]\n")
        for argument in (self.ARGUMENT, tmp_path, str(file)):
            assert self.load(model, adapter, recipe=argument).recipe == self.ARGUMENT

    def test_missing_recipe_is_named(self, model: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"absent\.yaml"):
            self.load(model, recipe=tmp_path / "absent.yaml")

    def test_broken_recipe_beside_the_model_is_named(self, model: Path) -> None:
        (model / "prompt_recipe.json").write_text("{")
        with pytest.raises(ValueError, match=r"prompt_recipe\.json"):
            self.load(model)

    def test_missing_model(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="absent"):
            self.load(tmp_path / "absent")

    def test_dtype_reaches_the_model(self, model: Path) -> None:
        segmenter = self.load(model, dtype="bfloat16")
        (hand,) = segmenter.segment(np.zeros((50, 60, 3), np.uint8), boxes=[5, 5, 40, 40])
        assert np.isfinite(hand.predicted_iou)
        assert isinstance(segmenter.model, TransformersMaskModel)
        assert segmenter.model.model.dtype == torch.bfloat16


def test_an_adapter_on_the_hub_brings_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    from handseg.finetune.lora.adapter import save_adapter
    from handseg.finetune.lora.lora import LoraSettings, add_lora

    base = HandSegmenter.from_pretrained(device="cpu", backend="torch")
    recipe = PromptRecipe(forearm=3.0)
    model = add_lora(base.model.model, LoraSettings(rank=1))  # type: ignore[attr-defined]
    save_adapter(model, tmp_path / "hub", base="handseg-lite", recipe=recipe, card="")
    asked: list[str] = []

    def snapshot_download(name: str, **options: Any) -> str:
        asked.append(name)
        if name == "no/such":
            raise OSError("404")
        return str(tmp_path / "hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    tuned = HandSegmenter.from_pretrained(adapter="someone/forearm", device="cpu", backend="torch")
    assert asked == ["someone/forearm"]
    assert tuned.recipe == recipe
    with pytest.raises(ModelError, match=r"no/such: not a PEFT adapter"):
        HandSegmenter.from_pretrained(adapter="no/such", device="cpu")


def test_a_model_on_the_hub_brings_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    recipe = PromptRecipe(forearm=3.0)
    recipe.save(tmp_path)

    def hf_hub_download(name: str, file: str) -> str:
        if name == "facebook/sam-vit-base":
            raise LocalEntryNotFoundError("404")
        if name != "someone/hands":
            raise ConnectionError("no route to host")
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    monkeypatch.setattr("handseg.segmenter.load_mask_model", lambda *_: StubModel())
    assert HandSegmenter.from_pretrained("someone/hands").recipe == recipe
    assert HandSegmenter.from_pretrained("facebook/sam-vit-base").recipe == PromptRecipe()
    assert not caplog.records
    assert HandSegmenter.from_pretrained("someone/away").recipe == PromptRecipe()
    assert "someone/away: prompt_recipe.json cannot be read, the default is used" in caplog.text


def test_the_backend_is_that_of_held_objects_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(*arguments: Any) -> StubModel:
        asked.append(arguments[-1])
        return StubModel()

    monkeypatch.setattr("handseg.pipeline.held_objects.load_mask_model", load)
    for backend in ("torch", "onnx", None):
        HandSegmenter.from_pretrained(device="cpu", backend=backend).check_objects()
    assert asked == ["torch", "onnx", None]


def test_an_object_adapter_without_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'handseg\[sam\]'"):
        HandSegmenter.from_pretrained(object_adapter="someone/objects")
