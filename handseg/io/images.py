"""Images in from wherever they are, as RGB arrays."""

from __future__ import annotations

import io
import logging
import os
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

import cv2
import numpy as np
from PIL import ExifTags, Image

from handseg.errors import ImageError
from handseg.io.jpeg import decode_jpeg, read_plain_jpeg, upright

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | np.ndarray | torch.Tensor"
)
"""What `load_image` takes."""

_HEIF_BRANDS = (b"hei", b"hev", b"mif", b"msf")  # Their first letters.
_ROUNDING = 1e-4  # How far floats may lie outside of 0..1: arithmetic in float32 does that.

MAX_PIXELS = 200_000_000
"""`load_image` refuses files of more pixels."""


def load_image(
    source: ImageSource,
    *,
    channel_order: Literal["rgb", "bgr"] = "rgb",
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Bring any image to RGB.

    Values: bool becomes 0 and 255; 16-bit values are divided by 257; floats must lie in 0..1 and
    are multiplied by 255; other integers must lie in 0..255. All rounded, except that Pillow
    cuts 16-bit colour files to their high bytes. Alpha is dropped, not blended with a background,
    so what a cut-out hides comes back as it is stored. Of an animation or a file of several
    images the first is taken. Colour profiles are not applied.

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
        ImageError: if `source` is missing, no image, damaged, empty, too large or of a shape, type
            or range that is not listed above.
    """
    if channel_order not in ("rgb", "bgr"):
        raise ValueError(f'channel_order must be "rgb" or "bgr", got {channel_order!r}')
    if isinstance(source, np.ndarray):
        return _from_array(source, channel_order)
    # Nobody holds a tensor before torch is imported, and importing it takes seconds.
    tensor_type: Any = getattr(sys.modules.get("torch"), "Tensor", ())
    if isinstance(source, tensor_type):
        return _from_tensor(source, channel_order)
    if isinstance(source, Image.Image):
        return _from_pil(source, "the PIL image", max_pixels)
    if isinstance(source, str | os.PathLike):
        return _from_path(os.fsdecode(source), max_pixels)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_file(io.BytesIO(source), f"the image ({len(source)} bytes)", max_pixels)
    file: Any = source
    if hasattr(file, "read"):
        name = getattr(file, "name", None)
        name = name if isinstance(name, str) else f"the {type(file).__name__}"
        return _from_file(file, name, max_pixels)
    raise ImageError(
        "an image must be a path, bytes, a binary file, a PIL image, a numpy array or a torch "
        f"tensor, got {type(source).__name__}"
    )


def _from_path(path: str, max_pixels: int) -> np.ndarray:
    try:
        file = Path(path).open("rb")  # noqa: SIM115
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"expected an image file, cannot open {path!r}: {reason}") from error
    with file:
        return _from_file(file, path, max_pixels)


def _from_file(file: IO[bytes], name: str, max_pixels: int) -> np.ndarray:
    if not isinstance(file.read(0), bytes):
        raise ImageError(f"{name} must be open in binary mode, not for text")
    try:
        file.seek(0)
    except (AttributeError, OSError):
        file = io.BytesIO(file.read())
    prefix = file.read(16)
    if not prefix:
        raise ImageError(f"{name} is empty, expected an image")
    missing = ""
    heif = prefix[4:8] == b"ftyp" and prefix[8:11] in _HEIF_BRANDS
    if heif or name.lower().endswith((".heic", ".heif")):
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            missing = "; HEIC needs another package: pip install 'handseg[heif]'"
        else:
            register_heif_opener()
    with _identify(file, prefix, name, missing) as image:
        _check_size(image, name, max_pixels)
        jpeg = read_plain_jpeg(file, image)
        pixels = None if jpeg is None else decode_jpeg(jpeg)
        pixels = _decode(image, name) if pixels is None else pixels
        return upright(pixels, _orientation(image, name))


def _identify(file: IO[bytes], prefix: bytes, name: str, missing: str) -> Image.Image:
    """`Image.open` without its limit on pixels, a global; `max_pixels` takes its place."""
    Image.init()
    reason = ""
    for kind in list(Image.ID):
        if kind == "EPS":  # Decoding would start Ghostscript.
            continue
        factory, accept = Image.OPEN[kind]
        try:
            accepted = accept is None or accept(prefix)
            if isinstance(accepted, str):
                reason = f": {accepted}"
            elif accepted:
                file.seek(0)
                return factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue  # Another format.
        except Exception as error:
            # A damaged header makes decoders raise almost anything.
            reason = f": {error}"
    raise ImageError(f"{name} is not an image that can be read{reason}{missing}")


def _from_pil(image: Image.Image, name: str, max_pixels: int) -> np.ndarray:
    _check_size(image, name, max_pixels)
    return upright(_decode(image, name), _orientation(image, name))


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{name} has {width} x {height} pixels, expected at most {max_pixels} (max_pixels)"
        )
    if width * height == 0:
        raise ImageError(f"{name} has {width} x {height} pixels, expected at least one")


def _decode(image: Image.Image, name: str) -> np.ndarray:
    """The pixels as Pillow decodes them, as they are stored: not turned upright."""
    width, height = image.size
    try:
        with _without_pillows_limit(width * height):
            image.load()
    except Exception as error:
        raise ImageError(
            f"{name} cannot be decoded, it may be truncated or damaged: {error}"
        ) from error

    if image.mode == "RGB":
        image_rgb = image
    elif image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode == "I":  # 16-bit greys in 32 bits, as some formats give them.
            low, high = values.min(), values.max()
            if low < 0 or high > 65535:
                raise ImageError(f"{name} has values from {low} to {high}, expected 0..65535")
            values = values.astype(np.uint16)
        image_rgb = Image.fromarray(_to_uint8(values, name)).convert("RGB")
    else:
        # By way of RGBA a palette's transparency goes without a warning; La goes only by LA.
        step = {"P": "RGBA", "La": "LA"}.get(image.mode, image.mode)
        image_rgb = image.convert(step).convert("RGB")
    return np.array(image_rgb)


_limit_lock = threading.Lock()


@contextmanager
def _without_pillows_limit(pixels: int) -> Iterator[None]:
    """For decoders that check the size once more: lift the global limit if it is in the way."""
    if Image.MAX_IMAGE_PIXELS is not None and pixels <= Image.MAX_IMAGE_PIXELS:
        yield
        return
    with _limit_lock:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _orientation(image: Image.Image, name: str) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception as error:
        # Viewers show photos with a broken EXIF block, too.
        logger.warning("%s: EXIF orientation ignored: %s", name, error)
        return None


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
    pixels = np.ascontiguousarray(_to_uint8(values, name))
    channels = shape[2] if len(shape) == 3 else 1
    if channels == 1:
        return cv2.cvtColor(pixels.reshape(shape[:2]), cv2.COLOR_GRAY2RGB)
    if channels == 4:
        bgr = channel_order == "bgr"
        return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if bgr else cv2.COLOR_RGBA2RGB)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if channel_order == "bgr" else pixels.copy()


def _to_uint8(values: np.ndarray, name: str) -> np.ndarray:
    """`values` of any real dtype as uint8, by the rules of `load_image`; of the same shape."""
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
