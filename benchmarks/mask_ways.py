"""The ways from prompts to a mask that `compare_contours.py` compares."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from handseg.landmarks.anatomy import draw_body, hand_size
from handseg.models import MaskModel
from handseg.models.region import Region
from handseg.pipeline.predict import Request, batch_prompts, predict_hands
from handseg.postprocess.cleanup import clean_logits, cut_at_wrist, smooth_logits
from handseg.postprocess.refine import MOST_SCALE, SMOOTHNESS
from handseg.prompts import NEGATIVE, POSITIVE, HandPrompts, PromptRecipe
from handseg.results.hand import Hand
from handseg.runtime.connected import Components

WORKING = 1024
"""Largest side of the region for the colour-based ways, px."""
MATTING_SIDE = 600
BAND = 8  # px at `MATTING_SIDE`: what matting decides on each side of the contour.
THIN = 0.05  # Hand sizes: pixels this close to bones are surely hand.
NEAR = 0.15  # Hand sizes around bones and palm, and past the box, to search for skin.
SKIN_LIMIT = 3.0  # Standard deviations from the skin's mean colour.
LIGHTNESS_SLACK = 2.5  # Factor by which lightness counts less than hue.

Way: TypeAlias = Callable[[MaskModel, PromptRecipe, Sequence[Request]], list[Hand]]
RegionWay: TypeAlias = Callable[[MaskModel, Region, Request], np.ndarray]


def default(model: MaskModel, recipe: PromptRecipe, requests: Sequence[Request]) -> list[Hand]:
    return predict_hands(model, recipe, requests)


def second_pass(model: MaskModel, recipe: PromptRecipe, requests: Sequence[Request]) -> list[Hand]:
    again = []
    for request, hand in zip(requests, predict_hands(model, recipe, requests), strict=True):
        box = None if request.prompts.box is None else hand.box
        prompts = dataclasses.replace(request.prompts, box=box, roi_box=hand.box)
        again.append(dataclasses.replace(request, prompts=prompts))
    return predict_hands(model, dataclasses.replace(recipe, region_margin=0.1), again)


def larger_region(
    model: MaskModel, recipe: PromptRecipe, requests: Sequence[Request]
) -> list[Hand]:
    return predict_hands(model, dataclasses.replace(recipe, region_margin=0.5), requests)


def by_region(way: RegionWay) -> Way:
    """Make a way on the photo from one that gives a region's mask, (side, side) bool."""

    def segment(model: MaskModel, recipe: PromptRecipe, requests: Sequence[Request]) -> list[Hand]:
        hands = []
        for request in requests:
            prompts = request.prompts
            region = Region.around(prompts.roi_box, recipe.region_margin)
            alpha = way(model, region, request).astype(np.uint8) * np.uint8(255)
            cut_at_wrist(alpha, _landmarks(prompts) - [region.x, region.y])
            shape = request.photo.image.shape[:2]
            hands.append(
                Hand.from_alpha(
                    alpha,
                    (region.x, region.y),
                    shape,
                    prompt_box=prompts.roi_box,
                    predicted_iou=0.0,
                    landmarks=prompts.landmarks,
                )
            )
        return hands

    return segment


def _landmarks(prompts: HandPrompts) -> np.ndarray:
    if prompts.landmarks is None:
        raise ValueError("these ways are for hands that MediaPipe has found")
    return prompts.landmarks


def model_logits(model: MaskModel, region: Region, request: Request) -> np.ndarray:
    """(mask_size, mask_size) float32 logits as the model returns them."""
    batch = batch_prompts([request.prompts], [region], model.input_size, model.mask_size)
    crop = region.crop(request.photo.image, model.input_size)
    return model.decode(model.encode(crop[None]), batch)[0][0]


def smoothed(model: MaskModel, region: Region, request: Request) -> np.ndarray:
    prompts = request.prompts
    seeds = region.to_crop(prompts.points[prompts.labels == POSITIVE], model.mask_size)
    return smooth_logits(clean_logits(model_logits(model, region, request), seeds))


