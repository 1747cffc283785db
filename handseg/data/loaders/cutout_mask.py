"""The mask that a cut-out shows: by its alpha, or as what is not a plain black or white ground.

What a file holds counts, not its name: PNG content with alpha behind a `.jpeg` name is common.
"""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from handseg.errors import ImageError
from handseg.io.images import load_image
from handseg.runtime.arrays import border_labels

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
    try:
        with Image.open(path) as image:
            if not image.has_transparency_data:
                return color, None
            alpha = np.asarray(ImageOps.exif_transpose(image).convert("RGBA").getchannel("A"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"the alpha of {path} cannot be read: {error}") from error
    return color, None if alpha.min() == 255 else alpha


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
    like_ground = (distance <= floor).astype(np.uint8)
    _, parts = cv2.connectedComponents(like_ground, connectivity=4)
    outer = np.zeros(int(parts.max()) + 1, bool)
    outer[border_labels(parts)] = True
    outer[0] = False
    ground = outer[parts]
    return _without_specks(ground), (like_ground > 0) & ~ground


def _distance(color: np.ndarray, value: int) -> np.ndarray:
    """How far each pixel is from grey `value`, (H, W) uint8: the most of its channels."""
    return (color if value == 0 else 255 - color).max(axis=2)


def _rim(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def _without_specks(ground: np.ndarray) -> np.ndarray:
    """`ground` (H, W) bool and all islands in it that are too small to be part of a hand."""
    count, islands, stats, _ = cv2.connectedComponentsWithStats((~ground).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0
    return ground | ((areas < _SPECK * areas.max())[islands] if count > 1 else False)


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
    count, places = cv2.connectedComponents(enclosed.astype(np.uint8), connectivity=4)
    if count == 1:
        return mask
    difference = cv2.absdiff(color, photo).max(axis=2)
    areas = np.bincount(places.ravel(), minlength=count)
    mean = np.bincount(places.ravel(), difference.ravel(), minlength=count) / np.maximum(areas, 1)
    cut_away = mean > _SAME
    cut_away[0] = False
    return mask & ~cut_away[places]
