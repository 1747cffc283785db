"""PEFT adapters of SAM-family models: added for training, or merged into the weights."""

from __future__ import annotations

import json
import logging
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

from handseg.errors import ModelError
from handseg.prompts.recipe import RECIPE_FILE

logger = logging.getLogger(__name__)

ADAPTER_CONFIG = "adapter_config.json"
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_PREFIX = "base_model.model."
"""peft's prefix for the names of the weights it wraps."""


def is_adapter(folder: Path) -> bool:
    """Whether `folder` holds a PEFT adapter."""
    return (folder / ADAPTER_CONFIG).is_file()


def base_of_adapter(folder: Path) -> str:
    """Return the name of the base model of the adapter in `folder`.

    Raises:
        ModelError: if the adapter names none, such as one trained on a bare mask decoder, or its
            configuration cannot be read.
    """
    path = folder / ADAPTER_CONFIG
    try:
        base = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: not a readable adapter configuration: {error}") from error
    if not base:
        raise ModelError(
            f"{path}: base_model_name_or_path is empty, so the adapter does not name its base "
            f"model; load that model and pass {str(folder)!r} as its adapter"
        )
    return str(base)


def local_adapter(adapter: str | os.PathLike[str]) -> Path:
    """Return the adapter's folder, downloaded from the hub with its prompt recipe if not local.

    Raises:
        ModelError: if it is neither a folder nor a reachable adapter on the hub.
    """
    folder = Path(adapter)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError

    wanted = [ADAPTER_CONFIG, *_ADAPTER_WEIGHTS, RECIPE_FILE]
    try:
        return Path(snapshot_download(os.fspath(adapter), allow_patterns=wanted))
    except (HTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"{adapter}: not a PEFT adapter that can be read from a folder or the hub: {error}"
        ) from error


def wrap(module: Any, config: Any) -> Any:
    """Add a new adapter to `module`, in place: `peft.get_peft_model` for every SAM family.

    Raises:
        ValueError, TypeError, AttributeError: from peft, if `config` does not fit `module`.
    """
    import peft
    import torch

    if hasattr(module, "get_input_embeddings"):
        try:
            module.get_input_embeddings()
        except NotImplementedError:
            # peft looks for weights tied to the input embeddings. EdgeTAM has none, and
            # transformers raises; a module without parameters says the same.
            module.get_input_embeddings = torch.nn.Identity
    with warnings.catch_warnings():
        # peft reads an attribute that transformers will rename.
        warnings.simplefilter("ignore", FutureWarning)
        return peft.get_peft_model(module, config)


def merge_adapter(model: Any, adapter: str | os.PathLike[str]) -> None:
    """Add the adapter's weights to those of `model`, in place.

    Args:
        model: a transformers SAM-family model.
        adapter: hub id or folder of a PEFT adapter trained on the whole model, or any part of it,
            or on `model.mask_decoder` alone.

    Raises:
        ModelError: if the adapter cannot be found or read, or does not fit the model.
    """
    import peft

    name = str(adapter)
    config, stored = _read(name)
    parts = {weight.removeprefix(_PREFIX).partition(".")[0] for weight in stored}
    of_whole_model = not parts.isdisjoint(child for child, _ in model.named_children())
    target = model if of_whole_model else model.mask_decoder
    family = type(model).__name__
    place = family if of_whole_model else f"the mask decoder of {family}"
    trained_on = (config.auto_mapping or {}).get("base_model_class") or "another model"

    try:
        wrapped = wrap(target, config)
    except (ValueError, TypeError, AttributeError) as error:
        modules = getattr(config, "target_modules", None)
        raise ModelError(
            f"{name}: the adapter's target_modules {modules!r} do not fit {place}: {error}"
        ) from error
    expected = peft.get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    if differing := sorted(expected.keys() ^ stored.keys()):
        raise ModelError(
            f"{name}: {len(differing)} of the adapter's weights and those {place} takes have no "
            f"counterpart, such as {differing[0]}; the adapter was trained on {trained_on}"
        )
    for weight, tensor in stored.items():
        if tensor.shape != expected[weight].shape:
            raise ModelError(
                f"{name}: the adapter was trained on a model of other shapes: its {weight} "
                f"is {tuple(tensor.shape)}, expected {tuple(expected[weight].shape)}"
            )
    # The decoders of SAM 2, EdgeTAM and SAM 3 have the same names and may have the same shapes.
    if trained_on not in ("another model", type(target).__name__):
        raise ModelError(
            f"{name}: the adapter was trained on {trained_on}, not on {type(target).__name__}"
        )
    peft.set_peft_model_state_dict(wrapped, stored)
    merged = wrapped.merge_and_unload()
    if target is not model:
        model.mask_decoder = merged
    use_tuned_mask(model)
    logger.info("merged the adapter %s into %s", name, family)


def use_tuned_mask(model: Any) -> None:
    """Let `model` always return the tuned mask, that of its first mask token.

    Outside training, SAM 2 and its relatives replace it by another token's if it is unstable.
    """
    decoder = model.mask_decoder
    if hasattr(decoder, "dynamic_multimask_via_stability"):
        decoder.dynamic_multimask_via_stability = False
        model.config.mask_decoder_config.dynamic_multimask_via_stability = False


def _read(name: str) -> tuple[Any, dict[str, Any]]:
    """Read the configuration and the weights of an adapter in a folder or on the hub."""
    import peft
    from safetensors import SafetensorError

    folder = Path(name)
    if folder.is_dir():
        # peft would search the hub for files missing in a local folder.
        _require_files(folder)
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
    # peft would warn if the base model has been renamed since.
    config.base_model_name_or_path = None
    return config, stored


def _require_files(folder: Path) -> None:
    if not is_adapter(folder):
        raise ModelError(f"{folder}: no {ADAPTER_CONFIG}, so this is not a PEFT adapter")
    if not any((folder / name).is_file() for name in _ADAPTER_WEIGHTS):
        raise ModelError(f"{folder}: has {ADAPTER_CONFIG} but no {_ADAPTER_WEIGHTS[0]}")
