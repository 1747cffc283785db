"""JPEG files decoded by OpenCV: the pixels that Pillow gives, in about half the time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import IO, Any

import cv2
import numpy as np
from PIL import Image

_START_OF_SCAN = b"\xff\xda"
_END_OF_IMAGE = b"\xff\xd9"
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # no stuffed FF, fill byte or restart

_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

_UPRIGHT: dict[Any, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: cv2.flip(pixels, 1),
    3: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_180),
    4: lambda pixels: cv2.flip(pixels, 0),
    5: cv2.transpose,
    6: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE),
    7: lambda pixels: cv2.flip(cv2.transpose(pixels), -1),
    8: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


def upright(pixels: np.ndarray, orientation: Any) -> np.ndarray:
    """`pixels` turned as the EXIF orientation says; anything but 2 to 8 turns nothing."""
    turn = _UPRIGHT.get(orientation)
    return pixels if turn is None else turn(pixels)


def read_plain_jpeg(file: IO[bytes], image: Image.Image) -> bytes | None:
    """The content of `file` if it is a JPEG of one whole scan, as cameras write it, else None.

    `image` is what Pillow has opened it as. CMYK, progressive and damaged files are left to Pillow:
    where it refuses a damaged scan, OpenCV may give what it has, the rest grey.
    """
    if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return None
    file.seek(0)
    content = file.read()
    at = 2
    while content[at : at + 1] == b"\xff" and content[at : at + 2] != _START_OF_SCAN:
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    if content[at : at + 2] != _START_OF_SCAN:
        return None
    end = _END_OF_SCAN.search(content, at + 2)
    return content if end is not None and end.group() == _END_OF_IMAGE else None


def decode_jpeg(content: bytes, reduction: int = 1) -> np.ndarray | None:
    """The pixels, (H, W, 3) uint8 RGB as they are stored, or None if OpenCV cannot decode them.

    A `reduction` of 2, 4 or 8 makes them that much fewer in height and width, rounded up.
    """
    flags = cv2.IMREAD_COLOR_RGB if reduction == 1 else _REDUCED[reduction]
    flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None
    if pixels is None or reduction == 1:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
