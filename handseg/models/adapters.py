"""PEFT adapters on a model's mask decoder."""

from __future__ import annotations

import json
import logging
import os
import pickle
from pathlib import Path
from typing import Any

from handseg.errors import ModelError

logger = logging.getLogger(__name__)

ADAPTER_CONFIG = "adapter_config.json"
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


def is_adapter(folder: Path) -> bool:
    """Whether `folder` holds a PEFT adapter."""
    return (folder / ADAPTER_CONFIG).is_file()


def base_of_adapter(folder: Path) -> str:
    """The hub id or path of the model that the adapter in `folder` says it belongs to.

    Raises:
        ModelError: the adapter names none, as one trained on a bare mask decoder does, or its
            configuration cannot be read.
    """
    path = folder / ADAPTER_CONFIG
    try:
        base = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: not a readable adapter configuration: {error}") from error
    if not base:
        raise ModelError(
            f"{path}: base_model_name_or_path is empty, so the adapter does not say which model "
            f"it belongs to; load that model and pass {str(folder)!r} as its adapter"
        )
    return str(base)


def merge_adapter(model: Any, adapter: str | os.PathLike[str]) -> None:
    """Add the adapter's weights to those of `model.mask_decoder`, in place.

    Args:
        model: a transformers SAM-family model.
        adapter: hub id or folder of a PEFT adapter trained on `mask_decoder` alone.

    Raises:
        ModelError: the adapter cannot be found or read, or does not fit the decoder.
    """
    import peft
    from safetensors import SafetensorError

    folder = Path(adapter)
    if folder.is_dir():
        # peft would look on the hub for what a local folder lacks.
        _require_files(folder)
    name = str(adapter)
    try:
        config = peft.PeftConfig.from_pretrained(name)
        stored = peft.load_peft_weights(name, device="cpu")
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        SafetensorError,
        pickle.UnpicklingError,
    ) as error:
        raise ModelError(
            f"{name}: not a PEFT adapter that can be read from a folder or the hub: {error}"
        ) from error

    # The decoder alone has no name; peft would warn that the adapter's base has another.
    config.base_model_name_or_path = None
    try:
        wrapped = peft.get_peft_model(model.mask_decoder, config)
    except (ValueError, TypeError, AttributeError) as error:
        target = getattr(config, "target_modules", None)
        raise ModelError(
            f"{name}: the adapter's target_modules {target!r} do not fit the mask decoder of "
            f"{type(model).__name__}: {error}"
        ) from error

    expected = peft.get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    if differing := sorted(expected.keys() ^ stored.keys()):
        raise ModelError(
            f"{name}: {len(differing)} of the adapter's weights and those the mask decoder of "
            f"{type(model).__name__} takes have no counterpart, such as {differing[0]}; an adapter "
            "has to be trained on model.mask_decoder"
        )
    for weight, tensor in stored.items():
        if tensor.shape != expected[weight].shape:
            raise ModelError(
                f"{name}: the adapter was trained on a mask decoder of other shapes: its {weight} "
                f"is {tuple(tensor.shape)}, expected {tuple(expected[weight].shape)}"
            )
    peft.set_peft_model_state_dict(wrapped, stored)
    model.mask_decoder = wrapped.merge_and_unload()
    logger.info("merged the adapter %s into %s", name, type(model).__name__)


def _require_files(folder: Path) -> None:
    if not is_adapter(folder):
        raise ModelError(f"{folder}: no {ADAPTER_CONFIG}, so this is not a PEFT adapter")
    if not any((folder / name).is_file() for name in _ADAPTER_WEIGHTS):
        raise ModelError(f"{folder}: has {ADAPTER_CONFIG} but no {_ADAPTER_WEIGHTS[0]}")
