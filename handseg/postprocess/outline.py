"""Trace the outlines of an alpha by marching squares."""

from __future__ import annotations

import cv2
import numpy as np

# A cell of marching squares has its corners at bits 1 (top left), 2 (top right), 4 (bottom right)
# and 8 (bottom left). The boundary enters it by one edge and leaves it by another, numbered
# clockwise from the top, with the inside on its left as seen on the photo.
_ENTRY = np.array([0, 3, 0, 3, 1, 0, 0, 3, 2, 2, 0, 2, 1, 1, 0, 0])
_EXIT = np.array([0, 0, 1, 1, 2, 0, 2, 2, 3, 0, 0, 1, 3, 0, 3, 0])
# Saddles (two opposite corners inside) become two cells with one crossing each: apart, or joined.
_SADDLES = ((5, (1, 4), (7, 13)), (10, (2, 8), (11, 14)))


def trace(alpha: np.ndarray) -> list[np.ndarray]:
    """Trace the outlines of `alpha` (h, w) uint8 at half of 255, by marching squares.

    Crossings are interpolated between pixel centres; outside the array, alpha is 0. If two
    opposite pixels of four are inside, the mean of the four decides whether they touch.

    Returns:
        Closed polygons, (N, 2) float32 x, y in pixels, without repeating the first point; the one
        with the largest area comes first. Seen on the photo, the inside lies to the left: outer
        outlines run counter-clockwise, the outlines of holes clockwise.
    """
    padded = np.pad(alpha, 1)
    width = padded.shape[1]
    inside = (padded >= 128).astype(np.uint8)
    code = inside[:-1, :-1] | inside[:-1, 1:] << 1 | inside[1:, 1:] << 2 | inside[1:, :-1] << 3
    rows, columns = np.nonzero((code != 0) & (code != 15))
    if not len(rows):
        return []
    kind = code[rows, columns].astype(np.int64)
    corner = rows * width + columns
    values = padded.reshape(-1)

    for saddle, apart, joined in _SADDLES:
        here = np.flatnonzero(kind == saddle)
        around = corner[here, None] + np.array([0, 1, width, width + 1])
        touch = values[around].mean(axis=1) >= 127.5
        kind[here] = np.where(touch, joined[0], apart[0])
        kind = np.append(kind, np.where(touch, joined[1], apart[1]))
        corner = np.append(corner, corner[here])

    # An edge's number is twice the index of its first pixel, plus one if it runs downwards.
    edges = 2 * corner[:, None] + np.array([0, 3, 2 * width, 1])
    segments = np.arange(len(kind))
    entry, leave = edges[segments, _ENTRY[kind]], edges[segments, _EXIT[kind]]
    order = np.argsort(entry)
    entry, leave = entry[order], leave[order]
    following = np.searchsorted(entry, leave).tolist()

    first, downwards = entry >> 1, (entry & 1).astype(bool)
    start = values[first].astype(np.float32)
    end = values[first + np.where(downwards, width, 1)].astype(np.float32)
    fraction = (127.5 - start) / (end - start)
    points = np.stack([first % width - 1, first // width - 1], axis=1).astype(np.float32)
    points[segments, downwards.astype(np.int64)] += fraction

    polygons = []
    seen = bytearray(len(following))
    for begin in range(len(following)):
        loop = []
        segment = begin
        while not seen[segment]:
            seen[segment] = 1
            loop.append(segment)
            segment = following[segment]
        if loop:
            polygons.append(points[loop])
    return sorted(polygons, key=cv2.contourArea, reverse=True)
