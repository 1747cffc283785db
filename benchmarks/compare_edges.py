"""Alpha and colours along the edge for each `edge` option, on photos where both are exact.

    python benchmarks/compare_edges.py --data DATA [--photos 8] [--blur 0 2 4]

In a band of 6 px on both sides of the true contour: the mean errors of alpha and of the hand on
black (0..255), and the time of `cutout`. For comparison, with the soft alpha, the photo's own
colours and, if pymatting is installed, its `estimate_foreground_ml`. `--blur` blurs the hand and
the truth by a Gaussian of that many px.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from exact_photos import ExactPhoto, exact_photo, load_backgrounds, load_hands

from handseg import HandSegmenter
from handseg.results import EDGES, HandSegmentation

BAND = 6  # px


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--blur", type=float, nargs="*", default=[0.0, 2.0, 4.0])
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        hands = load_hands(options.data, Path(folder))
    backgrounds = load_backgrounds(options.data)
    rows: dict[tuple[float, str], list[tuple[float, float, float]]] = defaultdict(list)
    with HandSegmenter.from_pretrained() as segmenter:
        for index in range(options.photos):
            rng = np.random.default_rng([options.seed, index])
            hand = hands[rng.integers(len(hands))]
            photo = exact_photo(hand, rng, 4032, 2160, backgrounds, cables=6 * (index % 2))
            for blur in options.blur:
                seen = out_of_focus(photo, blur) if blur else photo
                result = segmenter.segment(seen.image, landmarks=seen.landmarks)
                for way, row in errors(result, seen).items():
                    rows[blur, way].append(row)
    print(
        f"{options.photos} photos\n"
        f"{'blur, px':>8}  {'way':22} {'alpha':>7} {'on black':>9} {'ms':>6}"
    )
    for (blur, way), values in rows.items():
        alpha, colors, _ = np.mean(values, axis=0)
        milliseconds = 1000 * np.median(values, axis=0)[2]
        print(f"{blur:8.1f}  {way:22} {alpha:7.4f} {colors:9.2f} {milliseconds:6.0f}")


def out_of_focus(photo: ExactPhoto, blur: float) -> ExactPhoto:
    """Blur the photo's hand, over its background without the hand."""
    solid = (photo.alpha > 0).astype(np.uint8)
    around = cv2.dilate(solid, np.ones((15, 15), np.uint8))
    rows = cv2.inpaint(
        cv2.resize(photo.image, None, fx=0.25, fy=0.25),
        cv2.resize(around, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_NEAREST),
        5,
        cv2.INPAINT_TELEA,
    )
    behind = np.where(
        around[..., None] > 0, cv2.resize(rows, photo.image.shape[1::-1]), photo.image
    )
    alpha = cv2.GaussianBlur(photo.alpha, (0, 0), blur)
    colors = cv2.GaussianBlur(photo.foreground * photo.alpha[..., None], (0, 0), blur)
    image = np.rint(colors + behind * (1 - alpha[..., None])).astype(np.uint8)
    foreground = np.rint(colors / np.maximum(alpha, 1e-3)[..., None]).clip(0, 255).astype(np.uint8)
    return replace(photo, image=image, alpha=alpha, foreground=foreground)


def errors(result: HandSegmentation, photo: ExactPhoto) -> dict[str, tuple[float, float, float]]:
    """Errors of alpha and colour in the band, and seconds, by way."""
    inside = (photo.alpha >= 0.5).astype(np.uint8)
    square = np.ones((2 * BAND + 1, 2 * BAND + 1), np.uint8)
    band = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, square) > 0
    true = (photo.alpha[..., None] * photo.foreground)[band]
    found = {}
    for edge in EDGES:
        start = time.perf_counter()
        cutout = np.asarray(result.cutout(edge=edge))  # type: ignore[arg-type]
        seconds = time.perf_counter() - start
        found[f'edge="{edge}"'] = cutout[band][:, 3] / 255, cutout[band][:, :3], seconds
    soft = result.alpha
    found["soft, photo's colours"] = soft[band], photo.image[band], np.nan
    try:
        from pymatting import estimate_foreground_ml
    except ImportError:
        pass
    else:
        (x, y), (height, width) = result.hands[0].offset, result.hands[0].patch.shape
        window = (slice(y, y + height), slice(x, x + width))
        start = time.perf_counter()
        part = estimate_foreground_ml(photo.image[window] / 255, soft[window].astype(float))
        seconds = time.perf_counter() - start
        colors = photo.image.astype(np.float64)
        colors[window] = 255 * part
        found["soft, pymatting's"] = soft[band], colors[band], seconds
    return {
        way: (
            float(np.abs(alpha - photo.alpha[band]).mean()),
            float(np.abs(alpha[:, None] * colors - true).mean()),
            seconds,
        )
        for way, (alpha, colors, seconds) in found.items()
    }


if __name__ == "__main__":
    main()
