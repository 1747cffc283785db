"""Classical filters that earlier systems applied before their networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np


def _bilateral(image: np.ndarray) -> np.ndarray:
    """Smooth skin and walls, but keep edges (Tomasi and Manduchi, ICCV 1998)."""
    return cv2.bilateralFilter(image, d=9, sigmaColor=75, sigmaSpace=75)


def _clahe(image: np.ndarray) -> np.ndarray:
    """Stretch the local contrast of the lightness, CIELab's L (Zuiderveld, 1994)."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _canny(image: np.ndarray) -> np.ndarray:
    """Paint Canny's edges onto the picture in white."""
    edges = cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 50, 150)
    return np.maximum(image, edges[..., None])


def _dilate(image: np.ndarray) -> np.ndarray:
    """Dilate by 3 x 3 px, which widens the edges that "canny" paints."""
    return cv2.dilate(image, np.ones((3, 3), np.uint8))


STEPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bilateral": _bilateral,
    "clahe": _clahe,
    "canny": _canny,
    "dilate": _dilate,
}


def preprocess(image: np.ndarray, steps: Sequence[str]) -> np.ndarray:
    """Apply steps of `STEPS` to `image` (H, W, 3) uint8 RGB in order; return a like image."""
    for step in steps:
        image = STEPS[step](image)
    return image
