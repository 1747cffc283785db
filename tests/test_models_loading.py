from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import (
    FAMILIES,
    input_size,
    padded,
    random_crops,
    random_prompts,
    save_tiny_model,
    segment_anything_tensors,
    tiny_model,
)

from handseg.errors import ModelError
from handseg.models import MaskModel, load_mask_model
from handseg.models.segment_anything import SegmentAnythingMaskModel
from handseg.models.transformers_sam import TransformersMaskModel

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may ask for an address, and what looks on the hub finds itself offline."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError(f"looked up {args[0]}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user who has not set HF_HUB_OFFLINE; a look at the network still fails."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam")
    save_tiny_model("sam", folder)
    return folder


@pytest.fixture
def copied(sam: Path, tmp_path: Path) -> Path:
    """A folder with a tiny SAM, to break."""
    return shutil.copytree(sam, tmp_path / "copied")


def save_adapter(family: str, folder: Path, **options: Any) -> Any:
    """Save a LoRA adapter with random weights for a tiny model; return the model with it on."""
    model = tiny_model(family)
    defaults = {"r": 2, "target_modules": ["q_proj", "k_proj", "v_proj"]}
    config = peft.LoraConfig(**(defaults | options))
    model.mask_decoder = peft.get_peft_model(model.mask_decoder, config)
    with torch.no_grad():
        for weight in model.mask_decoder.parameters():
            if weight.requires_grad:
                weight.copy_(0.3 * torch.randn_like(weight))
    model.mask_decoder.save_pretrained(folder)
    return model.eval()


def predict(model: MaskModel) -> np.ndarray:
    """Logits for a fixed pair of crops and prompts."""
    embeddings = model.encode(random_crops(2, model.input_size))
    return model.decode(embeddings, random_prompts(2, model.input_size))[0]


class TestTransformers:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_round_trip_gives_identical_logits(
        self, family: str, tmp_path: Path, online: None
    ) -> None:
        first = TransformersMaskModel(tiny_model(family))
        (tmp_path / "notes.txt").write_text("stays")
        first.save_pretrained(tmp_path)
        second = load_mask_model(tmp_path, device="cpu")
        np.testing.assert_array_equal(predict(first), predict(second))
        assert second.input_size == input_size(family)
        assert sorted(file.name for file in tmp_path.iterdir()) == [
            "config.json",
            "model.safetensors",
            "notes.txt",
            "preprocessor_config.json",
        ]

    def test_keeps_the_normalisation(self, copied: Path, tmp_path: Path) -> None:
        config = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 1.0, 2.0]}
        (copied / "preprocessor_config.json").write_text(json.dumps(config))
        first = TransformersMaskModel.from_pretrained(copied, device="cpu")
        first.save_pretrained(tmp_path / "saved")
        second = load_mask_model(tmp_path / "saved", device="cpu")
        np.testing.assert_array_equal(predict(first), predict(second))
        without = TransformersMaskModel(first.model)
        assert abs(predict(first) - predict(without)).max() > 1e-4

    @pytest.mark.parametrize(
        ("family", "model_type"),
        [
            ("sam2", "sam2_video"),
            ("edgetam", "edgetam_video"),
            ("sam3_tracker", "sam3_tracker_video"),
            ("sam3_tracker", "sam3_video"),
        ],
    )
    def test_video_models_as_the_hub_stores_them(
        self, family: str, model_type: str, tmp_path: Path
    ) -> None:
        expected = predict(TransformersMaskModel(save_tiny_model(family, tmp_path / "hub")))
        path = tmp_path / "hub" / "config.json"
        config = json.loads(path.read_text()) | {"image_size": input_size(family)}
        if model_type == "sam3_video":
            config = {"tracker_config": config | {"model_type": "sam3_tracker_video"}}
        path.write_text(json.dumps(config | {"model_type": model_type}))
        first = TransformersMaskModel.from_pretrained(tmp_path / "hub", device="cpu")
        np.testing.assert_array_equal(predict(first), expected)
        first.save_pretrained(tmp_path / "saved")
        second = load_mask_model(tmp_path / "saved", device="cpu")
        np.testing.assert_array_equal(predict(second), expected)

    def test_stored_in_half_runs_in_float32(self, tmp_path: Path) -> None:
        model = TransformersMaskModel(tiny_model("sam").half())
        model.save_pretrained(tmp_path)
        loaded = TransformersMaskModel.from_pretrained(tmp_path, device="cpu")
        assert loaded.model.dtype == torch.float32
        assert load_file(tmp_path / "model.safetensors")["mask_decoder.iou_token.weight"].dtype == (
            torch.float16
        )

    def test_unknown_dtype(self, sam: Path) -> None:
        with pytest.raises(ValueError, match=r"dtype: expected .* 'int64'"):
            load_mask_model(sam, dtype="int64")


