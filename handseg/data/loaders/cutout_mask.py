"""Masks from cut-outs: from the alpha channel, or else all but a plain black or white background.

The file's contents count, not its name: PNG data with alpha in a `.jpeg` file is common.
"""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np

from handseg.io.decode import open_image
from handseg.io.images import load_image
from handseg.io.jpeg import upright
from handseg.runtime.connected import Components

logger = logging.getLogger(__name__)

GROUNDS = {"black": 0, "white": 255}

_FLAT = 12  # Of 255: how far JPEG shifts a plain colour away from any edge.
# JPEG rings around an edge in proportion to its height, up to one block (8 px) away. A difference
# below this share of the largest within a block is ringing or the background part of a soft edge.
_RINGING = 0.3
_BLOCK = 8
_LEAST_BORDER = 0.02  # Share of the frame's outermost pixels that a background must cover.
_SPECK = 1e-3  # Share of the largest island: smaller ones are JPEG noise.
_SAME = 20.0  # Of 255: mean difference up to which a cut-out matches its photo.


def read_cutout(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a cut-out's colours, (H, W, 3) uint8 RGB, and alpha, (H, W) uint8, both upright.

    The alpha is None if there is none or it hides nothing.

    Raises:
        ImageError: if it cannot be read.
    """
    color = load_image(path)
    with open_image(path) as opened:
        if not opened.image.has_transparency_data:
            return color, None
        alpha = np.array(opened.decoded().convert("RGBA").getchannel("A"))
        return color, None if alpha.min() == 255 else upright(alpha, opened.orientation())


def plain_ground(color: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the background of a cut-out (H, W, 3) uint8 on plain black or white.

    Returns:
        Two masks (H, W) bool: background connected to the frame, and enclosed areas that look like
        it, which may be gaps between fingers or highlights on the skin.

    Raises:
        ValueError: if hardly any of the frame is black or white.
    """
    distances = {name: _distance(color, value) for name, value in GROUNDS.items()}
    shares = {name: float((_rim(values) <= _FLAT).mean()) for name, values in distances.items()}
    name = max(shares, key=lambda key: shares[key])
    if shares[name] < _LEAST_BORDER:
        raise ValueError("it has neither transparency nor a plain black or white ground")
    distance = distances[name]
    reach = np.ones((2 * _BLOCK + 1,) * 2, np.uint8)
    floor = np.maximum(cv2.dilate(distance, reach) * np.float32(_RINGING), _FLAT)
    like_ground = distance <= floor
    parts = Components.of(like_ground, 4)
    ground = parts.on_border()[parts.labels]
    return _without_specks(ground), like_ground & ~ground


def _distance(color: np.ndarray, value: int) -> np.ndarray:
    """Return each pixel's largest channel difference from black or white `value`, (H, W) uint8."""
    return (color if value == 0 else 255 - color).max(axis=2)


def _rim(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def _without_specks(ground: np.ndarray) -> np.ndarray:
    """Add to `ground` (H, W) bool all islands in it that are too small to be part of a hand."""
    islands = Components.of(~ground, 8)
    specks = islands.areas < _SPECK * islands.areas.max()
    return ground | specks[islands.labels]


def open_gaps(
    mask: np.ndarray, enclosed: np.ndarray, color: np.ndarray, photo: np.ndarray
) -> np.ndarray:
    """Remove `enclosed` areas from `mask` where the photo differs from the cut-out.

    Where both have the same colours, skin looks like the background: a highlight or a dark nail.
    Where they differ, the area was cut away.

    Args:
        mask: (H, W) bool.
        enclosed: (H, W) bool, from `plain_ground`.
        color: (H, W, 3) uint8, the cut-out.
        photo: (H, W, 3) uint8.
    """
    places = Components.of(enclosed, 4)
    cut_away = places.sums(cv2.absdiff(color, photo).max(axis=2)) > _SAME * places.areas
    return mask & ~cut_away[places.labels]
