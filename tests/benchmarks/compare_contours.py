"""Ways to a mask side by side, on photos with masks that are exact below a pixel, and on pairs.

    python tests/benchmarks/compare_contours.py --data DATA [--photos 10] [--phone 4] [--seed 0]
        [--pairs FOLDER ...] [--ways WAY ...] [--cache FILE]
        [--onnx FILE --onnx-size 1024 --onnx-mean 0.5 0.5 0.5 --onnx-std 1 1 1]

MediaPipe looks for hands once a photo and every way gets the same prompts. On exact and phone
photos they come from the true landmarks, so that contours alone are compared; in how many photos
MediaPipe finds no hand is printed. The time is that of the whole way from the decoded photo,
MediaPipe's included, once warm. Where a way gives no mask its IoU and boundary F are 0, and the
photo is left out of its distances. All ways but ONNX end at the wrist's line.

    default             what `HandSegmenter.segment` does
    raw logits          the model's logits, upsampled by cubic interpolation
    smooth logits       the same, after `clean_logits` and `smooth_logits`
    one guided filter   one filter on those, instead of `follow_edges`
    second pass         the default again, closely around its own first mask
    larger region       the default with more surroundings, so fewer pixels on the hand
    GrabCut             by colour, from the prompts, without a model
    skin colour         colours like those along the bones, as light-weight trackers do
    closed-form matting in a band along the smooth logits (needs pymatting)
    ONNX                any background remover that takes NCHW (needs onnxruntime and --onnx)
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from exact_photos import (
    PHONE_SIZE,
    ExactPhoto,
    exact_photo,
    load_backgrounds,
    load_hands,
    open_hands,
    phone_photo,
)

from handseg.coin import find_coin
from handseg.contour import RADII, SMOOTHNESS, WORKING_SCALE
from handseg.errors import MeasurementError
from handseg.hand import Hand
from handseg.measure import measure_hand
from handseg.metrics import compare_masks
from handseg.models import MaskModel
from handseg.pairs import find_pairs
from handseg.pipeline import EncodedImage, Request, batch_prompts, predict_hands
from handseg.predictor import HandSegmenter
from handseg.prompts import NEGATIVE, POSITIVE, HandPrompts, PromptRecipe
from handseg.prompts.anatomy import draw_body, hand_size
from handseg.refine import clean_logits, cut_at_wrist, smooth_logits
from handseg.regions import Region
from handseg.results import HandSegmentation

MAX_HANDS = 4
WORKING = 1024
"""px of the region's side, at most, for the ways by colour."""
MATTING_SIDE = 600
BAND = 8  # px of those on each side of the contour that matting decides on.
THIN = 0.05  # Hand sizes: what is surely on the bones.
NEAR = 0.15  # Hand sizes around bones and palm in which skin is looked for, and past the box.
SKIN_LIMIT = 3.0  # Deviations from the skin's mean colour.
LIGHTNESS_SLACK = 2.5  # How much less lightness counts than hue does.

Photo: TypeAlias = "tuple[np.ndarray, np.ndarray, ExactPhoto | None]"
Way: TypeAlias = Callable[[MaskModel, PromptRecipe, Sequence[Request]], list[Hand]]
RegionWay: TypeAlias = Callable[[MaskModel, Region, Request], np.ndarray]


def default(model: MaskModel, recipe: PromptRecipe, requests: Sequence[Request]) -> list[Hand]:
    return predict_hands(model, recipe, requests)


def second_pass(model: MaskModel, recipe: PromptRecipe, requests: Sequence[Request]) -> list[Hand]:
    again = []
    for request, hand in zip(requests, predict_hands(model, recipe, requests), strict=True):
        box = None if request.prompts.box is None else hand.box
        prompts = dataclasses.replace(request.prompts, box=box, extent=hand.box)
        again.append(dataclasses.replace(request, prompts=prompts))
    return predict_hands(model, dataclasses.replace(recipe, region_margin=0.1), again)


def larger_region(
    model: MaskModel, recipe: PromptRecipe, requests: Sequence[Request]
) -> list[Hand]:
    return predict_hands(model, dataclasses.replace(recipe, region_margin=0.5), requests)


