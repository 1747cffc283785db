"""SAM-family models behind one narrow interface."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from handseg.errors import ModelError
from handseg.models.adapters import base_of_adapter, is_adapter
from handseg.models.carried import home
from handseg.models.interface import Embeddings, MaskModel

if TYPE_CHECKING:
    import torch

__all__ = ["Embeddings", "MaskModel", "load_mask_model"]


def load_mask_model(
    name_or_path: str | os.PathLike[str],
    adapter: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
) -> MaskModel:
    """Load a SAM-family model for inference.

    Args:
        name_or_path: "handseg-lite", carried by the package; id of a Hugging Face Hub repository or
            a local folder, of a model that transformers' AutoModelForMaskGeneration offers; a
            checkpoint file of the original segment-anything package; or the folder of a PEFT
            adapter that names its base model.
        adapter: hub id or folder of a PEFT adapter for the model or its mask decoder.
        device: where to run; by default CUDA if there is one, else MPS, else the CPU.
        dtype: floating point type to run in, float32 by default.

    Raises:
        ModelError: there is no such model, it is of no known family, or the adapter does not fit.
    """
    name_or_path = home(name_or_path)
    path = Path(name_or_path)
    if is_adapter(path):
        if adapter is not None:
            raise ModelError(
                f"{path} is an adapter itself: the adapter {str(adapter)!r} needs a base model"
            )
        return load_mask_model(base_of_adapter(path), path, device, dtype)
    if path.is_file() or path.suffix in (".pth", ".pt"):
        if adapter is not None:
            raise ModelError(
                f"adapter: cannot be used on {path}, an original segment-anything checkpoint; "
                "use the same model in transformers' form, such as facebook/sam-vit-base"
            )
        from handseg.models.segment_anything import SegmentAnythingMaskModel

        return SegmentAnythingMaskModel.from_checkpoint(path, device, dtype)

    from handseg.models.transformers_sam import TransformersMaskModel

    return TransformersMaskModel.from_pretrained(name_or_path, adapter, device, dtype)
