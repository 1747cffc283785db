"""Held objects: a second stage with its own weights and prompts, run on the hands found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from handseg.errors import ModelError
from handseg.landmarks.anatomy import WRIST, hand_size, palm_axis
from handseg.models import Backend, MaskModel, load_mask_model
from handseg.models.adapters import local_adapter
from handseg.models.bundled import LITE_FOLDER, LITE_OBJECT_FOLDER
from handseg.models.region import Region
from handseg.pipeline.predict import (
    ENCODER_BATCH,
    RegionEmbeddings,
    Request,
    batch_prompts,
    decode_regions,
    embed_regions,
)
from handseg.postprocess.cleanup import drop_detached, smooth_logits
from handseg.postprocess.refine import follow_edges
from handseg.prompts import PromptRecipe
from handseg.prompts.recipe import RECIPE_FILE
from handseg.results.hand import Hand, shrink_to_photo
from handseg.runtime.connected import Components
from handseg.runtime.extras import needing_extras
from handseg.runtime.forks import forks_wait

if TYPE_CHECKING:
    import torch

OBJECT_FOLDER = "object"
"""Subfolder of a saved segmenter for the model of its object stage."""
OBJECT_MARGIN = 1.0
"""Minimum logit for an object to take a pixel from the hand.

With 0, 1 and 3, and with the hand keeping all its pixels, objects have a mean IoU of 0.352, 0.341,
0.327 and 0.313 on 47 composites, and 0.459, 0.430, 0.414 and 0.418 on 41 real hands with unseen
objects pasted in front of and behind them; hands 0.818, 0.817, 0.814, 0.805 and 0.921, 0.923,
0.922, 0.921. On 41 empty hands, all but 0 leave the hand unchanged to within 0.002.
"""
SMALLEST = 0.02
"""Minimum area of an island in squared hand sizes: about 2 cm2."""


@dataclass(frozen=True, eq=False)
class ObjectStage:
    """The model that segments held objects, and the recipe it was trained with."""

    model: MaskModel
    recipe: PromptRecipe

    def save(self, folder: Path) -> None:
        """Save model and recipe in `folder`, which is created if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder)
        self.recipe.save(folder)


@dataclass(frozen=True)
class ObjectWeights:
    """Source of an object stage: a model, and an adapter for it."""

    model: str | Path
    adapter: Path | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self == _bundled_weights():  # May be elsewhere on another machine.
            return _bundled_weights, ()
        return ObjectWeights, (self.model, self.adapter)

    def load(
        self,
        device: str | torch.device | None,
        dtype: str | torch.dtype | None,
        backend: Backend | None = None,
    ) -> ObjectStage:
        """Load the stage; the arguments are those of `load_mask_model`.

        Raises:
            ModelError: if a part cannot be loaded, or has no recipe for objects.
        """
        home = Path(self.adapter or self.model)
        if not (home / RECIPE_FILE).is_file():
            raise ModelError(f"{home}: no {RECIPE_FILE}, the prompt recipe for held objects")
        recipe = PromptRecipe.load(home)
        if not recipe.is_for_objects:
            raise ModelError(f"object_adapter: {home} is for hands, pass it as adapter")
        with needing_extras("objects"):
            model = load_mask_model(self.model, self.adapter, device, dtype, backend)
        return ObjectStage(model, recipe)


def find_weights(model: str | Path, adapter: str | os.PathLike[str] | None) -> ObjectWeights | None:
    """Find the object stage that belongs to a base model; None if there is none.

    Args:
        model: folder or hub id of the base model, without an adapter.
        adapter: folder or hub id of an object adapter for it; None uses the one saved with the
            model, or for handseg-lite the bundled one.

    Raises:
        ModelError: if `adapter` is not a folder and cannot be downloaded.
    """
    if adapter is not None:
        with needing_extras(f"the adapter {adapter}"):
            return ObjectWeights(model, local_adapter(adapter))
    if (Path(model) / OBJECT_FOLDER / RECIPE_FILE).is_file():
        return ObjectWeights(Path(model) / OBJECT_FOLDER)
    if Path(model) == LITE_FOLDER:
        return _bundled_weights()
    return None


def _bundled_weights() -> ObjectWeights:
    return ObjectWeights(LITE_FOLDER, LITE_OBJECT_FOLDER)


