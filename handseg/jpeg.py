"""JPEG files decoded by OpenCV: the pixels that Pillow gives, in about half the time."""

from __future__ import annotations

import re
from typing import IO

import cv2
import numpy as np

_START_OF_SCAN = b"\xff\xda"
_END_OF_IMAGE = b"\xff\xd9"
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # no stuffed FF, fill byte or restart
_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def read_plain_jpeg(file: IO[bytes]) -> bytes | None:
    """The content of a JPEG file if it is one whole scan, as cameras write it, else None.

    The others, progressive and damaged ones among them, are for Pillow: where it refuses a
    damaged scan, OpenCV may give what it has, the rest grey.
    """
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
    try:
        pixels = cv2.imdecode(
            np.frombuffer(content, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error:
        return None
    if pixels is None or reduction == 1:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
