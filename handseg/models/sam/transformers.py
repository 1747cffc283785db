"""SAM families of transformers as a mask model."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import transformers
from huggingface_hub import constants
from huggingface_hub.errors import StrictDataclassError
from huggingface_hub.utils import HFValidationError, validate_repo_id
from safetensors import SafetensorError

from handseg.errors import ModelError
from handseg.models.adapters import merge_adapter
from handseg.models.interface import Embeddings, check_crops, check_prompts, without_padding
from handseg.models.torch_common import (
    TorchEmbeddings,
    image_embeddings,
    own_embeddings,
    pick_device,
    pick_dtype,
    pixel_values,
)
from handseg.prompts.batch import PromptBatch
from handseg.runtime.files import move_all

logger = logging.getLogger(__name__)

_FAMILIES = {
    "sam": ("SamModel", "SamImageProcessor"),
    "sam_hq": ("SamHQModel", "SamImageProcessor"),
    "sam2": ("Sam2Model", "Sam2ImageProcessor"),
    "sam2_video": ("Sam2Model", "Sam2ImageProcessor"),
    "edgetam": ("EdgeTamModel", "Sam2ImageProcessor"),
    "edgetam_video": ("EdgeTamModel", "Sam2ImageProcessor"),
    "sam3_tracker": ("Sam3TrackerModel", "Sam3ImageProcessor"),
    "sam3_tracker_video": ("Sam3TrackerModel", "Sam3ImageProcessor"),
    "sam3_video": ("Sam3TrackerModel", "Sam3ImageProcessor"),
}
"""Classes by model_type. The hub's SAM 2, EdgeTAM and SAM 3 are stored as their video models."""

_CONFIG = "config.json"
_PROCESSOR_CONFIGS = ("preprocessor_config.json", "processor_config.json")