def add_objects(
    stage: ObjectStage, photos: Sequence[RegionEmbeddings], hands: Sequence[Hand]
) -> list[Hand]:
    """Add held objects to `hands`; a hand without landmarks gets none.

    `photos` holds the photo of each hand, encoded only by this stage's model.
    """
    nothing = np.zeros((0, 0), np.uint8)
    done = [replace(hand, object_patch=nothing) for hand in hands]
    asked: list[tuple[int, Request]] = []
    for number, (photo, hand) in enumerate(zip(photos, hands, strict=True)):
        if hand.landmarks is None:
            continue
        with suppress(ValueError):  # Only its forearm may be in the photo.
            prompts = stage.recipe.prompts(hand.landmarks, *hand.image_shape)
            asked.append((number, Request(photo, prompts)))
    for start in range(0, len(asked), ENCODER_BATCH):
        part = asked[start : start + ENCODER_BATCH]
        added = _add_to_chunk(
            stage, [request for _, request in part], [hands[number] for number, _ in part]
        )
        for (number, _), hand in zip(part, added, strict=True):
            done[number] = hand
    return done


def _add_to_chunk(
    stage: ObjectStage, requests: Sequence[Request], hands: Sequence[Hand]
) -> list[Hand]:
    model = stage.model
    size, mask_size = model.input_size, model.mask_size
    regions = [Region.around(one.prompts.roi_box, stage.recipe.region_margin) for one in requests]
    embed_regions(model, requests, regions)
    batch = batch_prompts([one.prompts for one in requests], regions, size, mask_size)
    logits, _ = decode_regions(model, requests, regions, batch)
    done = []
    with forks_wait():  # OpenCV's threads have locks.
        for index, (region, hand) in enumerate(zip(regions, hands, strict=True)):
            mask = _shrunk(hand, region, mask_size)
            holding = mask & _before_wrist(hand, region, mask_size)
            touching = drop_detached(logits[index] - OBJECT_MARGIN * mask, holding)
            image = requests[index].photo.image
            alpha, offset = follow_edges(smooth_logits(touching), image, region)
            alpha = _without_specks(alpha, hand)
            done.append(_cut_out(hand, *shrink_to_photo(alpha, offset, hand.image_shape)))
    return done


def _shrunk(hand: Hand, region: Region, size: int) -> np.ndarray:
    """(size, size) bool, the hand's mask in `region`."""
    if not hand.patch.size:
        return np.zeros((size, size), bool)
    scale = size / region.side
    x, y = region.to_crop(np.array(hand.offset, np.float32), size)
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    return cv2.warpAffine(hand.patch, matrix, (size, size)) >= 128


def _before_wrist(hand: Hand, region: Region, size: int) -> np.ndarray:
    """(size, size) bool: where in `region` a hand can hold things; the wrist may have a sleeve."""
    assert hand.landmarks is not None
    landmarks = region.to_crop(hand.landmarks, size)
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1)
    return (pixels - landmarks[WRIST]) @ palm_axis(landmarks) < 0


def _without_specks(alpha: np.ndarray, hand: Hand) -> np.ndarray:
    """`alpha` (h, w) uint8 without islands too small to distinguish from errors."""
    assert hand.landmarks is not None
    islands = Components.of(alpha > 0, 8)
    small = islands.sums(alpha >= 128) < SMALLEST * hand_size(hand.landmarks) ** 2
    return np.where(small[islands.labels], 0, alpha).astype(np.uint8)


def _cut_out(hand: Hand, patch: np.ndarray, offset: tuple[int, int]) -> Hand:
    """Add the held object `patch`, (h, w) uint8 at `offset`, and subtract it from the hand."""
    first = np.maximum(offset, hand.offset)
    last = np.minimum(
        np.add(offset, patch.shape[::-1]), np.add(hand.offset, hand.patch.shape[::-1])
    )
    alpha = hand.patch.copy()
    if (last > first).all():
        (left, top), (right, bottom) = first - hand.offset, last - hand.offset
        x, y = first - offset
        over = patch[y : y + bottom - top, x : x + right - left]
        shared = alpha[top:bottom, left:right]
        np.minimum(shared, 255 - over, out=shared)
    rest = Hand.from_alpha(
        alpha,
        hand.offset,
        hand.image_shape,
        prompt_box=hand.box,
        predicted_iou=hand.predicted_iou,
        landmarks=hand.landmarks,
        handedness=hand.handedness,
        handedness_score=hand.handedness_score,
        detection_score=hand.detection_score,
    )
    return replace(rest, object_patch=patch, object_offset=offset)
