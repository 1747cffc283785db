"""Semantic segmentation networks for whole photos: the baselines, for use in a segmenter."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import cv2
import numpy as np

from handseg.errors import ModelError
from handseg.models.semantic.config import NetworkConfig
from handseg.runtime.files import move_all

if TYPE_CHECKING:
    import torch

MODEL_TYPE = "handseg-semantic"
CONFIG, WEIGHTS = "config.json", "model.safetensors"


def stretch(picture: np.ndarray, side: int) -> np.ndarray:
    """Resize a picture or mask, (H, W) or (H, W, C), to `side` x `side` px, as in training."""
    shrinks = min(picture.shape[:2]) >= side
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(picture, (side, side), interpolation=how)


def is_semantic(folder: str | os.PathLike[str]) -> bool:
    """Whether `folder` holds what `SemanticModel.save_pretrained` writes."""
    try:
        values = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("model_type") == MODEL_TYPE


class SemanticModel:
    """A network with its pre- and postprocessing: resizing, filters, normalisation, opening.

    Args:
        network: made by `handseg.models.semantic.networks.build_network`; put into evaluation
            mode.
        config: the configuration that it was made with.

    Attributes:
        classes: classes of the channels of `probabilities`, "hand" first.
    """

    def __init__(self, network: torch.nn.Module, config: NetworkConfig) -> None:
        from handseg.models.semantic.networks import statistics

        self.network, self.config = network.eval(), config
        self.classes = config.classes
        mean, std = statistics(config.encoder)
        self._mean, self._std = ([255 * value for value in values] for values in (mean, std))

    @classmethod
    def from_pretrained(
        cls,
        folder: str | os.PathLike[str],
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> SemanticModel:
        """Load a model saved by `save_pretrained`.

        Raises:
            ModelError: if a file is missing, cannot be read or does not match the other.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from handseg.models.semantic.networks import build_network
        from handseg.models.torch_common import pick_device, pick_dtype

        folder = Path(folder)
        try:
            values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            values.pop("model_type", None)
            config = NetworkConfig(**values)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{folder / CONFIG}: not a network's configuration: {error}"
            ) from error
        network = build_network(config)
        try:
            network.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"{folder / WEIGHTS}: not this network's weights: {reason}") from error
        return cls(network.to(device=pick_device(device), dtype=pick_dtype(dtype)), config)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write configuration and weights to `folder`; other files in it stay."""
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
            fresh = Path(temporary)
            weights = {
                name: tensor.detach().cpu().contiguous()
                for name, tensor in self.network.state_dict().items()
            }
            save_file(weights, fresh / WEIGHTS)
            text = json.dumps({"model_type": MODEL_TYPE, **asdict(self.config)}, indent=2)
            (fresh / CONFIG).write_text(text + "\n", encoding="utf-8")
            move_all(fresh, folder, (WEIGHTS, CONFIG))

    def pixel_values(self, images: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Normalise `images` (N, S, S, 3) uint8 RGB, already filtered, as (N, 3, S, S) input."""
        from handseg.models.torch_common import pixel_values

        first = next(self.network.parameters())
        pixels = pixel_values(images, self._mean, self._std, first.device, first.dtype)
        # On a CPU, torch 2.14 crashes in the backward pass of convolutions with few channels in
        # channels-last order.
        return pixels.contiguous()

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Predict the probability of each class for each pixel of `image` (H, W, 3) uint8 RGB.

        Returns:
            (classes, H, W) float32 in 0..1.
        """
        import torch

        from handseg.models.semantic.preprocess import preprocess

        view = preprocess(stretch(image, self.config.image_size), self.config.preprocess)
        with torch.inference_mode():
            logits = self.network(self.pixel_values(view[None]))[0]
        found = logits.float().sigmoid().cpu().numpy()
        if self.config.opening:
            square = np.ones((self.config.opening,) * 2, np.uint8)
            found = np.stack([cv2.morphologyEx(one, cv2.MORPH_OPEN, square) for one in found])
        size = image.shape[1], image.shape[0]
        return np.stack([cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in found])
