"""Loading SAM-family models behind one narrow interface."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from handseg.errors import ModelError
from handseg.models.adapter_graphs import NotKeptError, can_export, load_adapter_graphs
from handseg.models.adapters import base_of_adapter, is_adapter
from handseg.models.bundled import home
from handseg.models.interface import MaskModel
from handseg.models.sam.onnx import OnnxMaskModel, has_graphs
from handseg.runtime.extras import needing_extras

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

Backend: TypeAlias = Literal["onnx", "torch"]


def load_mask_model(
    name_or_path: str | os.PathLike[str],
    adapter: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    backend: Backend | None = None,
) -> MaskModel:
    """Load a SAM-family model for inference.

    If the folder has ONNX graphs, like the bundled model or one written by
    `handseg export --format onnx`, ONNX Runtime runs them on the CPU. Another device or a dtype
    needs torch, and the weights in the same folder. Without a GPU, an adapter for such a model runs
    as ONNX, too: its graphs are exported when it is first loaded, and cached, see
    `handseg.models.adapter_graphs`.

    Args:
        name_or_path: "handseg-lite", bundled with the package; the id of a Hugging Face Hub
            repository or a local folder with a model for AutoModelForMaskGeneration of
            transformers; a checkpoint file of the original segment-anything package; or the folder
            of a PEFT adapter that names its base model.
        adapter: hub id or folder of a PEFT adapter for the model or its mask decoder.
        device: default: the CPU for graphs; for torch, CUDA or MPS if there is one, else the CPU.
        dtype: floating-point type of the weights, float32 by default.
        backend: "onnx" or "torch"; by default chosen from the files and other arguments. "torch"
            keeps an adapter from being exported.

    Raises:
        ModelError: if there is no such model, its family is unknown, the adapter does not match, or
            there are no graphs or weights for `backend`.
        ValueError: if `backend` is unknown.
    """
    if backend not in (None, *get_args(Backend)):
        raise ValueError(f"backend must be 'onnx', 'torch' or None, got {backend!r}")
    name, name_or_path = name_or_path, home(name_or_path)
    path = Path(name_or_path)
    if is_adapter(path):
        if adapter is not None:
            raise ModelError(
                f"{path} is an adapter itself: the adapter {str(adapter)!r} needs a base model"
            )
        return load_mask_model(base_of_adapter(path), path, device, dtype, backend)
    for_torch = {"device": None if str(device) == "cpu" else device, "dtype": dtype}
    wants_torch = [name for name, value in for_torch.items() if value]
    if backend == "onnx" or (backend is None and has_graphs(path) and not wants_torch):
        if wants_torch:
            raise ModelError(
                f"{path}: with ONNX Runtime there is no {' and no '.join(wants_torch)}"
            )
        if adapter is None:
            return OnnxMaskModel(path)
        graphs = _with_adapter(path, adapter, device, required=backend == "onnx")
        if graphs is not None:
            return graphs
    if path.is_file() or path.suffix in (".pth", ".pt"):
        if adapter is not None:
            raise ModelError(
                f"adapter: cannot be used on {path}, an original segment-anything checkpoint; "
                "use the same model in transformers' form, such as facebook/sam-vit-base"
            )
        with needing_extras(str(path)):
            from handseg.models.sam.original import SegmentAnythingMaskModel

            return SegmentAnythingMaskModel.from_checkpoint(path, device, dtype)

    if has_graphs(path) and not (path / "config.json").is_file():
        wants_torch += ["adapter"] if adapter else []
        why = f" for {' and '.join(wants_torch)}" if wants_torch else ""
        raise ModelError(
            f"{path}: torch{why} needs the model's weights, but the folder has only ONNX graphs"
        )
    with needing_extras(str(name)):
        from handseg.models.sam.transformers import TransformersMaskModel

        return TransformersMaskModel.from_pretrained(name_or_path, adapter, device, dtype)


def _with_adapter(
    base: Path,
    adapter: str | os.PathLike[str],
    device: str | torch.device | None,
    required: bool,
) -> OnnxMaskModel | None:
    """Load an adapter's graphs for a base with graphs; None means torch, unless `required`."""
    if not (base / "config.json").is_file():
        if required:
            raise ModelError(f"{base}: an adapter needs the model's weights in a local folder")
        return None
    if not required and device is None and find_spec("torch"):
        from handseg.models.torch_common import pick_device

        if pick_device(None).type != "cpu":
            return None
    try:
        return load_adapter_graphs(base, adapter, export=required or can_export())
    except NotKeptError as error:
        if required:
            raise ModelError(str(error)) from error
        logger.warning("%s; it runs in torch", error)
        return None