class TestOriginalCheckpoint:
    def test_equals_transformers(self, sam: Path, tmp_path: Path) -> None:
        torch.save(segment_anything_tensors(tiny_model("sam")), tmp_path / "any_name.pth")
        one, other = (load_mask_model(p, device="cpu") for p in (sam, tmp_path / "any_name.pth"))
        assert isinstance(other, SegmentAnythingMaskModel)
        crops = random_crops(3, 64)
        for prompts in (
            random_prompts(3, 64),
            random_prompts(3, 64, boxes=False),
            random_prompts(3, 64, points=0),
            padded(random_prompts(3, 64), 2),
        ):
            pairs = zip(*(m.decode(m.encode(crops), prompts) for m in (one, other)), strict=True)
            for a, b in pairs:
                np.testing.assert_allclose(a, b, atol=1e-5)

    @pytest.mark.parametrize("size", ["vit_b", "vit_l", "vit_h"])
    def test_finds_the_published_sizes(self, size: str) -> None:
        from segment_anything import sam_model_registry

        from handseg.models.segment_anything import build_sam

        with torch.device("meta"):
            published = sam_model_registry[size]()
        rebuilt = build_sam(published.state_dict(), Path("sam.pth"))
        assert repr(rebuilt) == repr(published)
        for ours, theirs in zip(
            rebuilt.image_encoder.blocks, published.image_encoder.blocks, strict=True
        ):
            assert ours.window_size == theirs.window_size
            assert ours.attn.num_heads == theirs.attn.num_heads
        assert rebuilt.image_encoder.img_size == 1024
        assert rebuilt.prompt_encoder.image_embedding_size == (64, 64)

    def test_adapter_is_refused(self, tmp_path: Path) -> None:
        torch.save(segment_anything_tensors(tiny_model("sam")), tmp_path / "sam.pth")
        with pytest.raises(ModelError, match=r"adapter: cannot be used on .*sam\.pth"):
            load_mask_model(tmp_path / "sam.pth", adapter=tmp_path)

    def test_cannot_be_saved(self, tmp_path: Path) -> None:
        torch.save(segment_anything_tensors(tiny_model("sam")), tmp_path / "sam.pth")
        model = SegmentAnythingMaskModel.from_checkpoint(tmp_path / "sam.pth", device="cpu")
        with pytest.raises(ModelError, match="cannot save"):
            model.save_pretrained(tmp_path / "folder")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"weight": torch.zeros(2)}, "not a segment-anything .* no tensor 'image_encoder"),
            ([torch.zeros(2)], "expected a dict of tensors, got a list"),
            ({"x": os.system}, "holds more than plain tensors"),
        ],
    )
    def test_other_checkpoints(self, content: Any, message: str, tmp_path: Path) -> None:
        torch.save(content, tmp_path / "other.pth")
        with pytest.raises(ModelError, match=rf"other\.pth: .*{message}"):
            load_mask_model(tmp_path / "other.pth")

    def test_related_model(self, tmp_path: Path) -> None:
        tensors = segment_anything_tensors(tiny_model("sam"))
        torch.save(tensors | {"mask_decoder.hf_token.weight": torch.zeros(1)}, tmp_path / "hq.pth")
        with pytest.raises(ModelError, match=r"hq\.pth: a relative of .* such as .*hf_token"):
            load_mask_model(tmp_path / "hq.pth")

    def test_inconsistent_shapes(self, tmp_path: Path) -> None:
        tensors = segment_anything_tensors(tiny_model("sam"))
        tensors["prompt_encoder.no_mask_embed.weight"] = torch.zeros(1, 2)
        torch.save(tensors, tmp_path / "cut.pth")
        with pytest.raises(ModelError, match=r"cut\.pth: its tensors' shapes do not fit"):
            load_mask_model(tmp_path / "cut.pth")

    def test_not_a_checkpoint(self, tmp_path: Path) -> None:
        (tmp_path / "text.pth").write_text("not weights")
        with pytest.raises(ModelError, match=r"text\.pth: not a PyTorch checkpoint"):
            load_mask_model(tmp_path / "text.pth")
        with pytest.raises(ModelError, match=r"gone\.pth: no such file"):
            load_mask_model(tmp_path / "gone.pth")


