"""Colours converted to sRGB with the ICC profile of an image."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Pillow's mode by the profile's colour space."""
_GREYS = ("1", "L", "LA", "La", "F")
"""Pillow's modes of grey pictures, except those of integers, whose names begin with I."""
_SAME = 3  # Of 255: the many variants of sRGB differ by less, Display P3 by tens.


def pixels_to_srgb(
    pixels: np.ndarray, image: Image.Image, warn: Callable[[str], None] | None = None
) -> np.ndarray:
    """Convert the pixels of `image`, (H, W, 3) uint8 RGB of any size, to sRGB.

    See `srgb_transform`.
    """
    transform = srgb_transform(image, warn)
    if transform is None:
        return pixels
    stored = pixels if transform.input_mode == "RGB" else pixels[..., 0]  # A grey image.
    return np.array(transform.apply(Image.fromarray(stored)))


def srgb_transform(
    image: Image.Image, warn: Callable[[str], None] | None = None
) -> ImageCmsTransform | None:
    """Transform from the colours of `image` to sRGB, by the profile in its file.

    None if there is no profile, if it is sRGB, or if it is damaged or does not fit the image; the
    last two are reported by `warn`, as in `OpenImage.warn`. The transform takes the image as its
    `input_mode`: grey in 8 bits, CMYK or RGB.
    """
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    grey = image.mode in _GREYS or image.mode.startswith("I")
    stored = "L" if grey else "CMYK" if image.mode == "CMYK" else "RGB"
    transform = _transform(profile)
    if transform is None:
        return None
    if not isinstance(transform, str):
        mode = transform.input_mode
        if mode == stored or (mode, stored) == ("RGB", "L"):
            return transform
        transform = f"it is for {mode} images, this one is {image.mode}"
    if warn is not None:
        warn(f": colour profile ignored: {transform}")
    return None


@lru_cache(maxsize=8)
def _transform(profile: bytes) -> ImageCmsTransform | str | None:
    """Transform from the mode of `profile` to RGB; None if it is sRGB, or why there is none."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space not in _MODES:
            return f"it is of the colour space {space}, expected {', '.join(_MODES)}"
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), _MODES[space], "RGB"
        )
    # Damaged profiles raise PyCMSError, OSError and others.
    except Exception as error:
        return " ".join(str(error).split()) or type(error).__name__
    if space == "CMYK":
        return transform
    steps = np.linspace(0, 255, 17).astype(np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(17, -1, 3)
    if space == "GRAY":
        colors = np.repeat(steps[None, :, None], 3, axis=2)
    sample = Image.fromarray(colors).convert(_MODES[space])
    moved = np.asarray(transform.apply(sample)).astype(int)
    return None if np.abs(moved - colors).max() <= _SAME else transform
