"""Code shared by the two PyTorch implementations of a mask model."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from handseg.errors import ModelError
from handseg.models.interface import Embeddings

if hasattr(os, "register_at_fork"):
    # OpenMP would wait for threads that do not exist in the forked process.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


@dataclass(frozen=True)
class TorchEmbeddings:
    """Encoder outputs by the names of the decoder's arguments; the first axis is the crops'."""

    tensors: dict[str, torch.Tensor | list[torch.Tensor]]

    def __len__(self) -> int:
        first = next(iter(self.tensors.values()))
        return len(first[0] if isinstance(first, list) else first)

    def __getitem__(self, rows: slice | np.ndarray) -> TorchEmbeddings:
        return TorchEmbeddings(
            {
                name: [tensor[rows] for tensor in value] if isinstance(value, list) else value[rows]
                for name, value in self.tensors.items()
            }
        )


def own_embeddings(embeddings: Embeddings) -> TorchEmbeddings:
    """Return `embeddings`; raise TypeError if another kind of model made them."""
    if not isinstance(embeddings, TorchEmbeddings):
        raise TypeError(
            f"embeddings: expected what encode() of this model returned, got {type(embeddings)}"
        )
    return embeddings


def pick_device(device: str | torch.device | None) -> torch.device:
    """Return `device`, or the best one of this machine: CUDA, then Apple's MPS, then the CPU.

    Raises:
        ModelError: if there is no device of that name.
    """
    if device is not None:
        try:
            return torch.device(device)
        except RuntimeError as error:
            raise ModelError(f"device must be cpu, cuda, cuda:1 or mps, got {device!r}") from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    """Return the floating-point type of that name ("bfloat16"), float32 for None."""
    if dtype is None:
        return torch.float32
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype: expected float32, float16 or bfloat16, got {dtype!r}")
    return found


def pixel_values(
    crops: np.ndarray | torch.Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device,
    dtype: torch.dtype,
) -> torch.Tensor:
    """`crops` (N, S, S, 3) uint8 RGB -> (N, 3, S, S), with `mean` and `std` in units of 0..255."""
    if isinstance(crops, np.ndarray):
        crops = torch.from_numpy(np.ascontiguousarray(crops))
    images = crops.to(device).permute(0, 3, 1, 2).float()
    offset, scale = (torch.tensor(tuple(v), device=device).view(1, 3, 1, 1) for v in (mean, std))
    return ((images - offset) / scale).to(dtype)


def image_embeddings(
    model: Any, pixels: torch.Tensor
) -> dict[str, torch.Tensor | list[torch.Tensor]]:
    """Embed `pixels` (N, 3, S, S) with a transformers SAM-family `model`, by argument name.

    Gradients flow, if they are enabled.
    """
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    # transformers wraps the method in torch.no_grad, which would hide the encoder from training.
    embedded = inspect.unwrap(type(model).get_image_embeddings)(model, pixels)
    if not isinstance(embedded, tuple):
        return {"image_embeddings": embedded}
    images, intermediate = embedded
    # SAM-HQ's decoder only reads the first of its encoder's intermediate embeddings.
    return {"image_embeddings": images, "intermediate_embeddings": list(intermediate[:1])}
