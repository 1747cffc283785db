"""From prompts to `Hand`s: region, encoder, decoder, contour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from handseg.landmarks import FoundHand, HandBox
from handseg.landmarks.anatomy import draw_skeleton, hand_size, past_wrist
from handseg.models.interface import Embeddings, MaskModel
from handseg.models.region import Region
from handseg.pipeline.options import Holes
from handseg.postprocess.cleanup import (
    clean_logits,
    cut_at_wrist,
    fill_holes_on_hand,
    smooth_logits,
)
from handseg.postprocess.clicks import apply_clicks
from handseg.postprocess.refine import follow_edges
from handseg.prompts import NEGATIVE, POSITIVE, HandPrompts, PromptBatch, PromptRecipe
from handseg.results.hand import Hand
from handseg.runtime.forks import forks_wait

ENCODER_BATCH = 8
"""Regions per model call; more take memory and save no time."""


@dataclass(frozen=True, eq=False)
class RegionEmbeddings:
    """A photo and the embeddings of its regions.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        regions: by region, the batch of embeddings that holds its own, and the row in it.
    """

    image: np.ndarray
    regions: dict[Region, tuple[Embeddings, int]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Request:
    """One hand to segment: the photo, its prompts, and the detection that they come from."""

    photo: RegionEmbeddings
    prompts: HandPrompts
    found: FoundHand | None = None


def requests_of(
    photo: RegionEmbeddings, found: Iterable[FoundHand], recipe: PromptRecipe
) -> list[Request]:
    """Make one request per detected hand, with the prompts of `recipe`."""
    requests = []
    for hand in found:
        try:
            if isinstance(hand, HandBox):
                prompts = recipe.box_prompts(hand.box, hand.wrist, *photo.image.shape[:2])
            else:
                prompts = recipe.prompts(hand.points, *photo.image.shape[:2])
        except ValueError:  # A detected hand may lie entirely outside the photo.
            continue
        requests.append(Request(photo, prompts, hand))
    return requests


def predict_hands(
    model: MaskModel, recipe: PromptRecipe, requests: Sequence[Request], holes: Holes = "keep"
) -> list[Hand]:
    """Predict one hand for each request; regions are encoded only once.

    `holes` is as in `SegmentOptions`.
    """
    # Only prompts of the same kind share a model call: with or without a box, and of the finder's
    # hands only a box.
    kinds = [(isinstance(one.found, HandBox), one.prompts.box is None) for one in requests]
    hands: dict[int, Hand] = {}
    for kind in dict.fromkeys(kinds):
        chosen = [number for number, one in enumerate(kinds) if one == kind]
        for start in range(0, len(chosen), ENCODER_BATCH):
            part = chosen[start : start + ENCODER_BATCH]
            done = _predict_chunk(model, recipe, [requests[number] for number in part], holes)
            hands |= dict(zip(part, done, strict=True))
    return [hands[number] for number in range(len(requests))]


def _predict_chunk(
    model: MaskModel, recipe: PromptRecipe, requests: Sequence[Request], holes: Holes
) -> list[Hand]:
    size, mask_size = model.input_size, model.mask_size
    regions = [Region.around(one.prompts.roi_box, recipe.region_margin) for one in requests]
    embed_regions(model, requests, regions)
    batch = batch_prompts([one.prompts for one in requests], regions, size, mask_size)
    logits, scores = decode_regions(model, requests, regions, batch)
    hands = []
    with forks_wait():  # OpenCV's threads have locks.
        for index, (region, request) in enumerate(zip(regions, requests, strict=True)):
            places, labels = (
                (batch.points[index] + 0.5) * mask_size / size - 0.5,
                batch.labels[index],
            )
            clicks = slice(len(labels) - request.prompts.clicks, None)
            clicked, landmarks = logits[index], request.prompts.landmarks
            bones = None if landmarks is None else region.to_crop(landmarks, mask_size)
            if request.prompts.clicks:
                view = region.crop(request.photo.image, size)
                clicked = apply_clicks(clicked, view, places[clicks], labels[clicks], bones)
            off = places[clicks][labels[clicks] == NEGATIVE]
            cleaned = clean_logits(clicked, places[labels == POSITIVE], off)
            if holes == "fill" and bones is not None:
                cleaned = fill_holes_on_hand(cleaned, bones, off)
            outline = recipe.outline * _size(request.prompts, cleaned, region)
            alpha, (x, y) = follow_edges(
                smooth_logits(cleaned), request.photo.image, region, outline
            )
            if landmarks is not None and recipe.forearm == 0:
                on = request.prompts.points[clicks][labels[clicks] == POSITIVE]
                if not past_wrist(on, landmarks).any():  # else the user wants the arm
                    cut_at_wrist(alpha, landmarks - [x, y])
            hands.append(
                Hand.from_alpha(
                    alpha,
                    (x, y),
                    request.photo.image.shape[:2],
                    prompt_box=request.prompts.roi_box,
                    predicted_iou=float(scores[index]),
                    landmarks=landmarks,
                    handedness=request.found.handedness if request.found else None,
                    handedness_score=request.found.score if request.found else None,
                    detection_score=request.found.detection_score if request.found else None,
                )
            )
    return hands


def _size(prompts: HandPrompts, logits: np.ndarray, region: Region) -> float:
    """The hand's size, px: from its landmarks, or as if an open hand filled its box.

    With only points, the region shows nothing of the size: the box is that of the mask, where
    `logits` (h, h) of the region are above 0.
    """
    if prompts.landmarks is not None:
        return hand_size(prompts.landmarks)
    if prompts.box is None:
        _, _, width, height = cv2.boundingRect((logits > 0).astype(np.uint8))
        return max(width, height) * region.side / len(logits) / 2
    return float((prompts.roi_box[2:] - prompts.roi_box[:2]).max()) / 2


def embed_regions(model: MaskModel, requests: Sequence[Request], regions: Sequence[Region]) -> None:
    """Encode all new regions in one batch."""
    new: dict[tuple[int, Region], RegionEmbeddings] = {}
    for request, region in zip(requests, regions, strict=True):
        if region not in request.photo.regions:
            new[id(request.photo), region] = request.photo
    if not new:
        return
    with forks_wait():
        crops = [region.crop(photo.image, model.input_size) for (_, region), photo in new.items()]
    embeddings = model.encode(np.stack(crops))
    for row, ((_, region), photo) in enumerate(new.items()):
        photo.regions[region] = embeddings, row


def decode_regions(
    model: MaskModel, requests: Sequence[Request], regions: Sequence[Region], batch: PromptBatch
) -> tuple[np.ndarray, np.ndarray]:
    """Logits and predicted IoU of each request; regions encoded together are decoded together."""
    places = [
        request.photo.regions[region] for request, region in zip(requests, regions, strict=True)
    ]
    logits = np.empty((len(batch), model.mask_size, model.mask_size), np.float32)
    scores = np.empty(len(batch), np.float32)
    for embeddings in {id(one): one for one, _ in places}.values():
        of_these = np.array([index for index, (one, _) in enumerate(places) if one is embeddings])
        rows = np.array([places[index][1] for index in of_these])
        logits[of_these], scores[of_these] = model.decode(embeddings[rows], batch[of_these])
    return logits, scores


def batch_prompts(
    prompts: Sequence[HandPrompts], regions: Sequence[Region], size: int, mask_size: int
) -> PromptBatch:
    """Prompts of N hands with equal numbers of points, in pixels of their regions."""
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