def by_region(way: RegionWay) -> Way:
    """A way on the photo from one that gives the mask of a region, (side, side) bool."""

    def segment(model: MaskModel, recipe: PromptRecipe, requests: Sequence[Request]) -> list[Hand]:
        hands = []
        for request in requests:
            prompts = request.prompts
            region = Region.around(prompts.extent, recipe.region_margin)
            alpha = way(model, region, request).astype(np.uint8) * np.uint8(255)
            cut_at_wrist(alpha, _landmarks(prompts) - [region.x, region.y])
            shape = request.photo.image.shape[:2]
            hands.append(
                Hand.from_alpha(
                    alpha,
                    (region.x, region.y),
                    shape,
                    prompt_box=prompts.extent,
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
    """(mask_size, mask_size) float32, as they leave the model."""
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
    side = WORKING_SCALE * model.mask_size
    logits = _resized(smoothed(model, region, request), side, cv2.INTER_CUBIC)
    start, view = 1 / (1 + cv2.exp(-logits)), region.crop(request.photo.image, side)
    radius = round(RADII[0] * WORKING_SCALE)
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
    # The palm's edge may lie outside of the box, which is drawn around landmarks.
    reach = NEAR * hand_size(landmarks) * np.array([[-1], [1]])
    corners = region.to_crop(prompts.extent.reshape(2, 2), side) + reach
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
    # On flat colours GrabCut's clustering may not end: noise, always the same, keeps them apart.
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
    spread = np.cov((on_bones / scale).T) + np.eye(3)  # not less than a level
    squared = np.einsum("hwi,ij,hwj->hw", difference, np.linalg.inv(spread), difference)
    near = cv2.dilate(draw_body(landmarks, (side, side)), _disc(NEAR * hand_size(landmarks)))
    skin = ((squared < SKIN_LIMIT**2) & (near > 0)).astype(np.uint8)
    disc = _disc(0.02 * hand_size(landmarks))
    skin = cv2.morphologyEx(cv2.morphologyEx(skin, cv2.MORPH_OPEN, disc), cv2.MORPH_CLOSE, disc)
    count, labels, stats, _centres = cv2.connectedComponentsWithStats(skin)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if count > 1 else -1
    return _resized((labels == largest).astype(np.float32), region.side) >= 0.5


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


@dataclasses.dataclass(frozen=True)
class Score:
    """Of one way on one photo; distances are NaN where there is no mask."""

    boundary_1: float
    boundary_2: float
    distance: float
    per_mille: float
    signed: float
    iou: float
    ms: float

    @classmethod
    def of(cls, mask: np.ndarray, truth: np.ndarray, ms: float) -> Score:
        metrics = compare_masks(mask, truth, boundary_tolerance=2.0)
        strict = compare_masks(mask, truth, boundary_tolerance=1.0).boundary_f
        distances = (
            metrics.mean_distance_px,
            metrics.mean_distance_per_mille,
            metrics.mean_signed_distance_px,
        )
        if metrics.missed:
            distances = (np.nan, np.nan, np.nan)
        return cls(strict, metrics.boundary_f, *distances, metrics.iou, ms)


class Comparison:
    """Scores of every way on the photos of one set, and what the default's hands measure."""

    def __init__(
        self, segmenter: HandSegmenter, ways: Sequence[str], remover: OnnxRemover | None
    ) -> None:
        self._segmenter, self._remover = segmenter, remover
        self.scores: dict[str, list[Score]] = {name: [] for name in ways}
        self.landmark_ms: list[float] = []
        self.widths: list[tuple[float, float]] = []
        self.coins: list[float] = []
        self.without_coin = 0
        self.not_found = 0

    def add(self, image: np.ndarray, truth: np.ndarray, exact: ExactPhoto | None) -> None:
        """Run every way on a photo."""
        start = time.perf_counter()
        photo = self._segmenter.embed(image)
        requests = photo.requests(self._segmenter.recipe, MAX_HANDS)
        self.landmark_ms.append(1000 * (time.perf_counter() - start))
        self.not_found += not requests
        if exact is not None:
            prompts = self._segmenter.recipe.prompts(exact.landmarks, *image.shape[:2])
            requests = [Request(EncodedImage(image), prompts)]
        for name, scores in self.scores.items():
            start = time.perf_counter()
            hands, mask = self.run(name, image, requests)
            ms = 1000 * (time.perf_counter() - start)
            scores.append(Score.of(mask, truth, ms + (name != ONNX) * self.landmark_ms[-1]))
            if name == "default" and exact is not None and hands:
                self._measure(max(hands, key=lambda hand: hand.area), exact)

    def run(
        self, name: str, image: np.ndarray, requests: Sequence[Request]
    ) -> tuple[list[Hand], np.ndarray]:
        """The hands and their common mask; nothing is kept from another way's run."""
        if name == ONNX and self._remover is not None:
            return [], self._remover(image)
        fresh = EncodedImage(image)
        new = [dataclasses.replace(request, photo=fresh) for request in requests]
        hands = WAYS[name](self._segmenter.model, self._segmenter.recipe, new)
        return hands, HandSegmentation(image, tuple(hands)).mask

    def _measure(self, hand: Hand, exact: ExactPhoto) -> None:
        shape = exact.image.shape[:2]
        true_hand = Hand.from_alpha(
            exact.alpha,
            (0, 0),
            shape,
            prompt_box=hand.box,
            predicted_iou=1.0,
            landmarks=hand.landmarks,
        )
        measured, true = (
            measure_hand(HandSegmentation(exact.image, (one,))) for one in (hand, true_hand)
        )
        for finger, reference in zip(measured, true, strict=True):
            if not (finger.reason or reference.reason):
                self.widths.append((finger.width_px, reference.width_px))
        if exact.coin is not None:
            try:
                found = find_coin(exact.image, hand)
            except MeasurementError:
                self.without_coin += 1
            else:
                self.coins.append(100 * (found.diameter / exact.coin.diameter - 1))

    def print(self, title: str) -> None:
        """The table, and below it what was measured."""
        count, ms = len(self.landmark_ms), np.median(self.landmark_ms)
        print(f"\n{title}: {count} photos, MediaPipe {ms:.0f} ms, no hand in {self.not_found}")
        print(
            f"{'way':20}{'F 1 px':>8}{'F 2 px':>8}{'dist. px':>10}{'per mille':>11}"
            f"{'signed px':>11}{'IoU':>8}{'ms':>7}{'missed':>8}"
        )
        for name, scores in self.scores.items():
            values = np.array([dataclasses.astuple(score) for score in scores])
            missed = np.isnan(values[:, 2])
            there = values[~missed]
            distances = there[:, 2:5].mean(0) if len(there) else np.full(3, np.nan)
            overlap = values[:, [0, 1, 5]].mean(0)
            print(
                f"{name:20}{overlap[0]:8.4f}{overlap[1]:8.4f}{distances[0]:10.2f}"
                f"{distances[1]:11.3f}{distances[2]:+11.2f}{overlap[2]:8.4f}"
                f"{np.median(values[:, 6]):7.0f}{missed.sum():8}",
                flush=True,
            )
        self._print_measured()

    def _print_measured(self) -> None:
        if self.widths:
            width, true = np.array(self.widths).T
            error = np.abs(width - true)
            for unit, values in (("px", error), ("%", 100 * error / true)):
                print(
                    f"finger width of {len(values)} fingers, default: off by "
                    f"{np.median(values):.2f} {unit} (median), "
                    f"{np.percentile(values, 95):.2f} {unit} (95th percentile)"
                )
        if self.coins or self.without_coin:
            errors = " ".join(f"{error:+.2f}" for error in self.coins)
            print(f"coin's diameter off by % ({self.without_coin} not found): {errors}")


def exact_set(data: Path, cache: Path, count: int, seed: int) -> Iterator[Photo]:
    """Upright ones and wide ones in turn, every other pair with cables."""
    hands, backgrounds = load_hands(data, cache), load_backgrounds(data)
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        height, width = PHONE_SIZE if index % 2 == 0 else PHONE_SIZE[::-1]
        hand = hands[int(rng.integers(len(hands)))]
        cables = 8 if index % 4 > 1 else 0
        exact = exact_photo(hand, rng, height, width, backgrounds, cables=cables)
        yield exact.image, exact.alpha >= 0.5, exact


def phone_set(data: Path, cache: Path, count: int, seed: int) -> Iterator[Photo]:
    hands, backgrounds = open_hands(load_hands(data, cache)), load_backgrounds(data)
    for index in range(count):
        rng = np.random.default_rng([seed, index, 1])
        exact = phone_photo(hands[int(rng.integers(len(hands)))], rng, backgrounds)
        yield exact.image, exact.alpha >= 0.5, exact


def pair_set(folder: Path) -> Iterator[Photo]:
    for pair in find_pairs(folder):
        yield (*pair.load(), None)


def compare(
    title: str,
    photos: Iterator[Photo],
    segmenter: HandSegmenter,
    ways: Sequence[str],
    remover: OnnxRemover | None,
) -> None:
    comparison: Comparison | None = None
    for photo in photos:
        if comparison is None:  # The first photo runs twice, to warm up.
            Comparison(segmenter, ways, remover).add(*photo)
            comparison = Comparison(segmenter, ways, remover)
        comparison.add(*photo)
    if comparison is not None:
        comparison.print(title)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=10)
    parser.add_argument("--phone", type=int, default=4)
    parser.add_argument("--pairs", type=Path, nargs="*", default=[], metavar="FOLDER")
    parser.add_argument("--onnx", type=Path, metavar="FILE")
    parser.add_argument("--onnx-size", type=int, default=1024)
    parser.add_argument("--onnx-mean", type=float, nargs=3, default=[0.5, 0.5, 0.5])
    parser.add_argument("--onnx-std", type=float, nargs=3, default=[1.0, 1.0, 1.0])
    parser.add_argument("--ways", nargs="+", choices=[*WAYS, ONNX], metavar="WAY")
    parser.add_argument("--cache", type=Path, help="JSON file that keeps the hands' landmarks")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.ways is None:
        options.ways = [*WAYS, *([ONNX] if options.onnx else [])]
        if importlib.util.find_spec("pymatting") is None:
            options.ways.remove("closed-form matting")
    if ONNX in options.ways and options.onnx is None:
        parser.error("the way ONNX needs --onnx FILE")
    return options


def main() -> None:
    options = parse()
    remover = None
    if ONNX in options.ways:
        remover = OnnxRemover(options.onnx, options.onnx_size, options.onnx_mean, options.onnx_std)
    cache = options.cache or Path(tempfile.gettempdir()) / "handseg_exact_landmarks.json"
    data, seed = options.data, options.seed
    with HandSegmenter.from_pretrained() as segmenter:
        sets = {
            "exact photos": exact_set(data, cache, options.photos, seed),
            "phone photos": phone_set(data, cache, options.phone, seed),
            **{str(folder): pair_set(folder) for folder in options.pairs},
        }
        for title, photos in sets.items():
            compare(title, photos, segmenter, options.ways, remover)


if __name__ == "__main__":
    main()
