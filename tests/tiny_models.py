"""Tiny randomly initialised models of every SAM family, and prompts for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from handseg.models import MaskModel
from handseg.prompts.batch import IGNORED, PromptBatch

FAMILIES = ("sam", "sam_hq", "sam2", "edgetam", "sam3_tracker")

_WIDTH = 32
"""Channels of the prompt encoder, the mask decoder and the image embeddings."""


def tiny_model(family: str, seed: int = 0) -> Any:
    """Make a transformers model of `family`, about 50,000 random weights, in evaluation mode."""
    torch.manual_seed(seed)
    return _randomise(_BUILDERS[family]()).eval()


def save_tiny_model(family: str, folder: Path, seed: int = 0) -> Any:
    """Write `tiny_model(family, seed)` into `folder`, laid out like a hub repository."""
    model = tiny_model(family, seed)
    model.save_pretrained(folder)
    return model


def input_size(family: str) -> int:
    """Return the side of the tiny model's input, px."""
    return 56 if family == "sam3_tracker" else 64


def random_crops(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Return (count, size, size, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def random_prompts(
    count: int, size: int, points: int = 3, boxes: bool = True, seed: int = 0
) -> PromptBatch:
    """Make `count` rows of `points` points, alternately on and off the hand, and their box."""
    random = np.random.default_rng(seed)
    corners = np.sort(random.uniform(0, size - 1, (count, 2, 2)), axis=1).reshape(count, 4)
    return PromptBatch(
        points=random.uniform(0, size - 1, (count, points, 2)).astype(np.float32),
        labels=np.tile(1 - np.arange(points) % 2, (count, 1)).astype(np.int64),
        boxes=corners.astype(np.float32) if boxes else None,
    )


def fixed_logits(model: MaskModel) -> np.ndarray:
    """Return logits for a fixed pair of crops and prompts."""
    embeddings = model.encode(random_crops(2, model.input_size))
    return model.decode(embeddings, random_prompts(2, model.input_size))[0]


def padded(prompts: PromptBatch, extra: int) -> PromptBatch:
    """Return the same prompts with `extra` ignored points at the start of each row."""
    rows = len(prompts)
    return PromptBatch(
        points=np.concatenate([np.full((rows, extra, 2), 7, np.float32), prompts.points], axis=1),
        labels=np.concatenate([np.full((rows, extra), IGNORED), prompts.labels], axis=1),
        boxes=prompts.boxes,
        masks=prompts.masks,
    )


def _randomise(model: nn.Module) -> nn.Module:
    """Add noise to every weight, as several families initialise some to zero."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def _tiny_decoder() -> dict[str, Any]:
    return {
        "hidden_size": _WIDTH,
        "mlp_dim": 48,
        "num_attention_heads": 8,
        "iou_head_hidden_dim": _WIDTH,
    }


def _tiny_sam(prefix: str) -> Any:
    import transformers as t

    config = getattr(t, f"{prefix}Config")(
        vision_config=getattr(t, f"{prefix}VisionConfig")(
            hidden_size=24,
            output_channels=_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=3,
            image_size=64,
            patch_size=16,
            window_size=3,
            global_attn_indexes=[1],
            num_pos_feats=_WIDTH // 2,
            mlp_dim=40,
        ),
        prompt_encoder_config=getattr(t, f"{prefix}PromptEncoderConfig")(
            hidden_size=_WIDTH, image_size=64, patch_size=16
        ),
        mask_decoder_config=getattr(t, f"{prefix}MaskDecoderConfig")(
            **_tiny_decoder(), **({"vit_dim": 24} if prefix == "SamHQ" else {})
        ),
    )
    return getattr(t, f"{prefix}Model")(config)


def _tiny_sam2() -> Any:
    import transformers as t

    backbone = t.Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        image_size=[64, 64],
        window_positional_embedding_background_size=[4, 4],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 24, 32],
        num_attention_heads_per_stage=[1, 2, 2, 4],
        window_size_per_stage=[4, 4, 2, 2],
        global_attention_blocks=[3],
    )
    config = t.Sam2Config(
        vision_config=t.Sam2VisionConfig(
            backbone_config=backbone,
            backbone_channel_list=[32, 24, 16, 8],
            backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
            fpn_hidden_size=_WIDTH,
        ),
        prompt_encoder_config=t.Sam2PromptEncoderConfig(hidden_size=_WIDTH, image_size=64),
        mask_decoder_config=t.Sam2MaskDecoderConfig(**_tiny_decoder()),
    )
    return t.Sam2Model(config)


def _tiny_edgetam() -> Any:
    import timm
    import transformers as t

    architecture = "test_efficientnet"
    indices = [1, 2, 3, 4]
    timm_args = {"in_chans": 3, "features_only": True, "out_indices": indices}
    channels = timm.create_model(architecture, **timm_args).feature_info.channels()
    config = t.EdgeTamConfig(
        vision_config=t.EdgeTamVisionConfig(
            backbone_config=t.TimmWrapperConfig(architecture=architecture, model_args=timm_args),
            backbone_channel_list=channels[::-1],
            backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
            fpn_hidden_size=_WIDTH,
        ),
        prompt_encoder_config=t.EdgeTamPromptEncoderConfig(hidden_size=_WIDTH, image_size=64),
        mask_decoder_config=t.EdgeTamMaskDecoderConfig(
            **_tiny_decoder(), num_multimask_outputs=1, dynamic_multimask_via_stability=False
        ),
    )
    return t.EdgeTamModel(config)


def _tiny_sam3_tracker() -> Any:
    import transformers as t

    backbone = t.Sam3ViTConfig(
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        window_size=2,
        global_attn_indexes=[1],
        pretrain_image_size=28,
    )
    config = t.Sam3TrackerConfig(
        vision_config=t.Sam3VisionConfig(
            backbone_config=backbone,
            fpn_hidden_size=_WIDTH,
            backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        ),
        prompt_encoder_config=t.Sam3TrackerPromptEncoderConfig(hidden_size=_WIDTH, image_size=56),
        mask_decoder_config=t.Sam3TrackerMaskDecoderConfig(**_tiny_decoder()),
    )
    return t.Sam3TrackerModel(config)


_BUILDERS: dict[str, Callable[[], Any]] = {
    "sam": partial(_tiny_sam, "Sam"),
    "sam_hq": partial(_tiny_sam, "SamHQ"),
    "sam2": _tiny_sam2,
    "edgetam": _tiny_edgetam,
    "sam3_tracker": _tiny_sam3_tracker,
}