class TestAdapter:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_on_top_equals_the_unmerged_model(
        self, family: str, tmp_path: Path, online: None
    ) -> None:
        base = TransformersMaskModel(save_tiny_model(family, tmp_path / "base"))
        wrapped = TransformersMaskModel(save_adapter(family, tmp_path / "adapter"))
        merged = load_mask_model(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu")
        np.testing.assert_allclose(predict(merged), predict(wrapped), atol=1e-5)
        assert abs(predict(merged) - predict(base)).max() > 1e-3

    def test_merged_model_can_be_saved(self, sam: Path, tmp_path: Path) -> None:
        save_adapter("sam", tmp_path / "adapter")
        merged = TransformersMaskModel.from_pretrained(sam, tmp_path / "adapter", device="cpu")
        merged.save_pretrained(tmp_path / "merged")
        np.testing.assert_array_equal(
            predict(merged), predict(load_mask_model(tmp_path / "merged", device="cpu"))
        )

    def test_with_whole_modules(self, sam: Path, tmp_path: Path) -> None:
        wrapped = save_adapter("sam", tmp_path, modules_to_save=["upscale_conv2"])
        merged = load_mask_model(sam, adapter=tmp_path, device="cpu")
        expected = predict(TransformersMaskModel(wrapped))
        np.testing.assert_allclose(predict(merged), expected, atol=1e-5)

    def test_in_place_of_its_base(self, sam: Path, tmp_path: Path) -> None:
        save_adapter("sam", tmp_path)
        edit_config(tmp_path, base_model_name_or_path=str(sam))
        on_top = load_mask_model(sam, adapter=tmp_path, device="cpu")
        np.testing.assert_array_equal(
            predict(load_mask_model(tmp_path, device="cpu")), predict(on_top)
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

    def test_trained_on_the_whole_model(self, sam: Path, tmp_path: Path) -> None:
        save_adapter("sam", tmp_path)
        path = tmp_path / "adapter_model.safetensors"
        prefix = "base_model.model."
        save_file(
            {k.replace(prefix, f"{prefix}mask_decoder."): v for k, v in load_file(path).items()},
            path,
        )
        with pytest.raises(ModelError, match=r"trained on model\.mask_decoder"):
            load_mask_model(sam, adapter=tmp_path, device="cpu")

    def test_of_other_shapes(self, sam: Path, tmp_path: Path) -> None:
        save_adapter("sam", tmp_path)
        edit_config(tmp_path, r=3)
        with pytest.raises(ModelError, match=r"other shapes: .*\(2, 32\), expected \(3, 32\)"):
            load_mask_model(sam, adapter=tmp_path, device="cpu")

    def test_incomplete_folder(self, sam: Path, tmp_path: Path, online: None) -> None:
        with pytest.raises(ModelError, match=r"no adapter_config\.json"):
            load_mask_model(sam, adapter=tmp_path, device="cpu")
        save_adapter("sam", tmp_path)
        (tmp_path / "adapter_model.safetensors").unlink()
        with pytest.raises(ModelError, match=r"no adapter_model\.safetensors"):
            load_mask_model(sam, adapter=tmp_path, device="cpu")

    def test_not_found(self, sam: Path) -> None:
        with pytest.raises(ModelError, match="nobody/no-adapter: not a PEFT adapter"):
            load_mask_model(sam, adapter="nobody/no-adapter", device="cpu")


class TestErrors:
    def test_folder_without_config(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"the folder has no config\.json"):
            load_mask_model(tmp_path)

    @pytest.mark.parametrize("name", ["./no/such/folder", "/no/such/folder", "a/b/c"])
    def test_no_such_folder(self, name: str) -> None:
        with pytest.raises(ModelError, match=f"{name}: no such folder or file"):
            load_mask_model(name)

    def test_not_on_the_hub(self) -> None:
        with pytest.raises(
            ModelError, match=r"nobody/nothing: .*local cache.*HF_HUB_OFFLINE"
        ) as raised:
            load_mask_model("nobody/nothing")
        assert isinstance(raised.value.__cause__, OSError)
        assert raised.value.__cause__.__cause__ is None

    def test_looked_online(self, online: None, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreachable(*args: Any, **kwargs: Any) -> None:
            raise OSError("We couldn't connect to the hub")

        monkeypatch.setattr("transformers.AutoConfig.from_pretrained", unreachable)
        with pytest.raises(ModelError, match=r"nobody/nothing: .* https://.*couldn't connect"):
            load_mask_model("nobody/nothing")

    @pytest.mark.parametrize("model_type", ["bert", "of_the_future"])
    def test_other_families(self, model_type: str, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
        with pytest.raises(ModelError, match=r"sam, sam_hq, sam2, .*edgetam, .*sam3_tracker"):
            load_mask_model(tmp_path)

    def test_broken_config(self, copied: Path) -> None:
        (copied / "config.json").write_text("{")
        with pytest.raises(ModelError, match=r"copied: .*JSON"):
            load_mask_model(copied)

    def test_no_weights(self, copied: Path, online: None) -> None:
        (copied / "model.safetensors").unlink()
        with pytest.raises(ModelError, match=r"not hold a complete model: .*model\.safetensors"):
            load_mask_model(copied)

    def test_broken_weights(self, copied: Path) -> None:
        (copied / "model.safetensors").write_bytes(b"0" * 20)
        with pytest.raises(ModelError, match="copied: the weights cannot be read"):
            load_mask_model(copied)

    def test_missing_weights_are_not_made_up(self, copied: Path) -> None:
        path = copied / "model.safetensors"
        tensors = load_file(path)
        del tensors["mask_decoder.iou_token.weight"]
        save_file(tensors, path, {"format": "pt"})
        with pytest.raises(ModelError, match=r"1 of the .* missing, such as mask_decoder\.iou"):
            load_mask_model(copied)

    def test_weights_of_other_shapes(self, copied: Path) -> None:
        config = json.loads((copied / "config.json").read_text())
        config["mask_decoder_config"]["mlp_dim"] = 56
        (copied / "config.json").write_text(json.dumps(config))
        with pytest.raises(
            ModelError, match=r"6 weights do not fit .*mlp\.lin1\.bias: .*\(48,\), .*\(56,\)"
        ):
            load_mask_model(copied)

    def test_broken_image_processor(self, copied: Path) -> None:
        (copied / "preprocessor_config.json").write_text("{")
        with pytest.raises(ModelError, match="image processor cannot be loaded"):
            load_mask_model(copied)

    def test_wrapping_something_else(self) -> None:
        with pytest.raises(ModelError, match="model_type is 'sam_vision_model'"):
            TransformersMaskModel(tiny_model("sam").vision_encoder)


def test_the_interface_imports_no_torch() -> None:
    code = "import sys, handseg.models; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
