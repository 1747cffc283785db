"""The mask that a cut-out shows: by its alpha, or as what is not a plain black or white ground.

What a file holds counts, not its name: PNG content with alpha behind a `.jpeg` name is common.
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

_FLAT = 12  # Of 255: what JPEG makes of a plain colour far from any edge.
# JPEG rings around an edge in proportion to its height, a block (8 px) far. What differs less than
# this share of the most within a block is ringing or the ground's share of a soft edge.
_RINGING = 0.3
_BLOCK = 8
_LEAST_BORDER = 0.02  # Of the frame's outermost pixels that a ground must have.
_SPECK = 1e-3  # Of the largest island: JPEG noise.
_SAME = 20.0  # Of 255: mean difference up to which a cut-out shows what its photo shows.


def read_cutout(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A cut-out's colours, (H, W, 3) uint8 RGB, and alpha, (H, W) uint8, both upright.

    The alpha is None where there is none, or it hides nothing.

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
    """Where a cut-out (H, W, 3) uint8 on plain black or white shows the ground.

    Returns:
        Two masks (H, W) bool: ground that reaches the frame, and what looks like it but is
        enclosed, which may be a gap between fingers or a highlight on the skin.

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
    """How far each pixel is from grey `value`, (H, W) uint8: the most of its channels."""
    return (color if value == 0 else 255 - color).max(axis=2)


def _rim(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def _without_specks(ground: np.ndarray) -> np.ndarray:
    """`ground` (H, W) bool and all islands in it that are too small to be part of a hand."""
    islands = Components.of(~ground, 8)
    specks = islands.areas < _SPECK * islands.areas.max()
    return ground | specks[islands.labels]


def open_gaps(
    mask: np.ndarray, enclosed: np.ndarray, color: np.ndarray, photo: np.ndarray
) -> np.ndarray:
    """Take those of the `enclosed` places out of `mask` that the photo shows otherwise.

    Where the photo has the same colours as the cut-out it is skin that looks like the ground: a
    highlight, a dark nail. Where it has not, it was cut away.

    Args:
        mask: (H, W) bool.
        enclosed: (H, W) bool, from `plain_ground`.
        color: (H, W, 3) uint8, the cut-out.
        photo: (H, W, 3) uint8.
    """
    places = Components.of(enclosed, 4)
    cut_away = places.sums(cv2.absdiff(color, photo).max(axis=2)) > _SAME * places.areas
    return mask & ~cut_away[places.labels]
