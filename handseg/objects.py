"""What a hand holds: a second stage, with weights and prompts of its own, on the hands found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from handseg.contour import follow_edges
from handseg.errors import ModelError
from handseg.hand import Hand, shrink_to_photo
from handseg.models import MaskModel, load_mask_model
from handseg.models.adapters import local_adapter
from handseg.models.carried import LITE_FOLDER, LITE_OBJECT_FOLDER
from handseg.pipeline import (
    ENCODER_BATCH,
    EncodedImage,
    Request,
    batch_prompts,
    decode_regions,
    encode_regions,
)
from handseg.prompts import PromptRecipe
from handseg.prompts.anatomy import WRIST, hand_size, palm_axis
from handseg.prompts.recipe import RECIPE_FILE
from handseg.refine import keep_touching, smooth_logits
from handseg.regions import Region

if TYPE_CHECKING:
    import torch

OBJECT_FOLDER = "object"
"""In the folder of a saved segmenter, the model of its object stage."""
SMALLEST = 0.02
"""Hand sizes squared: islands below it are slivers along the hand's contour."""


@dataclass(frozen=True, eq=False)
class ObjectStage:
    """The model that cuts out what a hand holds, and the recipe that it was tuned with."""

    model: MaskModel
    recipe: PromptRecipe

    def save(self, folder: Path) -> None:
        """Write model and recipe into `folder`, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder)
        self.recipe.save(folder)


@dataclass(frozen=True)
class ObjectWeights:
    """Where an object stage is loaded from: a model, and an adapter to put on it."""

    model: str | Path
    adapter: Path | None = None

    def load(
        self, device: str | torch.device | None, dtype: str | torch.dtype | None
    ) -> ObjectStage:
        """Load the stage.

        Raises:
            ModelError: if a part cannot be loaded, or has no recipe.
        """
        home = Path(self.adapter or self.model)
        if not (home / RECIPE_FILE).is_file():
            raise ModelError(f"{home}: no {RECIPE_FILE}, which says how held objects are prompted")
        model = load_mask_model(self.model, adapter=self.adapter, device=device, dtype=dtype)
        return ObjectStage(model, PromptRecipe.load(home))


def find_weights(model: str | Path, adapter: str | os.PathLike[str] | None) -> ObjectWeights | None:
    """The object stage that belongs to a base model; None where there is none.

    Args:
        model: folder or hub id of the base, as it is without an adapter.
        adapter: folder or hub id of an object adapter for it; None takes what is saved beside the
            model, or for handseg-lite the one that the package carries.

    Raises:
        ModelError: if `adapter` is no folder and cannot be fetched.
    """
    if adapter is not None:
        return ObjectWeights(model, local_adapter(adapter))
    if (Path(model) / OBJECT_FOLDER / RECIPE_FILE).is_file():
        return ObjectWeights(Path(model) / OBJECT_FOLDER)
    if Path(model) == LITE_FOLDER:
        return ObjectWeights(model, LITE_OBJECT_FOLDER)
    return None


def add_objects(
    stage: ObjectStage, photos: Sequence[EncodedImage], hands: Sequence[Hand]
) -> list[Hand]:
    """`hands`, which have landmarks, with what each holds.

    `photos` has the photo of each hand, encoded by this stage's model alone.
    """
    done = []
    for start in range(0, len(hands), ENCODER_BATCH):
        part = slice(start, start + ENCODER_BATCH)
        done += _add_to_chunk(stage, photos[part], hands[part])
    return done


def _add_to_chunk(
    stage: ObjectStage, photos: Sequence[EncodedImage], hands: Sequence[Hand]
) -> list[Hand]:
    model, recipe = stage.model, stage.recipe
    size, mask_size = model.input_size, model.mask_size
    requests = []
    for photo, hand in zip(photos, hands, strict=True):
        assert hand.landmarks is not None
        prompts = recipe.prompts(hand.landmarks, *hand.image_shape)
        requests.append(Request(photo, prompts))
    regions = [Region.around(one.prompts.extent, recipe.region_margin) for one in requests]
    encode_regions(model, requests, regions)
    batch = batch_prompts([one.prompts for one in requests], regions, size, mask_size)
    logits, _ = decode_regions(model, requests, regions, batch)
    done = []
    for index, (region, hand) in enumerate(zip(regions, hands, strict=True)):
        touching = keep_touching(logits[index], _holding(hand, region, mask_size))
        alpha, offset = follow_edges(smooth_logits(touching), photos[index].image, region)
        patch, offset = shrink_to_photo(_beside(alpha, offset, hand), offset, hand.image_shape)
        done.append(replace(hand, object_patch=patch, object_offset=offset))
    return done


def _holding(hand: Hand, region: Region, size: int) -> np.ndarray:
    """(size, size) bool, the hand's mask in `region` as far as the wrist: arms hold nothing.

    What touches the wrist is mostly a sleeve.
    """
    if not hand.patch.size:
        return np.zeros((size, size), bool)
    assert hand.landmarks is not None
    scale = size / region.side
    x, y = region.to_crop(np.array(hand.offset, np.float32), size)
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    mask = cv2.warpAffine(hand.patch, matrix, (size, size)) >= 128
    landmarks = region.to_crop(hand.landmarks, size)
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1)
    return mask & ((pixels - landmarks[WRIST]) @ palm_axis(landmarks) < 0)


def _beside(alpha: np.ndarray, offset: tuple[int, int], hand: Hand) -> np.ndarray:
    """`alpha` (h, w) uint8 at `offset` without what is hand, and without slivers."""
    first = np.maximum(offset, hand.offset)
    last = np.minimum(
        np.add(offset, alpha.shape[::-1]), np.add(hand.offset, hand.patch.shape[::-1])
    )
    alpha = alpha.copy()
    if (last > first).all():
        (left, top), (right, bottom) = first - offset, last - offset
        x, y = first - hand.offset
        over = hand.patch[y : y + bottom - top, x : x + right - left]
        shared = alpha[top:bottom, left:right]
        np.minimum(shared, 255 - over, out=shared)
    count, islands = cv2.connectedComponents((alpha > 0).astype(np.uint8))
    areas = np.bincount(islands[alpha >= 128], minlength=count)
    assert hand.landmarks is not None
    small = areas < SMALLEST * hand_size(hand.landmarks) ** 2
    alpha[small[islands]] = 0
    return alpha
