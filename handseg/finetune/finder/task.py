"""Train the hand finder: the task of `python -m handseg.finetune.finder`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from handseg.errors import TrainingError
from handseg.finetune.backbones import freeze_batch_norms
from handseg.finetune.finder.calibration import RIGHT, fit_logistic, rescale
from handseg.finetune.finder.close_ups import CloseUps
from handseg.finetune.finder.export import export, read_weights
from handseg.finetune.finder.network import FinderNetwork
from handseg.finetune.finder.photos import FinderPhoto, boxed, empty, masked, rendered
from handseg.finetune.finder.samples import PASTED, FinderSamples
from handseg.finetune.finder.settings import FinderConfig
from handseg.finetune.finder.targets import finder_loss
from handseg.finetune.sampler import EpochSampler, Item
from handseg.finetune.task import Task
from handseg.landmarks.boxes import box_iou
from handseg.landmarks.finder import BUNDLED_FINDER, STRIDE, decode
from handseg.runtime.run_folder import CACHE

WEIGHTS, GRAPH = "model.safetensors", "finder.onnx"
CARRIED = BUNDLED_FINDER.parent.name
SHOWN = 0.3
"""Least score of a box that counts in validation."""


class FinderTask(Task):
    """See `handseg.finetune.task.Task`. Validates and saves averaged weights.

    Raises:
        TrainingError: if the folder to start from is not a run.
    """

    step: _Step
    validation: FinderSamples | CloseUps

    def __init__(self, config: FinderConfig, output: Path, accelerator: Any) -> None:
        from accelerate.utils import set_seed
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        self._config = config
        set_seed(config.seed)
        with accelerator.main_process_first():
            # One process finds the landmarks; the others read them.
            samples, self.validation = load_samples(config, output / CACHE)
        self.training = EpochSampler(samples, config.epoch_samples, config.epochs, config.seed)
        network = _start(config).to(accelerator.device)
        network.to(memory_format=torch.channels_last)  # On a CPU, steps take half the time.
        self.step = _Step(network)
        self._averaged = AveragedModel(
            network, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True
        )
        self.checkpointed = (self._averaged,)

    def start_training(self) -> None:
        self.step.train()
        freeze_batch_norms(self.step.network.stem)
        freeze_batch_norms(self.step.network.blocks)

    def after_step(self) -> None:
        self._averaged.update_parameters(self.step.network)

    def score(self, batch: Item) -> torch.Tensor:
        """IoU summed over found hands / (hands + false positives); 1 if there are neither."""
        self._averaged.eval()
        maps = self._averaged(normalise(batch["pixels"])).float().cpu().numpy()
        scores = []
        for index, one in enumerate(maps):
            true = _boxes(batch["values"][index].cpu().numpy())
            ignored = batch["weight"][index].cpu().numpy() == 0
            found = [hand.box for hand in decode(one, SHOWN) if not _on(ignored, hand.box)]
            scores.append(_agreement(np.array(found).reshape(-1, 4), true))
        return torch.tensor(scores, device=batch["pixels"].device)

    def save(self, output: Path) -> None:
        network = self._averaged.module
        weights = {name: one.cpu().contiguous() for name, one in network.state_dict().items()}
        save_file(weights, output / WEIGHTS)

    def finish(self, output: Path) -> None:
        """Write the best epoch's graph, its scores calibrated on the validation pictures."""
        network = finished(self._config, output)
        logits, right = found_boxes(network, self.validation)
        slope, offset = fit_logistic(logits, right)
        rescale(network, slope, offset)
        export(network, output / GRAPH)
        print(f"scores calibrated: logit times {slope:.3f}, plus {offset:.3f}")


