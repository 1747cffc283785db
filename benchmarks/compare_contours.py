"""Ways to make a mask, compared on photos with subpixel-exact masks and on pairs.

    python benchmarks/compare_contours.py --data DATA [--photos 10] [--phone 4] [--seed 0]
        [--pairs FOLDER ...] [--ways WAY ...] [--cache DIR]
        [--onnx FILE --onnx-size 1024 --onnx-mean 0.5 0.5 0.5 --onnx-std 1 1 1]

MediaPipe looks for hands once per photo, and every way gets the same prompts. On exact and phone
photos these come from the true landmarks, so that only contours are compared; the number of photos
where MediaPipe finds no hand is printed. Times start at the decoded photo, include MediaPipe, and
are warm. Where a way gives no mask, its IoU and boundary F are 0, and the photo is excluded from
its distances. All ways but ONNX cut masks at the wrist line.

    default             as `HandSegmenter.segment` does it
    raw logits          the model's logits, upsampled by cubic interpolation
    smooth logits       the same, after `clean_logits` and `smooth_logits`
    one guided filter   one filter on those, instead of `follow_edges`
    second pass         the default again, on a region close around its first mask
    larger region       the default with more surroundings, so fewer pixels on the hand
    GrabCut             by colour, from the prompts, without a model
    skin colour         colours like those along the bones, as lightweight trackers do
    closed-form matting in a band along the smooth logits (needs pymatting)
    ONNX                any background remover that takes NCHW (needs onnxruntime and --onnx)
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

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
from mask_ways import ONNX, WAYS, OnnxRemover

from handseg.data.image_mask import find_pairs
from handseg.errors import MeasurementError
from handseg.evaluation.metrics import compare_masks
from handseg.measure import measure_hand
from handseg.measure.coin import find_coin
from handseg.pipeline.predict import RegionEmbeddings, Request, requests_of
from handseg.results import HandSegmentation
from handseg.results.hand import Hand
from handseg.segmenter import HandSegmenter

MAX_HANDS = 4

Photo: TypeAlias = "tuple[np.ndarray, np.ndarray, ExactPhoto | None]"


@dataclasses.dataclass(frozen=True)
class Score:
    """Scores of one way on one photo; distances are NaN where there is no mask."""

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
    """Scores of every way on one set of photos, and measurements of the default's hands."""

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
        photo, recipe = RegionEmbeddings(image), self._segmenter.recipe
        found = self._segmenter.landmarker.detect(image)[:MAX_HANDS]
        requests = requests_of(photo, found, recipe)
        self.landmark_ms.append(1000 * (time.perf_counter() - start))
        self.not_found += not requests
        if exact is not None:
            requests = [Request(photo, recipe.prompts(exact.landmarks, *image.shape[:2]))]
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
        """Return the hands and their union mask; nothing is cached from another way's run."""
        if name == ONNX and self._remover is not None:
            return [], self._remover(image)
        fresh = RegionEmbeddings(image)
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
        """Print the table, and below it the measurements."""
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
    """Alternate upright and wide photos, every other pair with cables."""
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
    parser.add_argument("--cache", type=Path, help="folder that keeps the hands' landmarks")
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
    cache = options.cache or Path(tempfile.gettempdir()) / "handseg_exact_landmarks"
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
