"""Sources, orientations, modes and frames of images."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from image_bytes import PHOTO, encode
from PIL import Image, ImageOps

from handseg.errors import ImageError
from handseg.io.images import load_image

ORIENTATION = 0x0112


class Unseekable(io.RawIOBase):
    """A binary stream like a pipe."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._content.readinto(buffer)


def test_every_kind_of_source_gives_the_same_pixels(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    content = encode(PHOTO)
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    with path.open("rb") as file:
        sources = [
            path,
            str(path),
            content,
            bytearray(content),
            io.BytesIO(content),
            file,
            Unseekable(content),
            Image.open(path),
            Image.fromarray(PHOTO),
            PHOTO,
            np.asfortranarray(PHOTO),
            PHOTO[:, ::-1][:, ::-1],
            torch.from_numpy(PHOTO).permute(2, 0, 1),
        ]
        for source in sources:
            pixels = load_image(source)
            np.testing.assert_array_equal(pixels, PHOTO, err_msg=repr(source))
            assert pixels.dtype == np.uint8
            assert pixels.flags.c_contiguous
            assert pixels.flags.writeable


def test_file_objects_are_read_from_their_start_and_left_open() -> None:
    file = io.BytesIO(encode(PHOTO, "TIFF"))
    file.seek(7)
    for _ in range(2):
        np.testing.assert_array_equal(load_image(file), PHOTO)
    assert not file.closed


def test_what_is_returned_shares_no_memory_with_the_source() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(PHOTO.copy()).permute(2, 0, 1)
    array, picture = PHOTO.copy(), Image.fromarray(PHOTO)
    for source in (array, picture, tensor):
        load_image(source)[:] = 77
    np.testing.assert_array_equal(array, PHOTO)
    np.testing.assert_array_equal(np.asarray(picture), PHOTO)
    np.testing.assert_array_equal(tensor.permute(1, 2, 0).numpy(), PHOTO)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_exif_orientation(orientation: int, kind: str) -> None:
    # EXIF 2.32, 4.6.4: which sides the stored image's 0th row and 0th column show.
    blocks = np.array([[0, 80], [160, 240], [40, 200]], np.uint8)
    upright = np.kron(blocks, np.ones((16, 16), np.uint8))
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].T,
        8: lambda a: np.rot90(a, -1),
    }[orientation](upright)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {"quality": 100}
    picture = Image.fromarray(np.ascontiguousarray(stored)).convert("RGB")
    content = encode(picture, kind, exif=exif.tobytes() if kind == "WEBP" else exif, **options)
    expected = np.repeat(upright[..., None], 3, axis=2)

    pixels = load_image(content)
    assert pixels.shape == expected.shape
    np.testing.assert_allclose(pixels.astype(int), expected, atol=2)
    np.testing.assert_array_equal(load_image(Image.open(io.BytesIO(content))), pixels)
    # As with Pillow, and not rotated twice if the caller already has.
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(np.asarray(turned), pixels)
    np.testing.assert_array_equal(load_image(turned), pixels)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # Pillow's
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", b""])
def test_broken_exif_is_ignored(exif: bytes) -> None:
    content = encode(np.full((8, 8, 3), 90, np.uint8), "JPEG", exif=exif)
    np.testing.assert_allclose(load_image(content).astype(int), 90, atol=1)


def test_orientation_of_a_16_bit_photo() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    content = encode(Image.fromarray(np.array([[0, 65535]], np.uint16)), exif=exif)
    np.testing.assert_array_equal(load_image(content)[..., 0], [[0], [255]])


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"]
)
def test_pil_modes(mode: str) -> None:
    colors = np.array([[[0, 0, 0], [255, 255, 255]], [[255, 255, 255], [0, 0, 0]]], np.uint8)
    picture = Image.fromarray(colors)
    picture = picture.convert("RGBA").convert(mode) if mode == "PA" else picture.convert(mode)
    np.testing.assert_allclose(load_image(picture).astype(int), colors, atol=1)


def test_premultiplied_modes() -> None:
    half = Image.new("RGBA", (1, 1), (200, 100, 50, 128))
    np.testing.assert_allclose(
        load_image(half.convert("RGBa"))[0, 0].astype(int), (200, 100, 50), atol=2
    )
    grey = Image.new("LA", (1, 1), (200, 128))
    np.testing.assert_allclose(load_image(grey.convert("La"))[0, 0].astype(int), 200, atol=2)


def test_cmyk_jpeg() -> None:
    # Ink 0 is paper white, so a photo read without inversion would be dark.
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    pixels = load_image(encode(picture, "JPEG", quality=95))
    np.testing.assert_allclose(pixels.reshape(-1, 3).mean(0), (255, 0, 0), atol=6)


def test_alpha_is_dropped_not_blended() -> None:
    rgba = np.dstack([PHOTO, np.array([[0, 128, 255], [0, 1, 2]], np.uint8)])
    for source in (encode(rgba), encode(rgba, "TIFF"), Image.fromarray(rgba), rgba):
        np.testing.assert_array_equal(load_image(source), PHOTO)


