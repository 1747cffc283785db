"""The views of a run, and the frozen encoder's features of them, cached on disk."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.utils.data import Dataset

from handseg.errors import RunMismatch, TrainingError
from handseg.finetune.lora.augment import Augmentation, plain_view, varied_view
from handseg.finetune.lora.hands import TrainingHand
from handseg.finetune.sampler import Item
from handseg.prompts import PromptRecipe
from handseg.runtime.files import give_usual_rights, write_atomic
from handseg.runtime.run_folder import RunFolder

SHARD = 64
"""Views per file: about 100 MB for handseg-lite and SAM alike."""
_SOFTWARE = ("handseg", "torch", "transformers", "mediapipe", "opencv")
"""Software that views and features depend on."""
_HALF = ("target", "skeleton")
"""Tensors stored in half precision, besides the features."""


class AugmentedHands(Dataset[Item]):
    """The views of each hand in turn: view v of a hand is item `hand * views + v`.

    An item is from `Sample.tensors`. It depends only on the hand, the view and the seed.
    """

    def __init__(
        self,
        hands: Sequence[TrainingHand],
        recipe: PromptRecipe,
        size: int,
        augmentation: Augmentation,
        views: int,
        seed: int,
    ) -> None:
        self.hands, self.recipe, self.size = hands, recipe, size
        self.augmentation, self.views, self.seed = augmentation, views, seed

    def __len__(self) -> int:
        return len(self.hands) * self.views

    def __getitem__(self, index: int) -> Item:
        hand, view = divmod(index, self.views)
        if view == 0:
            sample = plain_view(self.hands[hand], self.recipe, self.size)
        else:
            rng = np.random.default_rng([self.seed, hand, view])
            sample = varied_view(self.hands[hand], self.recipe, self.size, self.augmentation, rng)
        return sample.tensors()


class FeatureCache(Dataset[Item]):
    """The items of `AugmentedHands` with "embeddings" in place of "image", in safetensors files.

    Args:
        folder: cache folder.
        count: number of views.
        signature: all that the features depend on, JSON-serialisable.
        replace: delete features with another signature.

    Raises:
        TrainingError: if the folder holds features with another signature.
    """

    def __init__(
        self, folder: Path, count: int, signature: Mapping[str, Any], replace: bool = False
    ) -> None:
        self.folder, self.count = folder, count
        try:
            self._run = RunFolder(folder, signature)
        except RunMismatch as error:
            if not replace:
                raise TrainingError(
                    f"cached features: {error}, as cache_dir, or delete this one"
                ) from error
            shutil.rmtree(folder)
            self._run = RunFolder(folder, signature)
        self._open: dict[int, Any] = {}

    def fill(
        self,
        views: AugmentedHands,
        encode: Callable[[np.ndarray], dict[str, Any]],
        shards: Iterable[int],
        batch: int = 8,
    ) -> None:
        """Write the missing ones of `shards`.

        `encode` takes (N, S, S, 3) uint8 and returns the decoder's inputs by argument name.
        """
        self._run.claim()
        for shard in shards:
            if self._path(shard).is_file():
                continue
            tensors: dict[str, torch.Tensor] = {}
            rows = range(shard * SHARD, min(self.count, (shard + 1) * SHARD))
            for start in range(rows.start, rows.stop, batch):
                chunk = [views[row] for row in range(start, min(start + batch, rows.stop))]
                encoded = encode(np.stack([item.pop("image").numpy() for item in chunk]))
                for place, item in enumerate(chunk):
                    features = _flatten(encoded, place)
                    for name, value in {**item, **features}.items():
                        half = name in _HALF or name in features
                        tensor = value.to("cpu", torch.float16 if half else value.dtype)
                        tensors[f"{start + place}.{name}"] = tensor.contiguous()
            if not all(tensor.isfinite().all() for tensor in tensors.values()):
                raise TrainingError("the encoder's features exceed half precision: use cache=false")
            with write_atomic(self._path(shard)) as temporary:
                save_file(tensors, temporary)
                give_usual_rights(temporary)

    @property
    def shards(self) -> range:
        """Indices of the files."""
        return range(-(-self.count // SHARD))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Item:
        file, names = self._file(index // SHARD)
        stored = {name: file.get_tensor(f"{index}.{name}") for name in names}
        item: Item = {}
        for name, tensor in stored.items():
            if "/" not in name:
                item[name] = tensor.float() if name in _HALF else tensor
        return {**item, "embeddings": _unflatten(stored)}

    def _path(self, shard: int) -> Path:
        return self.folder / f"features-{shard:05d}.safetensors"

    def _file(self, shard: int) -> tuple[Any, list[str]]:
        """Return an open file and the names of an item's tensors, the same for the whole run."""
        if shard not in self._open:
            try:
                file = safe_open(self._path(shard), framework="pt")
                start = f"{shard * SHARD}."
                names = [key.removeprefix(start) for key in file.keys() if key.startswith(start)]  # noqa: SIM118
                self._open[shard] = file, names
            except (OSError, SafetensorError) as error:
                raise TrainingError(
                    f"{self._path(shard)} cannot be read, delete it and start again: {error}"
                ) from error
        return self._open[shard]

    def __getstate__(self) -> dict[str, Any]:
        # Open files cannot be sent to a worker process.
        return {**self.__dict__, "_open": {}}


def _flatten(encoded: Mapping[str, Any], place: int) -> dict[str, torch.Tensor]:
    """Take row `place` of each tensor, named "name/-1", or "name/i" in a list of tensors."""
    flat: dict[str, torch.Tensor] = {}
    for name, value in encoded.items():
        if isinstance(value, list):
            flat |= {f"{name}/{index}": tensor[place] for index, tensor in enumerate(value)}
        else:
            flat[f"{name}/-1"] = value[place]
    return flat


def _unflatten(stored: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Invert `_flatten`, in full precision."""
    encoded: dict[str, Any] = {}
    places = sorted((name.split("/") for name in stored if "/" in name), key=lambda n: int(n[1]))
    for name, place in places:
        tensor = stored[f"{name}/{place}"].float()
        if place == "-1":
            encoded[name] = tensor
        else:
            encoded.setdefault(name, []).append(tensor)
    return encoded


def signature(views: AugmentedHands, model: torch.nn.Module) -> dict[str, Any]:
    """Return all that the features of `views` depend on, by name."""
    from handseg.runtime.versions import versions

    data = hashlib.sha256()
    for hand in views.hands:
        marks = b"" if hand.landmarks is None else hand.landmarks.tobytes()
        data.update(hand.digest().encode() + marks)
    weights = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(name.encode() + tensor.cpu().numpy().tobytes())
    return {
        "data": data.hexdigest(),
        "model": weights.hexdigest(),
        "recipe": views.recipe.to_dict(),
        "augmentation": vars(views.augmentation) if views.views > 1 else None,
        "views": views.views,
        "input size": views.size,
        "seed": views.seed,
        "versions": {name: versions()[name] for name in _SOFTWARE},
    }
