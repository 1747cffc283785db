"""Open and decode images with Pillow, from paths, bytes, files or PIL images."""

from __future__ import annotations

import io
import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias

from PIL import ExifTags, Image

from handseg.errors import ImageError
from handseg.io.jpeg import JPEG_FORMATS, complete_jpeg
from handseg.runtime.forks import Mutex

logger = logging.getLogger(__name__)

FileSource: TypeAlias = "str | os.PathLike[str] | bytes | IO[bytes] | Image.Image"
"""What `open_image` takes."""

_HEIF_BRANDS = (b"hei", b"hev", b"mif", b"msf")  # The first three letters.

_NOT_OPENED = ("BLP", "EPS", "ICNS", "ICO", "IPTC")
"""Formats that are not opened. EPS would start Ghostscript. The others hold whole images of other
formats, which Pillow decodes before their size can be checked."""

_HIGHEST_DPI = 65535  # The maximum in JPEG.

MAX_PIXELS = 200_000_000
"""Files with more pixels are refused."""


@dataclass(frozen=True, eq=False)
class OpenImage:
    """An image whose header has been read.

    Attributes:
        image: as opened by Pillow.
        name: its name in messages.
        file: the file it is read from; None for a PIL image.
        warnings: warnings about it, each without the leading name.
    """

    image: Image.Image
    name: str
    file: IO[bytes] | None = None
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Log a warning about the file; `text` follows its name."""
        logger.warning("%s%s", self.name, text)
        self.warnings.append(text)

    def frames(self) -> int:
        """Number of frames or pages in the file.

        The second picture in a phone's JPEG (MPO), the depth or light of the first, is not counted.
        """
        if self.file is None or self.image.format in JPEG_FORMATS:
            return 1
        try:
            return getattr(self.image, "n_frames", 1)
        except Exception:
            with suppress(Exception):  # Decoding reports it.
                self.image.seek(0)  # Counting stopped at a damaged page.
            return 1

    def decoded(self) -> Image.Image:
        """The pixels as stored: not turned upright, in any mode.

        Only the first of several frames or pages is decoded. A JPEG whose end is missing is
        completed in grey if nearly all rows are there. Both log a warning.

        Raises:
            ImageError: if they cannot be decoded.
        """
        if (frames := self.frames()) > 1:
            self.warn(f" has {frames} frames or pages: only the first is used")
        width, height = self.image.size
        try:
            with _without_pillows_limit(width * height):
                self.image.load()
        except Exception as error:
            if self.file is not None and self.image.format in JPEG_FORMATS:
                self.file.seek(0)
                completed = complete_jpeg(self.file.read())
                if completed is not None:
                    image, rows = completed
                    there = f"{rows:.0%} of its rows are there, the rest is grey or coarse"
                    self.warn(f" is cut short: {there}")
                    return image
            raise ImageError(
                f"{self.name} cannot be decoded, it may be truncated or damaged: {error}"
            ) from error
        if self.image.im.size != self.image.size:
            # It was checked by the size in the header.
            inner, outer = (" x ".join(map(str, one.size)) for one in (self.image.im, self.image))
            raise ImageError(f"{self.name} holds {inner} pixels, but its header says {outer}")
        return self.image

    def orientation(self) -> Any:
        """The EXIF orientation, for `handseg.io.jpeg.upright`."""
        try:
            return self.image.getexif().get(ExifTags.Base.Orientation)
        except Exception as error:
            # Viewers show photos with a broken EXIF block, too.
            self.warn(f": EXIF orientation ignored: {error}")
            return None

    def dpi(self, orientation: Any) -> tuple[float, float] | None:
        """The file's resolution in px per inch, across and down the upright image."""
        try:
            across, down = (float(value) for value in self.image.info["dpi"])
        except Exception:  # Missing, or not a resolution.
            return None
        if not (1 < across <= _HIGHEST_DPI and 1 < down <= _HIGHEST_DPI):  # Pillow's 1 means none.
            return None
        return (down, across) if orientation in range(5, 9) else (across, down)


@contextmanager
def open_image(source: FileSource, max_pixels: int = MAX_PIXELS) -> Iterator[OpenImage]:
    """Open a path, the bytes of a file, a binary file or a PIL image.

    Raises:
        ImageError: if it is missing, empty, not an image, or has no or over `max_pixels` pixels.
    """
    if isinstance(source, Image.Image):
        yield _checked(OpenImage(source, "the PIL image"), max_pixels)
    elif isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        try:
            file = Path(path).open("rb")  # noqa: SIM115
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            if path.startswith(("http://", "https://")):
                reason = "URLs are not fetched, download the image first"
            raise ImageError(f"expected an image file, cannot open {path!r}: {reason}") from error
        with file, _opened(file, path, max_pixels) as opened:
            yield opened
    elif isinstance(source, bytes | bytearray | memoryview):
        name = f"the image ({len(source)} bytes)"
        with _opened(io.BytesIO(source), name, max_pixels) as opened:
            yield opened
    else:
        known = getattr(source, "name", None)
        name = known if isinstance(known, str) else f"the {type(source).__name__}"
        with _opened(source, name, max_pixels) as opened:
            yield opened


@contextmanager
def _opened(file: IO[bytes], name: str, max_pixels: int) -> Iterator[OpenImage]:
    try:
        binary = isinstance(file.read(0), bytes)
    except (OSError, ValueError) as error:
        raise ImageError(f"{name} cannot be read: {error}") from error
    if not binary:
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
        yield _checked(OpenImage(image, name, file), max_pixels)


def _identify(file: IO[bytes], prefix: bytes, name: str, missing: str) -> Image.Image:
    """Like `Image.open`, but without its global pixel limit, which `max_pixels` replaces."""
    Image.init()
    reason = ""
    for kind in list(Image.ID):
        if kind in _NOT_OPENED:
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


def _checked(opened: OpenImage, max_pixels: int) -> OpenImage:
    width, height = opened.image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{opened.name} has {width} x {height} pixels, expected at most {max_pixels} "
            "(max_pixels)"
        )
    if width * height == 0:
        raise ImageError(f"{opened.name} has {width} x {height} pixels, expected at least one")
    return opened


_limit_lock = Mutex()


@contextmanager
def _without_pillows_limit(pixels: int) -> Iterator[None]:
    """Lift Pillow's global limit if `pixels` exceed it: some decoders check the size again."""
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
