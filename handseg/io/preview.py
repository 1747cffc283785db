"""A small copy of a large photo, available before the photo is decoded."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from PIL import ExifTags
from PIL.JpegImagePlugin import JpegImageFile

from handseg.io.decode import MAX_PIXELS
from handseg.io.images import ImageSource, LoadedImage, read_image
from handseg.io.jpeg import decode_jpeg, read_plain_jpeg, upright
from handseg.io.profiles import pixels_to_srgb
from handseg.runtime.forks import forks_wait


@contextmanager
def load_with_preview(
    source: ImageSource, side: int
) -> Iterator[tuple[np.ndarray | None, Callable[[], LoadedImage]]]:
    """Decode a smaller copy of a large JPEG file while a thread decodes all of it.

    Yields the copy, (h, w, 3) uint8 RGB, upright, and a function that returns and raises what
    `read_image(source)` does. The copy is the largest of a half, a quarter or an eighth of the
    photo that is at most `side` px long, or else the eighth. It is None if the photo is not longer
    than twice `side` (decoding is fast), for progressive files, for other formats than JPEG and
    for sources other than paths and bytes. The thread has ended when the block is left.
    """
    found = _read_large_jpeg(source, 2 * side)
    if found is None:
        yield None, partial(read_image, source)
        return
    content, image, orientation = found
    length = max(image.size)
    with ThreadPoolExecutor(1, "decoder") as pool:
        photo = pool.submit(read_image, source)
        by = next(by for by in (2, 4, 8) if by == 8 or length <= by * side)
        small = decode_jpeg(content, by)
        if small is not None:
            small = upright(pixels_to_srgb(_fitted(small, image.size, by), image), orientation)
        yield small, photo.result


def _fitted(small: np.ndarray, size: tuple[int, int], by: int) -> np.ndarray:
    """Stretch the copy of a photo of `size` (width, height) to end where the photo ends.

    The copy is reduced by the factor `by`. If a side of the photo is no multiple of it, the copy's
    last pixels reach beyond the photo.
    """
    height, width = small.shape[:2]
    across, down = size[0] / (by * width), size[1] / (by * height)
    if across == down == 1:
        return small
    back = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]])
    with forks_wait():  # OpenCV's threads have locks.
        return cv2.warpAffine(
            small, back, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip


def _read_large_jpeg(
    source: ImageSource, least: int
) -> tuple[bytes, JpegImageFile, int | None] | None:
    """Content, header and EXIF orientation; None if not a JPEG or not longer than `least` px."""
    if not isinstance(source, str | os.PathLike | bytes):
        return None
    try:
        if not isinstance(source, bytes) and not Path(os.fsdecode(source)).is_file():
            return None  # A pipe can be read only once.
        with _open(source) as file, JpegImageFile(file) as image:
            if max(image.size) <= least or image.width * image.height > MAX_PIXELS:
                return None
            content = read_plain_jpeg(file, image)
            orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # `read_image` reports it.
        return None
    return None if content is None else (content, image, orientation)


def _open(source: str | os.PathLike[str] | bytes) -> IO[bytes]:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    return Path(os.fsdecode(source)).open("rb")