@pytest.mark.parametrize("transparency", [1, b"\x00\x80\xff"])
def test_palette_with_transparency(transparency: int | bytes) -> None:
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    picture.putpalette([250, 0, 0, 0, 240, 0, 0, 0, 230])
    content = encode(picture, transparency=transparency)
    assert "transparency" in Image.open(io.BytesIO(content)).info
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = load_image(content)
    np.testing.assert_array_equal(pixels, [[[250, 0, 0], [0, 240, 0], [0, 0, 230]]])


def test_16_bit_grey_is_scaled_by_257() -> None:
    grey = np.arange(65536).reshape(256, 256)
    expected = np.repeat(np.rint(grey / 257).astype(np.uint8)[..., None], 3, axis=2)
    values = grey.astype(np.uint16)
    big_endian = Image.frombytes("I;16B", (256, 256), grey.astype(">u2").tobytes())
    pgm = b"P5\n256 256\n65535\n" + grey.astype(">u2").tobytes()
    sources = (values, values.astype(">u2"), encode(values), encode(values, "TIFF"), big_endian)
    for source in (*sources, pgm, Image.fromarray(grey.astype(np.int32))):
        np.testing.assert_array_equal(load_image(source), expected)


def test_16_bit_colour_png_and_tiff() -> None:
    values = np.array([[[65535, 32896, 257], [0, 1000, 40000]]], np.uint16)
    for suffix in (".png", ".tiff"):
        content = cv2.imencode(suffix, values[..., ::-1])[1].tobytes()
        np.testing.assert_allclose(load_image(content).astype(int), values / 257, atol=1)
        assert load_image(content)[0, 0].tolist() == [255, 128, 1]
    np.testing.assert_array_equal(load_image(values), np.rint(values / 257))


def test_float_tiff() -> None:
    values = np.array([[0, 0.5, 1]], np.float32)
    np.testing.assert_array_equal(load_image(encode(values, "TIFF"))[0, :, 1], [0, 128, 255])
    with pytest.raises(ImageError, match=r"from 0.0 to 127.5, expected 0..1"):
        load_image(encode(values * 127.5, "TIFF"))


@pytest.mark.parametrize("value", [-1, 65536])
def test_32_bit_integers_beyond_16_bit_are_refused(value: int) -> None:
    with pytest.raises(ImageError, match=rf"{value}.*expected 0\.\.65535"):
        load_image(encode(Image.fromarray(np.array([[value, 5]], np.int32)), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    first, *rest = (Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue"))
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    content = encode(first, kind, save_all=True, append_images=rest, duration=40, **options)
    assert getattr(Image.open(io.BytesIO(content)), "n_frames", 1) == 3
    pixels = load_image(content)
    assert pixels.shape == (10, 20, 3)
    np.testing.assert_array_equal(pixels, np.asarray(first))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF", "HEIF"])
def test_further_frames_and_pages_are_said(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"burst.{kind.lower()}"
    first, *rest = (Image.new("RGB", (64, 64), color) for color in ("red", "lime", "blue"))
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    path.write_bytes(encode(first, kind))
    load_image(path)
    assert not caplog.records
    path.write_bytes(encode(first, kind, save_all=True, append_images=rest))
    pixels = load_image(path)
    np.testing.assert_allclose(pixels.mean((0, 1)), (255, 0, 0), atol=6)
    (record,) = caplog.records
    assert record.getMessage() == f"{path} has 3 frames or pages: only the first is used"


def test_the_second_picture_of_a_phones_jpeg_is_no_page(caplog: pytest.LogCaptureFixture) -> None:
    first, depth = (Image.new("RGB", (64, 64), color) for color in ("red", "grey"))
    content = encode(first, "MPO", save_all=True, append_images=[depth])
    np.testing.assert_allclose(load_image(content).mean((0, 1)), (255, 0, 0), atol=3)
    assert not caplog.records


@pytest.mark.filterwarnings("ignore:Truncated File Read:UserWarning")  # Pillow's
def test_a_page_that_is_damaged_costs_not_the_first(caplog: pytest.LogCaptureFixture) -> None:
    content = encode(PHOTO, "TIFF", save_all=True, append_images=[Image.fromarray(PHOTO)])
    np.testing.assert_array_equal(load_image(content[:-30]), PHOTO)


def test_one_pixel() -> None:
    for source in (encode(PHOTO[:1, :1]), Image.fromarray(PHOTO[:1, :1]), PHOTO[:1, :1]):
        np.testing.assert_array_equal(load_image(source), PHOTO[:1, :1])


@pytest.mark.slow
def test_100_megapixels() -> None:
    content = encode(Image.new("L", (10_000, 10_000), 128), "JPEG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = load_image(content)
    assert pixels.shape == (10_000, 10_000, 3)
    assert (pixels[::997, ::997] == 128).all()