def _resized(values: np.ndarray, side: int, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    return cv2.resize(values, (side, side), interpolation=interpolation)


def _disc(radius: float) -> np.ndarray:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def raw_logits(model: MaskModel, region: Region, request: Request) -> np.ndarray:
    return _resized(model_logits(model, region, request), region.side, cv2.INTER_CUBIC) > 0


def smooth_upsampled(model: MaskModel, region: Region, request: Request) -> np.ndarray:
    return _resized(smoothed(model, region, request), region.side, cv2.INTER_CUBIC) > 0


def one_guided_filter(model: MaskModel, region: Region, request: Request) -> np.ndarray:
    side = MOST_SCALE * model.mask_size
    logits = _resized(smoothed(model, region, request), side, cv2.INTER_CUBIC)
    start, view = 1 / (1 + cv2.exp(-logits)), region.crop(request.photo.image, side)
    radius = 2 * MOST_SCALE
    filtered = cv2.ximgproc.guidedFilter(view, start, radius, SMOOTHNESS)
    return _resized(filtered, region.side) >= 0.5


def closed_form(model: MaskModel, region: Region, request: Request) -> np.ndarray:
    from pymatting import estimate_alpha_cf

    side = MATTING_SIDE
    mask = (_resized(smoothed(model, region, request), side, cv2.INTER_CUBIC) > 0).astype(np.uint8)
    disc = _disc(BAND)
    trimap = (cv2.erode(mask, disc) + cv2.dilate(mask, disc)) / 2.0
    if trimap.min() > 0 or trimap.max() < 1:  # pymatting needs both sides
        return _resized(mask.astype(np.float32), region.side) >= 0.5
    alpha = estimate_alpha_cf(region.crop(request.photo.image, side) / 255.0, trimap)
    return _resized(alpha.astype(np.float32), region.side) >= 0.5


def grab_cut(_: MaskModel, region: Region, request: Request) -> np.ndarray:
    side, prompts = min(WORKING, region.side), request.prompts
    trimap = np.full((side, side), cv2.GC_BGD, np.uint8)
    landmarks = region.to_crop(_landmarks(prompts), side)
    # The palm's edge may lie outside the box, which encloses only the landmarks.
    reach = NEAR * hand_size(landmarks) * np.array([[-1], [1]])
    corners = region.to_crop(prompts.roi_box.reshape(2, 2), side) + reach
    left, top, right, bottom = np.rint(corners).clip(0).astype(int).ravel()
    trimap[top : bottom + 1, left : right + 1] = cv2.GC_PR_BGD
    trimap[draw_body(landmarks, trimap.shape).view(bool)] = cv2.GC_PR_FGD
    trimap[draw_body(landmarks, trimap.shape, THIN).view(bool)] = cv2.GC_FGD
    radius = max(2, round(THIN / 2 * hand_size(landmarks)))
    for point, label in zip(region.to_crop(prompts.points, side), prompts.labels, strict=True):
        if label in (POSITIVE, NEGATIVE):
            kind = cv2.GC_FGD if label == POSITIVE else cv2.GC_BGD
            cv2.circle(trimap, np.rint(point).astype(int).tolist(), radius, kind, -1)
    colors = region.crop(request.photo.image, side)
    # GrabCut's clustering may never end on flat colours: fixed noise keeps them apart.
    noisy = colors + np.random.default_rng(0).integers(-3, 4, colors.shape)
    cv2.setRNGSeed(0)
    cv2.grabCut(
        np.clip(noisy, 0, 255).astype(np.uint8),
        trimap,
        None,
        np.zeros((1, 65)),
        np.zeros((1, 65)),
        5,
        cv2.GC_INIT_WITH_MASK,
    )
    mask = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    return _resized(mask.astype(np.float32), region.side) >= 0.5


def skin_color(_: MaskModel, region: Region, request: Request) -> np.ndarray:
    side = min(WORKING, region.side)
    landmarks = region.to_crop(_landmarks(request.prompts), side)
    view = cv2.GaussianBlur(region.crop(request.photo.image, side), (0, 0), 1.0)
    lab = cv2.cvtColor(view, cv2.COLOR_RGB2LAB).astype(np.float32)
    on_bones = lab[draw_body(landmarks, (side, side), THIN).view(bool)]
    scale = np.array([LIGHTNESS_SLACK, 1, 1], np.float32)
    difference = (lab - np.median(on_bones, axis=0)) / scale
    spread = np.cov((on_bones / scale).T) + np.eye(3)  # at least one level
    squared = np.einsum("hwi,ij,hwj->hw", difference, np.linalg.inv(spread), difference)
    near = cv2.dilate(draw_body(landmarks, (side, side)), _disc(NEAR * hand_size(landmarks)))
    skin = ((squared < SKIN_LIMIT**2) & (near > 0)).astype(np.uint8)
    disc = _disc(0.02 * hand_size(landmarks))
    skin = cv2.morphologyEx(cv2.morphologyEx(skin, cv2.MORPH_OPEN, disc), cv2.MORPH_CLOSE, disc)
    parts = Components.of(skin, 8)
    largest = (parts.labels == parts.areas.argmax()) & (skin > 0)
    return _resized(largest.astype(np.float32), region.side) >= 0.5


WAYS: dict[str, Way] = {
    "default": default,
    "raw logits": by_region(raw_logits),
    "smooth logits": by_region(smooth_upsampled),
    "one guided filter": by_region(one_guided_filter),
    "second pass": second_pass,
    "larger region": larger_region,
    "GrabCut": by_region(grab_cut),
    "skin colour": by_region(skin_color),
    "closed-form matting": by_region(closed_form),
}
ONNX = "ONNX"


class OnnxRemover:
    """A background remover of the U2-Net kind: a picture in, the first output scaled to 0..1."""

    def __init__(self, file: Path, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise SystemExit("--onnx needs the package onnxruntime: pip install onnxruntime") from (
                error
            )
        self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._size = size
        self._mean, self._std = np.array(mean, np.float32), np.array(std, np.float32)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W) bool."""
        small = cv2.resize(image, (self._size, self._size), interpolation=cv2.INTER_AREA)
        values = (small / np.float32(255) - self._mean) / self._std
        planes = np.ascontiguousarray(values.transpose(2, 0, 1)[None])
        output = np.squeeze(self._session.run(None, {self._input: planes})[0]).astype(np.float32)
        low, high = float(output.min()), float(output.max())
        scaled = (output - low) / max(high - low, 1e-6)
        height, width = image.shape[:2]
        return cv2.resize(scaled, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
