"""JPEG decoding by OpenCV: the same pixels as Pillow's, in about half the time."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import IO, Any

import cv2
import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from handseg.runtime.forks import forks_wait

JPEG_FORMATS = ("JPEG", "MPO")
"""Pillow's names; MPO is what phones write: a JPEG followed by another."""

_START_OF_SCAN = b"\xff\xda"
_END_OF_IMAGE = b"\xff\xd9"
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # Not a stuffed FF, fill byte or restart.

# Scan data in which any decoder finds something to draw.
_ANYTHING = b"\x5a\xa5" * 1024
_LEAST_ROWS = 0.9  # Of a truncated file: hands may be anywhere in the rest.

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
    """Turn `pixels` upright by the EXIF orientation; values other than 2 to 8 change nothing."""
    turn = _UPRIGHT.get(orientation)
    return pixels if turn is None else turn(pixels)


def read_plain_jpeg(file: IO[bytes], image: Image.Image) -> bytes | None:
    """Read `file` if it is a JPEG with one whole scan, as cameras write it; else return None.

    `image` is the file as opened by Pillow. CMYK, progressive and damaged files are left to Pillow:
    it refuses a damaged scan, where OpenCV may return a partial image with the rest in grey.
    """
    if image.format not in JPEG_FORMATS or image.mode not in ("RGB", "L"):
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
    """Decode to (H, W, 3) uint8 RGB, not turned upright; None if OpenCV cannot decode it.

    A `reduction` of 2, 4 or 8 divides height and width by that factor, rounded up.
    """
    flags = cv2.IMREAD_COLOR_RGB if reduction == 1 else _REDUCED[reduction]
    flags |= cv2.IMREAD_IGNORE_ORIENTATION
    with forks_wait():  # OpenCV's threads have locks.
        try:
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
        except cv2.error:
            return None
        if pixels is None or reduction == 1:
            return pixels
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def is_cut_jpeg(content: bytes) -> bool:
    """Whether a file is a JPEG that ends before its first picture does.

    What phones append to it, such as a video, may hold the bytes of any marker.
    """
    if not content.startswith(b"\xff\xd8"):
        return False
    at = 2
    while (marker := _END_OF_SCAN.search(content, at)) is not None:
        if marker.group() == _END_OF_IMAGE:
            return False
        at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2], "big")
    return True


def complete_jpeg(content: bytes) -> tuple[Image.Image, float] | None:
    """Decode a truncated JPEG file, with the share of rows it has; the rest is grey or coarse.

    Returns None if that share is below nine tenths, if it cannot be decoded, or if a progressive
    file ends before its finest details.
    """
    scan = content.rfind(_START_OF_SCAN)
    header = content[scan + 2 : scan + 2 + int.from_bytes(content[scan + 2 : scan + 4], "big")]
    if scan < 0 or not header or header[-1] & 15:  # Coefficient bits still missing.
        return None
    content = content.rstrip(b"\0\xff")  # Zeros from a failed copy would decode as blocks.
    try:
        # Two versions of the file with different data after its end differ where its data ends.
        image, other = (
            JpegImageFile(io.BytesIO(content + more + _END_OF_IMAGE)) for more in (b"", _ANYTHING)
        )
        differs = (np.asarray(image) != np.asarray(other)).reshape(image.height, -1).any(axis=1)
    except Exception:  # Pillow has reported it for the file itself.
        return None
    rows = float(differs.argmax() / len(differs)) if differs.any() else 1.0
    return (image, rows) if rows >= _LEAST_ROWS else None