class _Step(torch.nn.Module):
    def __init__(self, network: FinderNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Item, number: int) -> torch.Tensor:
        return finder_loss(self.network(normalise(batch["pixels"])), batch)


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Scale (N, 3, H, W) uint8 to float32 in -1..1, the input of EfficientNet-Lite."""
    return pixels.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1


@torch.no_grad()
def found_boxes(
    network: FinderNetwork, samples: FinderSamples | CloseUps
) -> tuple[np.ndarray, np.ndarray]:
    """Return the logit of each box found in `samples` and whether it is right, both (N,)."""
    logits, right = [], []
    for index in range(len(samples)):
        item = samples[index]
        maps = network(normalise(item["pixels"][None]))[0].numpy()
        true, ignored = _boxes(item["values"].numpy()), item["weight"].numpy() == 0
        taken = np.zeros(len(true), bool)
        for hand in decode(maps, 0.01):
            if _on(ignored, hand.box):
                continue
            overlap = box_iou(hand.box[None], true)[0] * ~taken
            hit = bool(len(true)) and overlap.max() >= RIGHT
            if hit:
                taken[overlap.argmax()] = True
            logits.append(np.log(hand.detection_score / (1 - hand.detection_score)))
            right.append(hit)
    return np.array(logits), np.array(right, bool)


def load_samples(
    config: FinderConfig, cache: Path
) -> tuple[FinderSamples, FinderSamples] | tuple[CloseUps, CloseUps]:
    """Return the training and the validation images, which share no photo.

    Landmarks found on masked photos are kept in the folder `cache`.

    Raises:
        TrainingError: if either has no images, or a folder has none.
    """
    data = config.data
    root, photos = Path(data.root), list[FinderPhoto]()
    for folders, read in (
        (data.rendered, rendered),
        (data.boxes, boxed),
        (data.masked, partial(masked, cache=cache)),
        (data.empty, empty),
    ):
        for folder in folders:
            found = list(read(root, folder))
            if not found:
                raise TrainingError(f"data: {root / folder} has no pictures that can be used")
            photos += found
    weights = {**data.rendered, **data.boxes, **data.masked, **data.empty, PASTED: data.pasted}
    parts: tuple[list[FinderPhoto], list[FinderPhoto]] = [], []
    for photo in photos:
        parts[photo.id.startswith(data.held_out)].append(photo)
    for part, purpose in zip(parts, ("train", "validate"), strict=True):
        if not part:
            raise TrainingError(f"data: no pictures are left to {purpose} on")
    shape = config.image_size, config.rotation
    training = FinderSamples(parts[0], weights, *shape, config.seed)
    validation = FinderSamples(
        parts[1], weights, *shape, config.seed + 1, config.validation_samples
    )
    if config.close_ups:
        return CloseUps(training), CloseUps(validation)
    return training, validation


def finished(config: FinderConfig, output: Path) -> FinderNetwork:
    """The network of the run in `output`, averaged with its start by `config.init_share`."""
    network = FinderNetwork().eval()
    weights = load_file(output / WEIGHTS)
    if config.init_share:
        for name, before in _start(config).state_dict().items():
            if before.is_floating_point():
                weights[name] = torch.lerp(weights[name], before, config.init_share)
    network.load_state_dict(weights)
    return network


def _start(config: FinderConfig) -> FinderNetwork:
    network = FinderNetwork()
    if config.init is None:
        network.load_imagenet_weights()
    elif config.init == CARRIED:
        network.load_state_dict(read_weights(BUNDLED_FINDER))
    elif (weights := Path(config.init) / WEIGHTS).is_file():
        network.load_state_dict(load_file(weights))
    else:
        raise TrainingError(f"init must be a folder that a run wrote, no such file: {weights}")
    network.freeze_early()
    return network


def _boxes(values: np.ndarray) -> np.ndarray:
    """Return the true boxes in maps of `target_maps`, (K, 4) xyxy px."""
    rows, columns = np.nonzero(~np.isnan(values[0]))
    width, height, x, y = values[:4, rows, columns]
    middle = (np.stack([x + columns, y + rows], 1) + 0.5) * STRIDE - 0.5
    half = np.exp(np.stack([width, height], 1)) * STRIDE / 2
    return np.concatenate([middle - half, middle + half], 1)


def _on(ignored: np.ndarray, box: np.ndarray) -> bool:
    column, row = np.clip(
        ((box[:2] + box[2:]) / 2 / STRIDE).astype(int), 0, np.array(ignored.shape[::-1]) - 1
    )
    return bool(ignored[row, column])


def _agreement(found: np.ndarray, true: np.ndarray) -> float:
    if not len(found) and not len(true):
        return 1.0
    if not len(found) or not len(true):
        return 0.0
    overlap = box_iou(found, true)
    total, matched = 0.0, 0
    for _ in range(min(overlap.shape)):
        best = np.unravel_index(overlap.argmax(), overlap.shape)
        if overlap[best] < 0.3:
            break
        total, matched = total + float(overlap[best]), matched + 1
        overlap[best[0]], overlap[:, best[1]] = 0, 0
    return total / (len(found) + len(true) - matched)
