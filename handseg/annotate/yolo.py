"""Masks as polygons in the text format for training YOLO segmentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from scipy.spatial import cKDTree

from handseg.postprocess.outline import trace
from handseg.results import HandSegmentation

NAMES = ("hand", "object")
"""Class names by number."""

_TOLERANCE = 0.5  # px that a polygon may deviate from the contour


def label_lines(result: HandSegmentation) -> list[str]:
    """Make a line per hand, then a line per held object: class, then x y in 0..1 of each corner.

    The format has one polygon per object. Further parts and holes are joined to the largest part by
    a zero-width channel, there and back between the two nearest points. Holes run in the opposite
    direction, so that filling reproduces the mask.
    """
    height, width = result.image.shape[:2]
    shapes = [(0, hand.patch, hand.offset) for hand in result]
    shapes += [
        (1, hand.object_patch, hand.object_offset)
        for hand in result
        if hand.object_patch is not None
    ]
    lines = []
    for number, patch, offset in shapes:
        polygon = join(simplify(trace(patch)))
        if len(polygon) < 3:
            continue
        # Integer pixel coordinates are pixel centres, half a pixel inside the photo.
        shares = np.clip((polygon + np.array(offset) + 0.5) / (width, height), 0, 1)
        lines.append(" ".join([str(number), *(f"{value:.6f}" for value in shares.reshape(-1))]))
    return lines


def simplify(polygons: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Simplify closed polygons (N, 2), dropping those with fewer than 3 corners left."""
    simple = [cv2.approxPolyDP(one, _TOLERANCE, closed=True)[:, 0] for one in polygons]
    return [one for one in simple if len(one) >= 3]


def join(polygons: Sequence[np.ndarray]) -> np.ndarray:
    """Join several polygons, the outermost first, into one closed polygon (N, 2) float64."""
    if not polygons:
        return np.zeros((0, 2))
    joined = np.asarray(polygons[0], np.float64)
    for other in polygons[1:]:
        distances, nearest = cKDTree(joined).query(other)
        there = int(distances.argmin())
        here = int(nearest[there])
        around = np.roll(other, -there, axis=0)
        joined = np.concatenate([joined[: here + 1], around, around[:1], joined[here:]])
    return joined


def data_yaml(objects: bool) -> str:
    """Return a `data.yaml` for ultralytics; without a path, folders are beside the file."""
    names = NAMES if objects else NAMES[:1]
    lines = [f"  {number}: {name}" for number, name in enumerate(names)]
    head = [
        "# Both name all photos: split them before you train.",
        "train: images",
        "val: images",
        "names:",
    ]
    return "\n".join([*head, *lines]) + "\n"
