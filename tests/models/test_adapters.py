from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import FAMILIES, fixed_logits, save_tiny_model, tiny_model

from handseg.errors import ModelError
from handseg.models import bundled, load_mask_model
from handseg.models.adapters import use_tuned_mask, wrap
from handseg.models.sam.transformers import TransformersMaskModel

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam")
    save_tiny_model("sam", folder)
    return folder


def save_adapter(family: str, folder: Path, **options: Any) -> Any:
    """Save a LoRA adapter with random weights for a tiny model; return the model with it."""
    model = tiny_model(family)
    defaults = {"r": 2, "target_modules": ["q_proj", "k_proj", "v_proj"]}
    config = peft.LoraConfig(**(defaults | options))
    use_tuned_mask(model)
    model.mask_decoder = peft.get_peft_model(model.mask_decoder, config)
    with torch.no_grad():
        for weight in model.mask_decoder.parameters():
            if weight.requires_grad:
                weight.copy_(0.3 * torch.randn_like(weight))
    model.mask_decoder.save_pretrained(folder)
    return model.eval()


def save_whole_adapter(family: str, folder: Path, **options: Any) -> Any:
    """The same for an adapter trained on the whole model."""
    model = tiny_model(family)
    defaults = {"r": 2, "target_modules": r"mask_decoder\..*_proj"}
    use_tuned_mask(model)
    lora = wrap(model, peft.LoraConfig(**(defaults | options)))
    with torch.no_grad():
        for weight in lora.parameters():
            if weight.requires_grad:
                weight.copy_(0.1 * torch.randn_like(weight))
    lora.save_pretrained(folder, save_embedding_layers=False)
    return model.eval()


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class TestAdapter:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_on_top_equals_the_unmerged_model(self, family: str, tmp_path: Path) -> None:
        base = TransformersMaskModel(save_tiny_model(family, tmp_path / "base"))
        wrapped = TransformersMaskModel(save_adapter(family, tmp_path / "adapter"))
        merged = load_mask_model(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu")
        np.testing.assert_allclose(fixed_logits(merged), fixed_logits(wrapped), atol=1e-5)
        assert abs(fixed_logits(merged) - fixed_logits(base)).max() > 1e-3

    def test_merged_model_can_be_saved(self, sam: Path, tmp_path: Path) -> None:
        save_adapter("sam", tmp_path / "adapter")
        merged = TransformersMaskModel.from_pretrained(sam, tmp_path / "adapter", device="cpu")
        merged.save_pretrained(tmp_path / "merged")
        np.testing.assert_array_equal(
            fixed_logits(merged), fixed_logits(load_mask_model(tmp_path / "merged", device="cpu"))
        )

    def test_with_whole_modules(self, sam: Path, tmp_path: Path) -> None:
        wrapped = save_adapter("sam", tmp_path, modules_to_save=["upscale_conv2"])
        merged = load_mask_model(sam, adapter=tmp_path, device="cpu")
        expected = fixed_logits(TransformersMaskModel(wrapped))
        np.testing.assert_allclose(fixed_logits(merged), expected, atol=1e-4)

    def test_in_place_of_its_base(self, sam: Path, tmp_path: Path) -> None:
        save_adapter("sam", tmp_path)
        edit_config(tmp_path, base_model_name_or_path=str(sam))
        on_top = load_mask_model(sam, adapter=tmp_path, device="cpu")
        np.testing.assert_array_equal(
            fixed_logits(load_mask_model(tmp_path, device="cpu")), fixed_logits(on_top)
        )

    def test_in_place_without_a_base(self, tmp_path: Path) -> None:
        save_adapter("sam", tmp_path)
        with pytest.raises(ModelError, match=r"base_model_name_or_path is empty.* as its adapter"):
            load_mask_model(tmp_path)

    def test_on_an_adapter(self, tmp_path: Path) -> None:
        save_adapter("sam", tmp_path)
        with pytest.raises(ModelError, match="is an adapter itself"):
            load_mask_model(tmp_path, adapter=tmp_path)

    def test_unreadable_config(self, tmp_path: Path) -> None:
        (tmp_path / "adapter_config.json").write_text("{")
        with pytest.raises(ModelError, match="not a readable adapter configuration"):
            load_mask_model(tmp_path)

    @pytest.mark.parametrize("pattern", [["qkv_of_another_model"], r".*\.nothing"])
    def test_that_matches_no_module(self, pattern: Any, sam: Path, tmp_path: Path) -> None:
        save_adapter("sam", tmp_path)
        edit_config(tmp_path, target_modules=pattern)
        name = pattern if isinstance(pattern, str) else pattern[0]
        with pytest.raises(ModelError) as raised:
            load_mask_model(sam, adapter=tmp_path, device="cpu")
        assert repr(name) in str(raised.value)
        assert "target_modules" in str(raised.value)

    def test_of_another_family(self, sam: Path, tmp_path: Path) -> None:
        save_adapter("sam2", tmp_path, target_modules=["proj_in", "q_proj"])
        with pytest.raises(ModelError, match=r"no counterpart, such as .*proj_in"):
            load_mask_model(sam, adapter=tmp_path, device="cpu")

    def test_of_a_family_with_the_same_decoder(self, tmp_path: Path) -> None:
        """Names and shapes fit, but it was not trained on what this encoder sees."""
        save_tiny_model("sam2", tmp_path / "base")
        save_adapter("sam3_tracker", tmp_path / "adapter")
        with pytest.raises(ModelError, match="on Sam3TrackerMaskDecoder, not on Sam2MaskDecoder"):
            load_mask_model(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu")

    def test_of_other_shapes(self, sam: Path, tmp_path: Path) -> None:
        save_adapter("sam", tmp_path)
        edit_config(tmp_path, r=3)
        with pytest.raises(ModelError, match=r"other shapes: .*\(2, 32\), expected \(3, 32\)"):
            load_mask_model(sam, adapter=tmp_path, device="cpu")

    def test_incomplete_folder(self, sam: Path, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"no adapter_config\.json"):
            load_mask_model(sam, adapter=tmp_path, device="cpu")
        save_adapter("sam", tmp_path)
        (tmp_path / "adapter_model.safetensors").unlink()
        with pytest.raises(ModelError, match=r"no adapter_model\.safetensors"):
            load_mask_model(sam, adapter=tmp_path, device="cpu")

    def test_not_found(self, sam: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(ModelError, match="nobody/no-adapter: not a PEFT adapter"):
            load_mask_model(sam, adapter="nobody/no-adapter", device="cpu")


class TestAdapterOfTheWholeModel:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_on_top_equals_the_unmerged_model(self, family: str, tmp_path: Path) -> None:
        base = TransformersMaskModel(save_tiny_model(family, tmp_path / "base"))
        options = {
            "target_modules": r"mask_decoder\..*_proj"
            r"|vision_encoder\.neck\.(conv\d|convs\.\d|.+proj\d)",
            "modules_to_save": ["mask_decoder.upscale_conv1", "mask_decoder.iou_prediction_head"],
        }
        unmerged = TransformersMaskModel(
            save_whole_adapter(family, tmp_path / "adapter", **options)
        )
        keys = load_file(tmp_path / "adapter" / "adapter_model.safetensors").keys()
        assert all(key.startswith("base_model.model.") for key in keys)
        merged = load_mask_model(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu")
        expected = fixed_logits(unmerged)
        scale = abs(expected).max()
        np.testing.assert_allclose(fixed_logits(merged), expected, atol=1e-4 * scale)
        assert abs(fixed_logits(base) - expected).max() > 1e-3 * scale
        # The saved model has no trace of peft.
        merged.save_pretrained(tmp_path / "merged")
        again = load_mask_model(tmp_path / "merged", device="cpu")
        np.testing.assert_array_equal(fixed_logits(again), fixed_logits(merged))

    def test_says_nothing_while_it_loads(
        self, sam: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
    ) -> None:
        save_whole_adapter("sam", tmp_path)
        edit_config(tmp_path, base_model_name_or_path="known/elsewhere-as-this")
        recwarn.clear()
        load_mask_model(sam, adapter=tmp_path, device="cpu")
        assert [str(warning.message) for warning in recwarn] == []

    def test_of_the_bundled_model_by_name(
        self, sam: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bundled, "LITE_FOLDER", sam)
        expected = TransformersMaskModel(save_whole_adapter("sam", tmp_path))
        edit_config(tmp_path, base_model_name_or_path="handseg-lite")
        for arguments in ((tmp_path,), ("handseg-lite", tmp_path)):
            loaded = load_mask_model(*arguments, device="cpu")
            np.testing.assert_allclose(fixed_logits(loaded), fixed_logits(expected), atol=1e-3)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, r"no counterpart, such as .*; the adapter was trained on Sam2Model"),
            ({"target_modules": ["conv_s0"]}, r"target_modules .*conv_s0.* do not fit SamModel"),
        ],
    )
    def test_of_another_family(
        self, options: dict[str, Any], message: str, sam: Path, tmp_path: Path
    ) -> None:
        save_whole_adapter("sam2", tmp_path, **options)
        with pytest.raises(ModelError, match=message):
            load_mask_model(sam, adapter=tmp_path, device="cpu")

    def test_of_a_family_with_the_same_decoder(self, tmp_path: Path) -> None:
        save_tiny_model("sam2", tmp_path / "base")
        save_whole_adapter("sam3_tracker", tmp_path / "adapter")
        with pytest.raises(ModelError, match="trained on Sam3TrackerModel, not on Sam2Model"):
            load_mask_model(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu")

    def test_of_other_widths(self, sam: Path, tmp_path: Path) -> None:
        save_whole_adapter("sam", tmp_path)
        path = tmp_path / "adapter_model.safetensors"
        weights = load_file(path)
        wide = {k: torch.zeros(2, 64) if "lora_A" in k else v for k, v in weights.items()}
        save_file(wide, path)
        with pytest.raises(ModelError, match=r"other shapes: .*\(2, 64\), expected \(2, 32\)"):
            load_mask_model(sam, adapter=tmp_path, device="cpu")

    def test_in_a_decoder_that_has_no_name(self, sam: Path, tmp_path: Path) -> None:
        """Of a decoder's adapter under the name of a whole model's: the names decide."""
        save_adapter("sam", tmp_path)
        path = tmp_path / "adapter_model.safetensors"
        prefix = "base_model.model."
        save_file(
            {k.replace(prefix, f"{prefix}mask_decoder."): v for k, v in load_file(path).items()},
            path,
        )
        with pytest.raises(ModelError, match="trained on SamMaskDecoder, not on SamModel"):
            load_mask_model(sam, adapter=tmp_path, device="cpu")


@pytest.mark.parametrize("family", ["sam2", "edgetam", "sam3_tracker"])
def test_the_tuned_mask_is_never_replaced_by_another_tokens(family: str, tmp_path: Path) -> None:
    model = tiny_model(family)
    model.mask_decoder.dynamic_multimask_via_stability = True
    model.config.mask_decoder_config.dynamic_multimask_via_stability = True
    model.save_pretrained(tmp_path / "base")
    save_adapter(family, tmp_path / "adapter")
    merged = load_mask_model(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu")
    merged.save_pretrained(tmp_path / "merged")
    for one in (merged, load_mask_model(tmp_path / "merged", device="cpu")):
        assert one.model.mask_decoder.dynamic_multimask_via_stability is False  # type: ignore[attr-defined]
