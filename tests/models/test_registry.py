from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import FAMILIES, fixed_logits, input_size, save_tiny_model, tiny_model

from handseg.errors import ModelError
from handseg.models import load_mask_model
from handseg.models.sam.transformers import TransformersMaskModel

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forbid address lookups; the hub's client is offline unless a test requests `online`."""
    hosts = []

    def refuse(host: Any, *args: Any, **kwargs: Any) -> None:
        hosts.append(host)
        raise socket.gaierror("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    yield
    assert hosts == []


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, no_network: None) -> None:
    """As for users without HF_HUB_OFFLINE: only the code itself avoids the network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam")
    save_tiny_model("sam", folder)
    return folder


@pytest.fixture
def copied(sam: Path, tmp_path: Path) -> Path:
    """A folder with a tiny SAM that tests may break."""
    return shutil.copytree(sam, tmp_path / "copied")


class TestTransformers:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_round_trip_gives_identical_logits(
        self, family: str, tmp_path: Path, online: None
    ) -> None:
        first = TransformersMaskModel(tiny_model(family))
        (tmp_path / "notes.txt").write_text("stays")
        first.save_pretrained(tmp_path)
        second = load_mask_model(tmp_path, device="cpu")
        np.testing.assert_array_equal(fixed_logits(first), fixed_logits(second))
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
        np.testing.assert_array_equal(fixed_logits(first), fixed_logits(second))
        without = TransformersMaskModel(first.model)
        assert abs(fixed_logits(first) - fixed_logits(without)).max() > 1e-4

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
        expected = fixed_logits(TransformersMaskModel(save_tiny_model(family, tmp_path / "hub")))
        path = tmp_path / "hub" / "config.json"
        config = json.loads(path.read_text()) | {"image_size": input_size(family)}
        if model_type == "sam3_video":
            config = {"tracker_config": config | {"model_type": "sam3_tracker_video"}}
        path.write_text(json.dumps(config | {"model_type": model_type}))
        first = TransformersMaskModel.from_pretrained(tmp_path / "hub", device="cpu")
        np.testing.assert_array_equal(fixed_logits(first), expected)
        first.save_pretrained(tmp_path / "saved")
        second = load_mask_model(tmp_path / "saved", device="cpu")
        np.testing.assert_array_equal(fixed_logits(second), expected)

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

    def test_wrong_value_in_config(self, copied: Path) -> None:
        config = {"model_type": "sam", "vision_config": {"hidden_size": "wide"}}
        (copied / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match=r"config\.json is not one .*hidden_size"):
            load_mask_model(copied)

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
