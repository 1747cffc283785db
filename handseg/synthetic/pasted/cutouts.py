"""Cut-outs, ready to paste: edge colours cleaned, hand and forearm told apart."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from handseg.landmarks.anatomy import wrist_side
from handseg.synthetic.pasted.sources import Example

# Keyed from a green screen: the green light that it throws on the skin is removed.
GREEN_SETS = ("rps_green", "massey_asl")


@dataclass(frozen=True, eq=False)
class Cutout:
    """A hand to paste.

    Attributes:
        color: (H, W, 3) uint8 RGB, the skin's colours extended past the mask, so that a soft edge
            shows none of the old background.
        alpha: (H, W) float32 0..1, all skin that the mask shows.
        hand: (H, W) float32 0..1, the part of `alpha` that is hand and not forearm.
        landmarks: (21, 2) float32 x, y px.
    """

    color: np.ndarray
    alpha: np.ndarray
    hand: np.ndarray
    landmarks: np.ndarray


def make_cutout(example: Example) -> Cutout:
    """Load `example`, which must have landmarks, as a cut-out cropped to its mask."""
    image, mask = example.load()
    landmarks = example.landmarks
    if landmarks is None:
        raise ValueError(f"{example.id} has no landmarks to tell hand from forearm")
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    top, left = max(0, rows[0] - 4), max(0, columns[0] - 4)
    window = (slice(top, rows[-1] + 5), slice(left, columns[-1] + 5))
    image, mask = image[window], mask[window]
    landmarks = landmarks - np.array([left, top], np.float32)

    binary: np.ndarray = mask.astype(np.uint8)
    if example.set_name in GREEN_SETS:
        image = _despill(image)
        # The keyed outline includes a rim of half-green pixels.
        binary = cv2.erode(binary, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    alpha = cv2.GaussianBlur(binary.astype(np.float32), (0, 0), 0.8)
    hand = alpha * wrist_side(landmarks, *mask.shape)
    return Cutout(_extend_colors(image, binary), alpha, hand, landmarks)


def _despill(image: np.ndarray) -> np.ndarray:
    red, green, blue = cv2.split(image)
    # Skin is never greener than it is red; blue is the darker neighbour in shadows.
    limit = cv2.addWeighted(red, 0.75, blue, 0.25, 0)
    return cv2.merge([red, cv2.min(green, limit), blue])


def _extend_colors(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill the outside of `mask` with the colours just inside it."""
    core = cv2.erode(mask, np.ones((3, 3), np.uint8))
    result = image.astype(np.float32)
    known = core.astype(np.float32)
    for sigma in (1.5, 4.0, 12.0):
        weight = cv2.GaussianBlur(known, (0, 0), sigma)
        mean = cv2.GaussianBlur(result * known[..., None], (0, 0), sigma)
        fill = (known < 0.5) & (weight > 0.01)
        result[fill] = mean[fill] / weight[fill][:, None]
        known = np.maximum(known, fill.astype(np.float32))
    return np.clip(np.round(result), 0, 255).astype(np.uint8)
