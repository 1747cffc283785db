"""Load images from files, bytes, arrays or tensors as RGB arrays."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

import cv2
import numpy as np
from PIL import Image

from handseg.errors import ImageError
from handseg.io.decode import MAX_PIXELS, FileSource, OpenImage, open_image
from handseg.io.jpeg import decode_jpeg, read_plain_jpeg, upright
from handseg.io.profiles import pixels_to_srgb, srgb_transform
from handseg.runtime.forks import forks_wait

if TYPE_CHECKING:
    import torch

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | np.ndarray | torch.Tensor"
)
"""What `load_image` takes."""

_ROUNDING = 1e-4  # How far floats may lie outside 0..1, because of float32 arithmetic.


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image with the metadata of its file.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, as `load_image` returns it.
        dpi: px per inch across and down the upright image; None if unknown.
        warnings: what was left out, completed or ignored; each text follows the image's name.
    """

    pixels: np.ndarray
    dpi: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()


def load_image(
    source: ImageSource,
    *,
    channel_order: Literal["rgb", "bgr"] = "rgb",
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Convert any image to RGB.

    Values: bool becomes 0 and 255; 16-bit values are divided by 257; floats must lie in 0..1 and
    are multiplied by 255; other integers must lie in 0..255. All are rounded, except that Pillow
    truncates 16-bit colour files to their high bytes. Alpha is dropped, not blended with a
    background, so the transparent pixels of a cut-out reappear as stored. Colours are converted to
    sRGB with the image's ICC profile; a damaged profile is ignored. Only the first frame or page is
    loaded. A JPEG whose end is missing is completed in grey if nearly all rows are there. The last
    three log a warning.

    Args:
        source: a path; the bytes of a file; a binary file object, read from its start and left
            open; a PIL image; an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); or a torch
            tensor (H, W), (1, H, W), (3, H, W) or (4, H, W) on any device. The EXIF orientation
            of files and PIL images is applied.
        channel_order: of arrays and tensors; "bgr" is what `cv2.imread` returns.
        max_pixels: larger files and PIL images are refused before they are decoded.

    Returns:
        (H, W, 3) uint8 RGB, contiguous, writable, sharing no memory with `source`.

    Raises:
        ImageError: if `source` is missing, not an image, damaged, empty, too large, or of a shape,
            type or range not listed above.
    """
    return read_image(source, channel_order=channel_order, max_pixels=max_pixels).pixels


def read_image(
    source: ImageSource,
    *,
    channel_order: Literal["rgb", "bgr"] = "rgb",
    max_pixels: int = MAX_PIXELS,
) -> LoadedImage:
    """Like `load_image`, but also return the resolution and warnings."""
    if channel_order not in ("rgb", "bgr"):
        raise ValueError(f'channel_order must be "rgb" or "bgr", got {channel_order!r}')
    if isinstance(source, np.ndarray):
        return LoadedImage(_from_array(source, channel_order))
    # Without torch imported, `source` cannot be a tensor. Importing it would take seconds.
    tensor_type: Any = getattr(sys.modules.get("torch"), "Tensor", ())
    if isinstance(source, tensor_type):
        return LoadedImage(_from_tensor(source, channel_order))
    file_like = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)
    file: Any = source
    if isinstance(source, file_like) or hasattr(source, "read"):
        return _from_file(file, max_pixels)
    raise ImageError(
        "an image must be a path, bytes, a binary file, a PIL image, a numpy array or a torch "
        f"tensor, got {type(source).__name__}"
    )


def _from_file(source: FileSource, max_pixels: int) -> LoadedImage:
    with open_image(source, max_pixels) as opened:
        jpeg = None if opened.file is None else read_plain_jpeg(opened.file, opened.image)
        pixels = None if jpeg is None else decode_jpeg(jpeg)
        if pixels is None:
            pixels = _decode(opened)
        else:
            pixels = pixels_to_srgb(pixels, opened.image, opened.warn)
        orientation = opened.orientation()
        dpi = opened.dpi(orientation)
        return LoadedImage(upright(pixels, orientation), dpi, tuple(opened.warnings))


def _decode(opened: OpenImage) -> np.ndarray:
    """Decode the image with Pillow to (H, W, 3) uint8 sRGB, not turned upright."""
    image, name = opened.decoded(), opened.name
    transform = srgb_transform(image, opened.warn)
    if transform is not None and image.mode == transform.input_mode:
        return np.array(transform.apply(image))
    if image.mode == "RGB":
        image_rgb = image
    elif image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode == "I":  # Some formats give 16-bit greys in 32 bits.
            low, high = values.min(), values.max()
            if low < 0 or high > 65535:
                raise ImageError(f"{name} has values from {low} to {high}, expected 0..65535")
            values = values.astype(np.uint16)
        image_rgb = Image.fromarray(_to_uint8(values, name)).convert("RGB")
    else:
        # Via RGBA, a palette's transparency is dropped without a warning; La only converts via LA.
        step = {"P": "RGBA", "La": "LA"}.get(image.mode, image.mode)
        image_rgb = image.convert(step).convert("RGB")
    if transform is None:
        return np.array(image_rgb)
    return np.array(transform.apply(image_rgb.convert(transform.input_mode)))


def _from_tensor(tensor: torch.Tensor, channel_order: str) -> np.ndarray:
    shape = tuple(tensor.shape)
    if len(shape) == 4:
        raise ImageError(f"the tensor is a batch of images, shape {shape}: pass them one by one")
    if len(shape) != 2 and (len(shape) != 3 or shape[0] not in (1, 3, 4)):
        raise ImageError(
            f"the tensor must be (H, W), (1, H, W), (3, H, W) or (4, H, W), got {shape}"
        )
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.float()  # numpy has no bfloat16.
    if len(shape) == 3:
        tensor = tensor.permute(1, 2, 0)
    return _from_array(tensor.numpy(), channel_order, "the tensor")


def _from_array(values: np.ndarray, channel_order: str, name: str = "the array") -> np.ndarray:
    shape = values.shape
    if len(shape) == 4:
        raise ImageError(f"{name} is a batch of images, shape {shape}: pass them one by one")
    if len(shape) != 2 and (len(shape) != 3 or shape[2] not in (1, 3, 4)):
        raise ImageError(
            f"{name} must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {shape}"
            + (": channels come last" if len(shape) == 3 and shape[0] in (1, 3, 4) else "")
        )
    if values.size == 0:
        raise ImageError(f"{name} is empty, shape {shape}, expected at least one pixel")
    bgr, channels = channel_order == "bgr", shape[2] if len(shape) == 3 else 1
    with forks_wait():  # OpenCV's threads have locks.
        pixels = np.ascontiguousarray(_to_uint8(values, name))
        if channels == 1:
            return cv2.cvtColor(pixels.reshape(shape[:2]), cv2.COLOR_GRAY2RGB)
        if channels == 4:
            return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if bgr else cv2.COLOR_RGBA2RGB)
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if bgr else pixels.copy()


def _to_uint8(values: np.ndarray, name: str) -> np.ndarray:
    """Convert `values` of any real dtype to uint8 of the same shape, by `load_image`'s rules."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if values.dtype == np.uint8:
        return values
    if kind == "b":
        return values * np.uint8(255)
    if kind not in "iuf":
        raise ImageError(f"{name} must hold integers, floats or bools, got {values.dtype}")
    if kind == "u" and size == 2:
        native = np.ascontiguousarray(values, np.uint16)
        return cv2.convertScaleAbs(native, alpha=1 / 257).reshape(values.shape)
    low, high = values.min(), values.max()
    if kind == "f":
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
            raise ImageError(
                f"{name} has {values.dtype} values from {low} to {high}, expected 0..1; pass "
                "0..255 as uint8"
            )
        floats = np.ascontiguousarray(values, np.float32)
        return cv2.convertScaleAbs(floats, alpha=255).reshape(values.shape)
    if low < 0 or high > 255:
        raise ImageError(f"{name} has {values.dtype} values from {low} to {high}, expected 0..255")
    return values.astype(np.uint8)
