"""Pictures whose pixels are numbers of classes, and the size of a photo without its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image


def read_classes(path: Path, highest: int) -> np.ndarray:
    """The class of each pixel, (H, W) uint8: greys, or indices into a palette, as they are stored.

    Raises:
        ValueError: if the file cannot be read, has colours, or a class above `highest`.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "P"):
                raise ValueError(f"expected one channel of class numbers, got {image.mode}")
            classes = np.array(image)
    # Damaged files raise what comes.
    except Exception as error:
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
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
    except Exception as error:
        raise ValueError(f"cannot read {path} as a photo: {error}") from error
    return (width, height) if turned else (height, width)
