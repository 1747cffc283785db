"""Export SAM-family models as two ONNX graphs, for `handseg.models.sam.onnx` and other programs.

    encoder.onnx  crops (N, S, S, 3) uint8 RGB -> embeddings
    decoder.onnx  embeddings, points (N, P, 2) float32 x, y in px of the crop, labels (N, P) int64,
                  masks (N, M, M) float32, has_mask (N,) float32
                  -> logits (N, M, M) float32, predicted_iou (N,) float32

N and P are dynamic. Boxes are points, too: label 0 is off the object, 1 on it, 2 and 3 are a box's
first and last corner, -1 is the padding that the families add, see `Layout`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from handseg.errors import ModelError
from handseg.models.export.graph import write_graph
from handseg.models.sam.onnx import DECODER, ENCODER, METADATA, Layout, OnnxMaskModel
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.models.torch_common import image_embeddings
from handseg.prompts.batch import PromptBatch

TOLERANCE = 1e-3
"""Maximum difference of logits from torch's."""


def export_onnx(model: object, folder: str | os.PathLike[str]) -> float:
    """Write the two graphs of a model to `folder`, and compare them with torch.

    Weights that half precision represents exactly are stored in it; all arithmetic is float32.

    Args:
        model: a mask model of transformers, adapters merged, in float32 on the CPU.
        folder: an existing folder.

    Returns:
        The largest absolute difference from torch's logits, on random crops and prompts.

    Raises:
        ModelError: if `model` is of another kind, or the graphs' logits differ by more than
            `TOLERANCE`.
    """
    if not isinstance(model, TransformersMaskModel):
        raise ModelError("only models of transformers can be written as ONNX")
    folder = Path(folder)
    crops = _crops(model)
    with torch.inference_mode():
        embeddings = _flat(image_embeddings(model.model, model.pixel_values(crops)))
    names = list(embeddings)
    batch = torch.export.Dim("batch", min=1)
    write_graph(
        folder / ENCODER,
        _Encoder(model),
        {"crops": torch.from_numpy(crops)},
        {"crops": {0: batch}},
        names,
    )
    layout = Layout(
        model.input_size,
        model.mask_size,
        pads_boxes=model.model.config.model_type not in ("sam", "sam_hq"),
    )
    prompts = _token_prompts(model, len(crops))
    first = {0: batch}
    points = {0: batch, 1: torch.export.Dim("points", min=1)}
    shapes = {"points": points, "labels": points, "masks": first, "has_mask": first}
    write_graph(
        folder / DECODER,
        _Decoder(model.model, names),
        {"embeddings": list(embeddings.values()), **prompts},
        {"embeddings": [first] * len(names), **shapes},
        ["logits", "predicted_iou"],
        [*names, *prompts],
        {METADATA: json.dumps(asdict(layout))},
    )
    difference = _difference(model, OnnxMaskModel(folder))
    if not difference <= TOLERANCE:
        raise ModelError(
            f"the ONNX graphs differ from torch by {difference:.2g} logits, "
            f"expected at most {TOLERANCE:g}"
        )
    return difference


class _Encoder(torch.nn.Module):
    def __init__(self, model: TransformersMaskModel) -> None:
        super().__init__()
        self.model = model.model
        self._pixel_values = model.pixel_values

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(_flat(image_embeddings(self.model, self._pixel_values(crops))).values())


class _Decoder(torch.nn.Module):
    def __init__(self, model: Any, names: list[str]) -> None:
        super().__init__()
        self.model = model
        self._names = names

    def forward(
        self,
        embeddings: list[torch.Tensor],
        points: torch.Tensor,
        labels: torch.Tensor,
        masks: torch.Tensor,
        has_mask: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with _one_form(self.model.prompt_encoder, has_mask):
            output = self.model(
                **_grouped(dict(zip(self._names, embeddings, strict=True))),
                input_points=points[:, None],
                input_labels=labels[:, None],
                input_masks=masks[:, None],
                multimask_output=False,
            )
        return output.pred_masks[:, 0, 0], output.iou_scores[:, 0, 0]


@contextmanager
def _one_form(encoder: Any, has_mask: torch.Tensor) -> Iterator[None]:
    """Let a family's prompt encoder take all prompts in one form; see the module's docstring."""
    embed = encoder.point_embed  # One embedding for all labels, or in SAM 1 one per label.
    labels = [embed.weight] if hasattr(embed, "weight") else [one.weight for one in embed]
    kinds = torch.cat([encoder.not_a_point_embed.weight, *labels])
    side = encoder.input_image_size

    def forward(
        input_points: torch.Tensor,
        input_labels: torch.Tensor,
        input_boxes: None,
        input_masks: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        places = encoder.shared_embedding(input_points + 0.5, (side, side))
        is_place = (input_labels >= 0)[..., None]
        sparse = torch.where(is_place, places, 0.0) + kinds[input_labels + 1]
        without = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        with_mask = encoder.mask_embed(input_masks)
        return sparse, torch.where(has_mask[:, None, None, None] > 0, with_mask, without)

    encoder.forward = forward
    try:
        yield
    finally:
        del encoder.forward


def _flat(embeddings: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Give every tensor its own name: those of a list become NAME.0, NAME.1 and so on."""
    flat: dict[str, torch.Tensor] = {}
    for name, value in embeddings.items():
        if isinstance(value, list):
            flat |= {f"{name}.{index}": one for index, one in enumerate(value)}
        else:
            flat[name] = value
    return flat


def _grouped(flat: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The inverse of `_flat`."""
    embeddings: dict[str, Any] = {}
    for name, value in flat.items():
        group, of_list, _ = name.partition(".")
        if of_list:
            embeddings.setdefault(group, []).append(value)
        else:
            embeddings[name] = value
    return embeddings


def _crops(model: TransformersMaskModel) -> np.ndarray:
    side = model.input_size
    return np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)


def _token_prompts(model: TransformersMaskModel, count: int) -> dict[str, torch.Tensor]:
    """Example inputs for tracing the decoder's graph."""
    points = torch.rand(count, 5, 2) * model.input_size
    labels = torch.tensor([[1, 0, 2, 3, -1]]).repeat(count, 1)
    masks = torch.zeros(count, model.mask_size, model.mask_size)
    return {"points": points, "labels": labels, "masks": masks, "has_mask": torch.ones(count)}


def _difference(model: TransformersMaskModel, graphs: OnnxMaskModel) -> float:
    """Largest difference between the logits of both, for points, boxes and masks."""
    crops = _crops(model)
    random = np.random.default_rng(1)
    side, mask_side = model.input_size, model.mask_size
    points = (random.random((2, 3, 2)) * side).astype(np.float32)
    labels = np.array([[1, 0, 1]] * 2, np.int64)
    boxes = np.array([[0.2, 0.2, 0.8, 0.7]] * 2, np.float32) * side
    masks = random.normal(0, 4, (2, mask_side, mask_side)).astype(np.float32)
    expected, embedded = model.encode(crops), graphs.encode(crops)
    largest = 0.0
    for box, mask in ((None, None), (boxes, None), (boxes, masks)):
        prompts = PromptBatch(points, labels, box, mask)
        one, _ = model.decode(expected, prompts)
        other, _ = graphs.decode(embedded, prompts)
        largest = max(largest, float(np.abs(one - other).max()))
    return largest
