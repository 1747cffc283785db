"""Files that are not images, damaged, too large or need a package."""

from __future__ import annotations

import io
import struct
import sys
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_bytes import PHOTO, encode, refuse
from PIL import Image
from stub_stages import StubModel

from handseg.errors import ImageError
from handseg.io.images import load_image
from handseg.segmenter import HandSegmenter


def noise(height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_paths_that_hold_no_image(tmp_path: Path) -> None:
    refuse(tmp_path / "gone.png", "gone.png.*No such file")
    refuse(str(tmp_path), f"{tmp_path.name}.*directory")
    refuse("a\0b", "null byte")
    for name, content, reason in (
        ("empty.jpg", b"", "empty.jpg is empty"),
        ("notes.jpg", b"Dear diary, this is not a photo.", "notes.jpg is not an image"),
        ("clip.mp4", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "clip.mp4 is not an image"),
        ("script.eps", encode(PHOTO, "EPS"), "script.eps is not an image"),
    ):
        (tmp_path / name).write_bytes(content)
        refuse(tmp_path / name, reason)


def test_bytes_and_files_that_hold_no_image() -> None:
    refuse(b"", "empty")
    refuse(b"abc", r"3 bytes\) is not an image")
    refuse(io.BytesIO(b"abc"), "the BytesIO is not an image")
    refuse(io.StringIO("abc"), "StringIO must be open in binary mode")


@pytest.mark.parametrize("source", [None, 3, [[1, 2], [3, 4]], ["a.jpg"], {"image": 1}, object()])
def test_unsupported_types(source: object) -> None:
    refuse(source, f"must be a path.*got {type(source).__name__}")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "AVIF"])
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_truncated_files(tmp_path: Path, kind: str, kept: float) -> None:
    content = encode(noise(), kind)
    path = tmp_path / "cut.img"
    path.write_bytes(content[: int(len(content) * kept)])
    refuse(path, r"cut.img (cannot be decoded|is not an image)")


@settings(deadline=None, max_examples=150)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"]),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8),
    end=st.integers(0, 2000),
)
def test_damaged_files_give_pixels_or_an_image_error(
    kind: str, changes: list[tuple[int, int]], end: int
) -> None:
    content = bytearray(encode(PHOTO, kind))
    for place, value in changes:
        content[place % len(content)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pixels = load_image(bytes(content[: end or None]), max_pixels=100_000)
        except ImageError:
            return
    assert pixels.ndim == 3
    assert pixels.dtype == np.uint8


def test_an_image_of_no_pixels() -> None:
    refuse(Image.new("RGB", (0, 5)), "0 x 5 pixels")
    png = bytearray(encode(PHOTO))
    png[16:20] = bytes(4)  # The width in the header.
    refuse(bytes(png), "not an image")
    for shape in ((0, 5, 3), (5, 0), (0, 0, 4)):
        refuse(np.zeros(shape, np.uint8), "the array is empty")


def bomb(width: int, height: int) -> bytes:
    """Make a PNG whose header declares far more pixels than the file holds."""
    png = bytearray(encode(PHOTO))
    png[16:24] = struct.pack(">II", width, height)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    return bytes(png)


def test_decompression_bombs_are_refused_from_the_header() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        began = time.perf_counter()
        for size in (20_000, 60_000):
            refuse(bomb(size, size), rf"has {size} x {size} pixels, expected at most 200000000")
        assert time.perf_counter() - began < 0.5
    refuse(encode(PHOTO), "max_pixels", max_pixels=5)
    refuse(Image.fromarray(PHOTO), "max_pixels", max_pixels=5)
    assert load_image(encode(PHOTO), max_pixels=6).shape == (2, 3, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "BMP"])
def test_pillows_own_limit_plays_no_part(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(PHOTO, kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_image(content).shape == PHOTO.shape
    assert Image.MAX_IMAGE_PIXELS == 2
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(content))


def test_pillows_limit_stands_after_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(PHOTO, "TIFF")  # Pillow's TIFF decoder checks the limit, too.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
    with ThreadPoolExecutor(8) as pool:
        shapes = {pixels.shape for pixels in pool.map(load_image, [content] * 200)}
    assert shapes == {PHOTO.shape}
    assert Image.MAX_IMAGE_PIXELS == 2
    cut = encode(noise(), "TIFF")[:3000]
    refuse(cut, "cannot be decoded")
    assert Image.MAX_IMAGE_PIXELS == 2


def test_heic_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    content = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(content)
    refuse(path, r"IMG_0001.HEIC.*pip install 'handseg\[heif\]'")
    refuse(content, r"pip install 'handseg\[heif\]'")
    # Phones and messengers rename files without converting them.
    path.write_bytes(encode(PHOTO))
    np.testing.assert_array_equal(load_image(path), PHOTO)


def test_heic_with_its_package(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "photo.heic"
    pillow_heif.from_pillow(Image.new("RGB", (64, 32), (200, 100, 50))).save(path, quality=95)
    pixels = load_image(path)
    assert pixels.shape == (32, 64, 3)
    np.testing.assert_allclose(pixels.mean((0, 1)), (200, 100, 50), atol=4)


@pytest.mark.parametrize("url", ["https://example.org/hand.jpg", "http://example.org/hand.jpg"])
def test_urls_are_not_fetched(url: str) -> None:
    with pytest.raises(ImageError, match="URLs are not fetched, download the image first"):
        load_image(url)


def test_paths_and_files_that_segment_cannot_read_either() -> None:
    with pytest.raises(ImageError, match="cannot open 'xxx"):
        HandSegmenter(StubModel()).segment("x" * 300)
    closed = io.BytesIO(encode(PHOTO))
    closed.close()
    refuse(closed, "the BytesIO cannot be read: .*closed")


def record(number: int, content: bytes, group: int = 3) -> bytes:
    """Make a field of an IPTC file."""
    return struct.pack(">BBBHI", 0x1C, group, number, 0x8400, len(content)) + content


def iptc(inner: bytes) -> bytes:
    """Make an IPTC file that declares 10 x 10 pixels and holds the image `inner`."""
    ten, jpeg = struct.pack(">I", 10), struct.pack(">I", 5)
    fields = ((60, b"\x01\x00"), (20, ten), (30, ten), (120, jpeg))
    return b"".join(record(*field) for field in fields) + record(10, inner, 8)


def blp(inner: bytes) -> bytes:
    """Make a BLP file that declares 10 x 10 pixels and holds the JPEG `inner`."""
    start = 4 + 24 + 128 + 4
    places = struct.pack("<32I", start, *15 * [0], len(inner), *15 * [0])
    return b"BLP1" + struct.pack("<6I", 0, 0, 10, 10, 5, 0) + places + bytes(4) + inner


def test_an_image_in_another_is_not_opened() -> None:
    refuse(iptc(encode(noise(200, 200))), "not an image", max_pixels=1000)
    refuse(blp(encode(noise(200, 200), "JPEG")), "not an image", max_pixels=1000)
    refuse(encode(noise(), "ICO"), "not an image")


def test_an_image_of_another_size_than_its_header_says(monkeypatch: pytest.MonkeyPatch) -> None:
    # None of the formats that are opened is known to do this, but other packages can add some.
    monkeypatch.setattr("handseg.io.decode._NOT_OPENED", ())
    refuse(iptc(encode(noise(200, 200))), "holds 200 x 200 pixels, but its header says 10 x 10")
