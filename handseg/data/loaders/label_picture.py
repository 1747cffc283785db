"""Pictures whose pixels are numbers of classes, and the size of a photo without its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handseg.io.decode import open_image


def read_classes(path: Path, highest: int) -> np.ndarray:
    """The class of each pixel, (H, W) uint8: greys, or indices into a palette, as they are stored.

    Raises:
        ValueError: if the file cannot be read, has colours, or a class above `highest`.
    """
    try:
        with open_image(path) as opened:
            if opened.image.mode not in ("L", "P"):
                raise ValueError(f"expected one channel of class numbers, got {opened.image.mode}")
            classes = np.array(opened.decoded())
    except ValueError as error:
        raise ValueError(f"cannot read {path} as a picture of classes: {error}") from error
    if classes.max() > highest:
        raise ValueError(f"{path} has class {classes.max()}, expected 0 to {highest}")
    return classes


def upright_shape(path: Path) -> tuple[int, int]:
    """(H, W) of the photo as `load_image` turns it; only the file's head is read.

    Raises:
        ValueError: if it is no image.
    """
    try:
        with open_image(path) as opened:
            width, height = opened.image.size
            turned = opened.orientation() in range(5, 9)
    except ValueError as error:
        raise ValueError(f"cannot read {path} as a photo: {error}") from error
    return (width, height) if turned else (height, width)