class TransformersMaskModel:
    """A transformers model for mask generation as a mask model.

    Attributes:
        model: the torch module.
        image_processor: transformers' image processor; only its normalisation is used.
    """

    def __init__(self, model: Any, image_processor: Any = None) -> None:
        """Wrap `model` on its device, in its own dtype, in evaluation mode.

        Args:
            model: a Sam, SamHQ, Sam2, EdgeTam or Sam3Tracker model.
            image_processor: its image processor; by default its family's.

        Raises:
            ModelError: if `model` is of an unknown family or its input is not square.
        """
        _, processor_class = _family(model.config.model_type, type(model).__name__)
        prompt_config = model.config.prompt_encoder_config
        self.model = model.eval()
        self.input_size = _side(prompt_config.image_size, "image_size")
        self.mask_size = 4 * (self.input_size // _side(prompt_config.patch_size, "patch_size"))
        if image_processor is None:
            image_processor = self._default_processor(processor_class)
        self.image_processor = image_processor

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        adapter: str | os.PathLike[str] | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> TransformersMaskModel:
        """Load a hub repository or a local folder; see `handseg.models.load_mask_model`.

        It does not use the network for a local folder, or if HF_HUB_OFFLINE is set.
        """
        target, kind = pick_device(device), pick_dtype(dtype)
        name = _check_name(name_or_path)
        local = Path(name).is_dir()
        model = _load_model(name, local)
        if adapter is not None:
            merge_adapter(model, adapter)
        # Channels-last weights make convolutions on a CPU 1.3 times faster; nothing else changes.
        model = model.to(device=target, dtype=kind).to(memory_format=torch.channels_last)
        return cls(model, _load_processor(name, local))

    def encode(self, crops: np.ndarray) -> TorchEmbeddings:
        """See `MaskModel.encode`."""
        check_crops(crops, self.input_size)
        with torch.inference_mode():
            return TorchEmbeddings(image_embeddings(self.model, self.pixel_values(crops)))

    def decode(self, embeddings: Embeddings, prompts: PromptBatch) -> tuple[np.ndarray, np.ndarray]:
        """See `MaskModel.decode`."""
        images = own_embeddings(embeddings)
        count = len(images)
        check_prompts(prompts, count, self.mask_size)
        logits = np.empty((count, self.mask_size, self.mask_size), np.float32)
        predicted_iou = np.empty(count, np.float32)
        with torch.inference_mode():
            for rows, group in without_padding(prompts):
                chosen = images if len(rows) == count else images[rows]
                output = self.model(
                    **chosen.tensors, **self._prompts(group), multimask_output=False
                )
                logits[rows] = output.pred_masks[:, 0, 0].float().cpu().numpy()
                predicted_iou[rows] = output.iou_scores[:, 0, 0].float().cpu().numpy()
        return logits, predicted_iou

    def pixel_values(self, crops: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Normalise `crops` (N, S, S, 3) uint8 RGB for the model: (N, 3, S, S)."""
        processor = self.image_processor
        unit = 1 / processor.rescale_factor if processor.do_rescale else 1.0
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        if processor.do_normalize:
            mean, std = processor.image_mean, processor.image_std
        return pixel_values(
            crops,
            [unit * value for value in mean],
            [unit * value for value in std],
            self.model.device,
            self.model.dtype,
        )

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write weights (safetensors), config and image processor, for `load_mask_model`.

        Other files in `folder` stay; files of the same name are replaced once all are written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".saving-") as temporary, _no_progress_bars():
            self.model.save_pretrained(temporary)
            self.image_processor.save_pretrained(temporary)
            fresh = Path(temporary)
            move_all(fresh, folder, [file.name for file in fresh.iterdir()])

    def _prompts(self, prompts: PromptBatch) -> dict[str, torch.Tensor]:
        device = self.model.device
        tensors = {}
        # Without points, omit the argument instead of passing an empty tensor, which the families
        # do not take for "no points".
        if prompts.points.shape[1] > 0:
            tensors["input_points"] = torch.from_numpy(prompts.points[:, None]).to(device)
            tensors["input_labels"] = torch.from_numpy(prompts.labels[:, None]).to(device)
        if prompts.boxes is not None:
            tensors["input_boxes"] = torch.from_numpy(prompts.boxes[:, None]).to(device)
        if prompts.masks is not None:
            masks = torch.from_numpy(prompts.masks[:, None])
            tensors["input_masks"] = masks.to(device, self.model.dtype)
        return tensors

    def _default_processor(self, name: str) -> Any:
        side, mask = self.input_size, self.mask_size
        square, mask_square = {"height": side, "width": side}, {"height": mask, "width": mask}
        processor = getattr(transformers, name)
        if name == "SamImageProcessor":
            return processor(
                size={"longest_edge": side},
                pad_size=square,
                mask_size={"longest_edge": mask},
                mask_pad_size=mask_square,
            )
        return processor(size=square, mask_size=mask_square)


def _check_name(name_or_path: str | os.PathLike[str]) -> str:
    """Return the folder or hub id as a string; raise ModelError if it is neither."""
    name = str(name_or_path)
    path = Path(name)
    if path.is_dir():
        if not (path / _CONFIG).is_file():
            raise ModelError(f"{name}: the folder has no {_CONFIG}, so it is not a saved model")
        return name
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ModelError(f"{name}: no such folder or file, and not a hub id either") from error
    return name


def _load_model(name: str, local: bool) -> Any:
    try:
        config = transformers.AutoConfig.from_pretrained(
            name, local_files_only=local, trust_remote_code=False
        )
    except OSError as error:
        raise _not_loaded(name, local, error) from error
    except (ValueError, StrictDataclassError) as error:
        raise ModelError(
            f"{name}: its {_CONFIG} is not one that transformers knows, expected a model_type of "
            f"{', '.join(_FAMILIES)}: {_first_line(error)}"
        ) from error
    model_class, _ = _family(config.model_type, name)
    try:
        with _no_progress_bars() if local else nullcontext():
            model, report = getattr(transformers, model_class).from_pretrained(
                name,
                config=config,
                dtype=torch.float32,
                local_files_only=local,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except OSError as error:
        raise _not_loaded(name, local, error) from error
    except (RuntimeError, ValueError, SafetensorError) as error:
        raise ModelError(f"{name}: the weights cannot be read: {error}") from error
    # transformers only logs these, and would continue with random weights instead.
    if mismatched := sorted(report["mismatched_keys"]):
        weight, stored, wanted = mismatched[0]
        raise ModelError(
            f"{name}: {len(mismatched)} weights do not fit {_CONFIG}, such as {weight}: "
            f"stored as {tuple(stored)}, expected {tuple(wanted)}"
        )
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"{name}: {len(missing)} of the model's weights are missing, such as {missing[0]}"
        )
    return model


def _load_processor(name: str, local: bool) -> Any:
    """Load the image processor saved with the model; None if there is none."""
    if local and not any((Path(name) / file).is_file() for file in _PROCESSOR_CONFIGS):
        return None
    try:
        return transformers.AutoImageProcessor.from_pretrained(
            name, local_files_only=local, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        if local:
            raise ModelError(f"{name}: its image processor cannot be loaded: {error}") from error
        logger.info("%s has no image processor, using its family's: %s", name, error)
        return None


def _not_loaded(name: str, local: bool, error: OSError) -> ModelError:
    # The message is enough; transformers chains up to five network errors below it.
    error.__cause__ = error.__context__ = None
    reason = _first_line(error)
    if local:
        return ModelError(f"{name}: the folder does not hold a complete model: {reason}")
    place = "in the local cache alone (HF_HUB_OFFLINE is set)"
    if not constants.HF_HUB_OFFLINE:
        place = f"on {constants.ENDPOINT}"
    return ModelError(
        f"{name}: not a local folder, and not found when looked for {place}: {reason}"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _family(model_type: str, name: str) -> tuple[str, str]:
    if model_type not in _FAMILIES:
        raise ModelError(
            f"{name}: model_type is {model_type!r}, expected one of {', '.join(_FAMILIES)}"
        )
    return _FAMILIES[model_type]


def _side(size: int | list[int] | tuple[int, ...], field: str) -> int:
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise ModelError(f"prompt_encoder_config.{field}: expected a square, got {size}")
    return sides.pop()


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Hide transformers' progress bars, which are useful for downloads but not for local files."""
    logging_of = transformers.utils.logging
    enabled = logging_of.is_progress_bar_enabled()
    logging_of.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging_of.enable_progress_bar()
