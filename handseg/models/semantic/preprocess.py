"""Classical steps before a network: filters that earlier systems put in front of their nets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np


def _bilateral(image: np.ndarray) -> np.ndarray:
    """Smooths skin and walls, and leaves edges where they are (Tomasi and Manduchi, ICCV 1998)."""
    return cv2.bilateralFilter(image, d=9, sigmaColor=75, sigmaSpace=75)


def _clahe(image: np.ndarray) -> np.ndarray:
    """The contrast of each part of the lightness, CIELab's L, stretched (Zuiderveld, 1994)."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _canny(image: np.ndarray) -> np.ndarray:
    """Canny's edges painted white onto the picture."""
    edges = cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 50, 150)
    return np.maximum(image, edges[..., None])


def _dilate(image: np.ndarray) -> np.ndarray:
    """Each pixel the brightest of the 3 x 3 around it: widens the edges that "canny" paints."""
    return cv2.dilate(image, np.ones((3, 3), np.uint8))


STEPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bilateral": _bilateral,
    "clahe": _clahe,
    "canny": _canny,
    "dilate": _dilate,
}


def preprocess(image: np.ndarray, steps: Sequence[str]) -> np.ndarray:
    """Apply steps of `STEPS` to `image` (H, W, 3) uint8 RGB, in order; another such image."""
    for step in steps:
        image = STEPS[step](image)
    return image
