"""`HandSegmenter`: landmarks, prompts, a SAM-family model and the refined result, in one call."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from handseg.images import ImageSource, load_image
from handseg.models import MaskModel, load_mask_model
from handseg.models.adapters import base_of_adapter, is_adapter, local_adapter
from handseg.models.carried import LITE, home
from handseg.prompts import (
    POSITIVE,
    HandLandmarker,
    HandLandmarks,
    HandPrompts,
    PromptBatch,
    PromptRecipe,
    draw_skeleton,
)
from handseg.prompts.own import own_prompts
from handseg.prompts.recipe import find_recipe
from handseg.refine import clean_logits, cut_at_wrist, smooth_logits, upsample_to_alpha
from handseg.regions import Region
from handseg.results import Hand, HandSegmentation

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

ENCODER_BATCH = 8
"""Regions that go through the model at once; more need memory and save no time."""


@dataclass(frozen=True, eq=False)
class _Request:
    """One hand to segment in photo number `photo`: its prompts and where they come from."""

    photo: int
    prompts: HandPrompts
    landmarks: HandLandmarks | None = None


class HandSegmenter:
    """Cuts hands out of photos. `from_pretrained` makes one.

    It keeps MediaPipe's graph and is not safe to share between threads. Close it, or use it in a
    `with` block.

    Args:
        model: predicts masks of square regions.
        recipe: makes prompts of landmarks.
        landmarker: finds hands, stays its owner's to close; None makes the default one when it is
            first needed.
    """

    def __init__(
        self,
        model: MaskModel,
        recipe: PromptRecipe | None = None,
        landmarker: HandLandmarker | None = None,
    ) -> None:
        self.model = model
        self.recipe = recipe or PromptRecipe()
        self._landmarker = landmarker
        self._owns_landmarker = landmarker is None

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = LITE,
        adapter: str | Path | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        *,
        recipe: PromptRecipe | str | Path | None = None,
        landmarker: HandLandmarker | None = None,
    ) -> HandSegmenter:
        """Load a model, its recipe and, if given, an adapter.

        Args:
            name_or_path: "handseg-lite" (carried by the package), a hub id or local folder of any
                SAM-family model, an original `segment-anything` `.pth`, or an adapter folder.
            adapter: folder or hub id of a PEFT adapter to put on top of the model.
            device: None takes a GPU where there is one.
            dtype: of the weights, such as "bfloat16"; None keeps float32.
            recipe: None takes the one saved beside the adapter or the model, else the default.
            landmarker: None takes the default one.

        Raises:
            ModelError: if a model or adapter cannot be loaded or do not fit.
            ValueError: if the recipe cannot be read.
        """
        folder = home(name_or_path)
        if adapter is None and is_adapter(Path(folder)):
            adapter, folder = folder, home(base_of_adapter(Path(folder)))
        if adapter is not None:
            adapter = local_adapter(adapter)
        model = load_mask_model(folder, adapter=adapter, device=device, dtype=dtype)
        if recipe is None:
            recipe = find_recipe(adapter, folder)
        elif not isinstance(recipe, PromptRecipe):
            recipe = PromptRecipe.load(recipe)
        return cls(model, recipe, landmarker)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model (with its adapter merged) and recipe; `from_pretrained` reads them back."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder)
        self.recipe.save(folder)

    def __enter__(self) -> HandSegmenter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free MediaPipe's graph. The segmenter makes a new one if it is used again."""
        if self._landmarker is not None and self._owns_landmarker:
            self._landmarker.close()
            self._landmarker = None

    @property
    def landmarker(self) -> HandLandmarker:
        """The landmark stage, made when it is first needed."""
        if self._landmarker is None:
            self._landmarker = HandLandmarker()
        return self._landmarker

    def segment(
        self,
        image: ImageSource,
        *,
        boxes: Any = None,
        points: Any = None,
        labels: Any = None,
        landmarks: Any = None,
        max_hands: int = 4,
    ) -> HandSegmentation:
        """Cut the hands out of one photo.

        With no prompts, MediaPipe finds the hands. Boxes, points or landmarks of your own take its
        place: one hand for each box, each set of points or each set of landmarks.

        Args:
            image: a path, bytes, file object, PIL image, RGB array or tensor; see `load_image`.
            boxes: (K, 4) or (4,), xyxy in px.
            points: (K, P, 2) or (P, 2), x, y in px: on the hand where the label is 1, off it where
                it is 0. With boxes or landmarks, K must be theirs.
            labels: (K, P) or (P,) of 1 and 0; None takes every point for one on the hand.
            landmarks: (K, 21, 2) or (21, 2), x, y in px, in MediaPipe's order.
            max_hands: the most hands that MediaPipe may find; the surest are taken.

        Returns:
            The hands, none if there is none to be found.

        Raises:
            ImageError: if the image cannot be read.
            ValueError: if prompts have wrong shapes, are not finite or lie outside of the photo.
        """
        if max_hands < 1:
            raise ValueError(f"max_hands must be at least 1, got {max_hands}")
        photo = load_image(image)
        if any(value is not None for value in (boxes, points, labels, landmarks)):
            height, width = photo.shape[:2]
            prompts = own_prompts(
                height,
                width,
                self.recipe,
                boxes=boxes,
                points=points,
                labels=labels,
                landmarks=landmarks,
            )
            requests = [_Request(0, one) for one in prompts]
        else:
            requests = self._find_hands(0, photo, max_hands)
        return self._segment([photo], requests)[0]

    def segment_batch(
        self, images: Iterable[ImageSource], *, max_hands: int = 4
    ) -> list[HandSegmentation]:
        """Cut the hands out of several photos; all regions go through the model in batches.

        The photos are held in memory together: for a folder, call it on a few at a time.
        """
        if max_hands < 1:
            raise ValueError(f"max_hands must be at least 1, got {max_hands}")
        photos = [load_image(image) for image in images]
        requests = [
            request
            for index, photo in enumerate(photos)
            for request in self._find_hands(index, photo, max_hands)
        ]
        return self._segment(photos, requests)

    def _find_hands(self, index: int, photo: np.ndarray, max_hands: int) -> list[_Request]:
        if max_hands > (most := self.landmarker.max_hands):
            raise ValueError(f"max_hands is {max_hands}, but the landmarker finds {most} at most")
        height, width = photo.shape[:2]
        requests = []
        for hand in self.landmarker.detect(photo)[:max_hands]:
            try:
                prompts = self.recipe.prompts(hand.points, height, width)
            except ValueError:  # MediaPipe may place a hand wholly outside of the photo
                continue
            requests.append(_Request(index, prompts, hand))
        return requests

    def _segment(
        self, photos: Sequence[np.ndarray], requests: Sequence[_Request]
    ) -> list[HandSegmentation]:
        hands: list[list[Hand]] = [[] for _ in photos]
        for start in range(0, len(requests), ENCODER_BATCH):
            chunk = requests[start : start + ENCODER_BATCH]
            for request, hand in zip(chunk, self._predict(photos, chunk), strict=True):
                hands[request.photo].append(hand)
        return [
            HandSegmentation(photo, tuple(found))
            for photo, found in zip(photos, hands, strict=True)
        ]

    def _predict(self, photos: Sequence[np.ndarray], requests: Sequence[_Request]) -> list[Hand]:
        size, mask_size = self.model.input_size, self.model.mask_size
        regions = [
            Region.around(request.prompts.extent, self.recipe.region_margin) for request in requests
        ]
        crops = np.stack(
            [
                region.crop(photos[request.photo], size)
                for region, request in zip(regions, requests, strict=True)
            ]
        )
        batch = batch_prompts([request.prompts for request in requests], regions, size, mask_size)
        logits, scores = self.model.decode(self.model.encode(crops), batch)
        hands = []
        for index, (region, request) in enumerate(zip(regions, requests, strict=True)):
            seeds = batch.points[index][batch.labels[index] == POSITIVE]
            cleaned = clean_logits(logits[index], (seeds + 0.5) * mask_size / size - 0.5)
            alpha = upsample_to_alpha(smooth_logits(cleaned), region.side)
            if request.prompts.landmarks is not None and self.recipe.forearm == 0:
                cut_at_wrist(alpha, request.prompts.landmarks - [region.x, region.y])
            found = request.landmarks
            hands.append(
                Hand.from_alpha(
                    alpha,
                    (region.x, region.y),
                    photos[request.photo].shape[:2],
                    prompt_box=request.prompts.extent,
                    predicted_iou=float(scores[index]),
                    landmarks=found.points if found else None,
                    handedness=found.handedness if found else None,
                    score=found.score if found else None,
                )
            )
        return hands


def batch_prompts(
    prompts: Sequence[HandPrompts], regions: Sequence[Region], size: int, mask_size: int
) -> PromptBatch:
    """Prompts of N hands, which have as many points each, in pixels of their regions."""
    pairs = list(zip(prompts, regions, strict=True))
    boxes = [
        region.to_crop(one.box.reshape(2, 2), size).reshape(4)
        for one, region in pairs
        if one.box is not None
    ]
    skeletons = [
        draw_skeleton(region.to_crop(one.landmarks, mask_size), mask_size)
        for one, region in pairs
        if one.skeleton and one.landmarks is not None
    ]
    return PromptBatch(
        np.stack([region.to_crop(one.points, size) for one, region in pairs]),
        np.stack([one.labels for one, _ in pairs]),
        np.stack(boxes) if boxes else None,
        np.stack(skeletons) if skeletons else None,
    )
