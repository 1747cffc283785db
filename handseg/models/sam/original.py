"""Original segment-anything checkpoints (SAM 1) as a mask model."""

from __future__ import annotations

import os
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from handseg.errors import ModelError
from handseg.models.interface import Embeddings, check_crops, check_prompts
from handseg.models.torch_common import (
    TorchEmbeddings,
    own_embeddings,
    pick_device,
    pick_dtype,
    pixel_values,
)
from handseg.prompts.batch import IGNORED, PromptBatch

_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)

_DECODER_HEADS = 8
"""Attention heads of SAM's mask decoder: the only size not visible in the tensors' shapes."""


class SegmentAnythingMaskModel:
    """A `segment_anything.modeling.Sam` as a mask model."""

    def __init__(self, sam: Any, dtype: torch.dtype = torch.float32) -> None:
        """Wrap `sam` on its device, in evaluation mode.

        Args:
            sam: a `segment_anything.modeling.Sam` in float32.
            dtype: type that its image encoder is cast to. The prompt encoder and mask decoder stay
                as they are: they are written for float32 and take a small part of the time.
        """
        self.sam = sam.eval()
        self.sam.image_encoder.to(dtype)
        self.input_size: int = sam.image_encoder.img_size
        self.mask_size: int = sam.prompt_encoder.mask_input_size[0]
        self._dtype = dtype

    @classmethod
    def from_checkpoint(
        cls,
        path: str | os.PathLike[str],
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> SegmentAnythingMaskModel:
        """Load a `.pth` file; the size of SAM is detected from its tensors.

        Raises:
            ModelError: if there is no such file or it is not a SAM 1 checkpoint.
        """
        path = Path(path)
        if not path.is_file():
            raise ModelError(f"{path}: no such file")
        try:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
            raise ModelError(
                f"{path}: not a PyTorch checkpoint, or one that holds more than plain tensors"
            ) from error
        sam = build_sam(tensors, path).to(pick_device(device))
        return cls(sam, pick_dtype(dtype))

    def encode(self, crops: np.ndarray) -> TorchEmbeddings:
        """See `MaskModel.encode`."""
        check_crops(crops, self.input_size)
        with torch.inference_mode():
            pixels = pixel_values(crops, _MEAN, _STD, self.sam.device, self._dtype)
            return TorchEmbeddings({"image_embeddings": self.sam.image_encoder(pixels).float()})

    def decode(self, embeddings: Embeddings, prompts: PromptBatch) -> tuple[np.ndarray, np.ndarray]:
        """See `MaskModel.decode`."""
        images = own_embeddings(embeddings).tensors["image_embeddings"]
        check_prompts(prompts, len(images), self.mask_size)
        logits = np.empty((len(images), self.mask_size, self.mask_size), np.float32)
        predicted_iou = np.empty(len(images), np.float32)
        with torch.inference_mode():
            position = self.sam.prompt_encoder.get_dense_pe()
            # The original decoder takes many prompts for one image, not one prompt per image.
            for row, image in enumerate(images):
                sparse, dense = self.sam.prompt_encoder(*self._prompts(prompts, row))
                masks, iou = self.sam.mask_decoder(
                    image_embeddings=image[None],
                    image_pe=position,
                    sparse_prompt_embeddings=sparse,
                    dense_prompt_embeddings=dense,
                    multimask_output=False,
                )
                logits[row] = masks[0, 0].cpu().numpy()
                predicted_iou[row] = iou[0, 0].cpu().numpy()
        return logits, predicted_iou

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Always raise ModelError: the checkpoint already holds everything."""
        raise ModelError(
            "cannot save an original segment-anything checkpoint as a folder: copy its file, or "
            "load the same model in transformers' form, such as facebook/sam-vit-base"
        )

    def _prompts(self, prompts: PromptBatch, row: int) -> tuple[Any, Any, Any]:
        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array[None]).to(self.sam.device)

        kept = prompts.labels[row] != IGNORED
        return (
            (tensor(prompts.points[row, kept]), tensor(prompts.labels[row, kept]))
            if kept.any()
            else None,
            None if prompts.boxes is None else tensor(prompts.boxes[row]),
            None if prompts.masks is None else tensor(prompts.masks[row][None]),
        )


def build_sam(tensors: Any, path: Path) -> Any:
    """Build a Sam with the weights `tensors`; raise ModelError, naming `path`, if not SAM's."""
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        Sam,
        TwoWayTransformer,
    )

    if not isinstance(tensors, dict):
        raise ModelError(f"{path}: expected a dict of tensors, got a {type(tensors).__name__}")
    try:
        sizes = _architecture(tensors)
    except KeyError as error:
        raise ModelError(
            f"{path}: not a segment-anything (SAM 1) checkpoint, it has no tensor {error}"
        ) from error
    # Weights on the meta device take no time or memory until the checkpoint's replace them.
    with torch.device("meta"):
        sam = Sam(
            ImageEncoderViT(**sizes["encoder"], norm_layer=partial(torch.nn.LayerNorm, eps=1e-6)),
            PromptEncoder(**sizes["prompts"]),
            MaskDecoder(
                **sizes["decoder"],
                transformer=TwoWayTransformer(**sizes["transformer"], num_heads=_DECODER_HEADS),
            ),
        )
    if unknown := sorted(tensors.keys() ^ sam.state_dict().keys()):
        raise ModelError(
            f"{path}: a relative of segment-anything (SAM 1) but not the same: {len(unknown)} "
            f"tensors differ, such as {unknown[0]}"
        )
    try:
        sam.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise ModelError(f"{path}: its tensors' shapes do not fit each other: {error}") from error
    for name, value in (("pixel_mean", _MEAN), ("pixel_std", _STD)):
        sam.register_buffer(name, torch.tensor(value).view(3, 1, 1), persistent=False)
    return sam.float()


