"""Export of models to the format of the original segment-anything package."""

from __future__ import annotations

import os
import re
from typing import Any

import torch

from handseg.errors import ModelError
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.runtime.files import write_atomic

_ORIGINAL_NAMES = (
    (r"^shared_image_embedding\.|^prompt_encoder\.shared_embedding\.", "prompt_encoder.pe_layer."),
    (r"\.positional_embedding$", ".positional_encoding_gaussian_matrix"),
    (r"^vision_encoder\.layers\.", "image_encoder.blocks."),
    (r"^vision_encoder\.", "image_encoder."),
    (r"patch_embed\.projection", "patch_embed.proj"),
    (r"neck\.conv1", "neck.0"),
    (r"neck\.layer_norm1", "neck.1"),
    (r"neck\.conv2", "neck.2"),
    (r"neck\.layer_norm2", "neck.3"),
    (r"\.point_embed\.", ".point_embeddings."),
    (r"mask_embed\.conv1", "mask_downscaling.0"),
    (r"mask_embed\.layer_norm1", "mask_downscaling.1"),
    (r"mask_embed\.conv2", "mask_downscaling.3"),
    (r"mask_embed\.layer_norm2", "mask_downscaling.4"),
    (r"mask_embed\.conv3", "mask_downscaling.6"),
    (r"upscale_conv1", "output_upscaling.0"),
    (r"upscale_layer_norm", "output_upscaling.1"),
    (r"upscale_conv2", "output_upscaling.3"),
    (r"(hypernetworks_mlps\.\d+|iou_prediction_head)\.layers\.0", r"\1.layers.1"),
    (r"(hypernetworks_mlps\.\d+|iou_prediction_head)\.proj_in", r"\1.layers.0"),
    (r"(hypernetworks_mlps\.\d+|iou_prediction_head)\.proj_out", r"\1.layers.2"),
    (r"layer_norm_final_attn", "norm_final_attn"),
    (r"\.layer_norm(\d)", r".norm\1"),
)


def save_segment_anything(model: object, path: str | os.PathLike[str]) -> None:
    """Write a checkpoint for `segment_anything.sam_model_registry`, atomically.

    Args:
        model: the `MaskModel` of a SAM 1 of transformers.
        path: path of the file, which should end in .pth.

    Raises:
        ModelError: if `model` is of another kind.
        ImageError: if `path` is a folder.
    """
    if not isinstance(model, TransformersMaskModel):
        raise ModelError("the model is not one of transformers, but an original checkpoint already")
    if (family := model.model.config.model_type) != "sam":
        raise ModelError(
            f"model_type is {family!r}: segment-anything loads SAM 1 models alone, such as "
            "facebook/sam-vit-base"
        )
    tensors = {name: tensor.cpu() for name, tensor in segment_anything_tensors(model.model).items()}
    with write_atomic(path) as temporary:
        torch.save(tensors, temporary)


def segment_anything_tensors(model: Any) -> dict[str, torch.Tensor]:
    """The weights of a transformers SamModel under the names of the original package."""
    tensors = {}
    for name, tensor in model.state_dict().items():
        for pattern, replacement in _ORIGINAL_NAMES:
            name = re.sub(pattern, replacement, name)
        # The position embeddings' two names become one: they share a tensor.
        tensors[name] = tensor.contiguous()
    return tensors
