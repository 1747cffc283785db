"""`handseg info`: installed versions, devices and bundled weights."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from rich.text import Text

from handseg.errors import reason
from handseg.runtime.terminal import results, running


def info() -> None:
    """Show versions, devices and the bundled weights."""
    with running("info"):
        from handseg.models.bundled import LITE_FOLDER
        from handseg.runtime.versions import versions

        for name, version in versions().items():
            _line(name, version)
        for index, device in enumerate(_devices()):
            _line("" if index else "devices", device)
        for name, value in _weights(LITE_FOLDER):
            _line(name, value)
        if find_spec("huggingface_hub"):
            from huggingface_hub import constants

            _line("cache", f"{constants.HF_HUB_CACHE} (models from the Hugging Face Hub)")


def _line(name: str, value: str) -> None:
    results.print(Text(f"{name:<14}{value}"), soft_wrap=True)


def _devices() -> Iterator[str]:
    """Yield torch's devices, its default first; without torch, only the CPU."""
    if not find_spec("torch"):
        from handseg.runtime.threads import available_cores

        yield f"cpu ({available_cores()} threads)"
        return
    import torch

    for index in range(torch.cuda.device_count()):
        yield f"cuda:{index} ({torch.cuda.get_device_name(index)})"
    if torch.backends.mps.is_available():
        yield "mps"
    yield f"cpu ({torch.get_num_threads()} threads)"


def _weights(folder: Path) -> Iterator[tuple[str, str]]:
    from safetensors import SafetensorError

    from handseg.models.sam.onnx import DECODER, ENCODER, has_graphs
    from handseg.prompts import PromptRecipe

    file = folder / "model.safetensors"
    if not file.is_file():
        yield "weights", f"none bundled: {file} is missing; name a model with --model"
        return
    yield "weights", str(file)
    try:
        yield "size", f"{file.stat().st_size / 1e6:.1f} MB"
        yield "sha256", hashlib.sha256(file.read_bytes()).hexdigest()[:12]
        if has_graphs(folder):
            yield "graphs", f"{ENCODER}, {DECODER}: ONNX Runtime runs them on the CPU by default"
        yield "parameters", f"{_parameters(file) / 1e6:.2f} million"
        yield "input", f"{_input_size(folder)} px"
        recipe = PromptRecipe.load(folder).to_dict()
        yield "recipe", ", ".join(f"{name}={value}" for name, value in recipe.items())
        yield "licence", _licence(folder)
    except (OSError, ValueError, LookupError, SafetensorError) as error:
        yield "", f"cannot be read: {reason(error)}"


def _parameters(file: Path) -> int:
    """Count the trained values in `file`, without batch norm statistics."""
    from safetensors import safe_open

    with safe_open(file, framework="np") as tensors:
        return sum(
            math.prod(tensors.get_slice(name).get_shape())
            for name in tensors.keys()  # noqa: SIM118
            if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        )


def _input_size(folder: Path) -> int:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config["prompt_encoder_config"]["image_size"]


def _licence(folder: Path) -> str:
    """Return the licence in the front matter of the model card."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    licences = [line for line in card.splitlines() if line.startswith("license:")]
    return f"{licences[0].split()[1]} (weights), see {folder.parent / 'NOTICE'}"