def _architecture(tensors: dict[str, torch.Tensor]) -> dict[str, dict[str, Any]]:
    """The constructor arguments of SAM's parts, from the shapes of its tensors."""

    def shape(name: str) -> torch.Size:
        return tensors[name].shape

    def depth(prefix: str) -> int:
        return len({n[len(prefix) :].split(".")[0] for n in tensors if n.startswith(prefix)})

    _, grid, _, width = shape("image_encoder.pos_embed")
    patch = shape("image_encoder.patch_embed.proj.weight")[-1]
    blocks = depth("image_encoder.blocks.")
    # A window of w patches has 2w - 1 relative positions; global attention has those of the grid.
    reach = [shape(f"image_encoder.blocks.{i}.attn.rel_pos_h") for i in range(blocks)]
    windows = {(length + 1) // 2 for length, _ in reach} - {grid}
    channels = shape("image_encoder.neck.0.weight")[0]
    decoder = "mask_decoder.transformer.layers"
    return {
        "encoder": {
            "img_size": grid * patch,
            "patch_size": patch,
            "embed_dim": width,
            "depth": blocks,
            "num_heads": width // reach[0][1],
            "mlp_ratio": shape("image_encoder.blocks.0.mlp.lin1.weight")[0] / width,
            "out_chans": channels,
            "use_rel_pos": True,
            "window_size": max(windows, default=0),
            "global_attn_indexes": [i for i, (n, _) in enumerate(reach) if n == 2 * grid - 1],
        },
        "prompts": {
            "embed_dim": channels,
            "image_embedding_size": (grid, grid),
            "input_image_size": (grid * patch, grid * patch),
            "mask_in_chans": shape("prompt_encoder.mask_downscaling.3.weight")[0],
        },
        "decoder": {
            "transformer_dim": channels,
            "num_multimask_outputs": shape("mask_decoder.mask_tokens.weight")[0] - 1,
            "iou_head_depth": depth("mask_decoder.iou_prediction_head.layers."),
            "iou_head_hidden_dim": shape("mask_decoder.iou_prediction_head.layers.0.weight")[0],
        },
        "transformer": {
            "depth": depth(f"{decoder}."),
            "embedding_dim": channels,
            "mlp_dim": shape(f"{decoder}.0.mlp.lin1.weight")[0],
            "attention_downsample_rate": channels
            // shape(f"{decoder}.0.cross_attn_token_to_image.q_proj.weight")[0],
        },
    }
