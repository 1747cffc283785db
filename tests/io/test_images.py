from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from handseg.errors import ImageError
from handseg.io.images import load_image

PHOTO = np.array(
    [
        [[255, 0, 0], [0, 255, 0], [0, 0, 255]],
        [[10, 20, 30], [200, 100, 50], [0, 0, 0]],
    ],
    np.uint8,
)
ORIENTATION = 0x0112


def encode(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


class Unseekable(io.RawIOBase):
    """A binary stream as a pipe gives it."""

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


# Files and PIL images


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_exif_orientation(orientation: int, kind: str) -> None:
    # EXIF 2.32, 4.6.4: what the 0th row and the 0th column of the stored picture show.
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
    # The same as Pillow's, and not turned twice when the caller has turned it already.
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
    # Inks of 0 are paper white, so a photo read without inversion would come out dark.
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


# Files that are refused


def refuse(source: Any, match: str, **options: Any) -> None:
    with pytest.raises(ImageError, match=match):
        load_image(source, **options)


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
    """A PNG whose header promises far more pixels than the file holds."""
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
    content = encode(PHOTO, "TIFF")  # Pillow's decoder of TIFF looks at the limit, too.
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


# Arrays and tensors


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0.0, 1.0, 0.5]]), [0, 255, 128]),
        (np.array([[0, 1, 0.2]], np.float16), [0, 255, 51]),
        (np.array([[-5e-5, 1.00005]], np.float32), [0, 255]),
        (np.array([[0, 65535, 257]], np.uint16), [0, 255, 1]),
        (np.array([[0, 255, 7]], np.int64), [0, 255, 7]),
        (np.array([[0, 127]], np.int8), [0, 127]),
    ],
)
def test_array_values(array: Any, expected: list[int]) -> None:
    for values in (array, array[..., None], np.repeat(array[..., None], 3, axis=2)):
        np.testing.assert_array_equal(
            load_image(values), np.array(expected)[None, :, None].repeat(3, 2)
        )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.1, 1.01, 255.0])
def test_floats_out_of_range_are_refused(dtype: type, value: float) -> None:
    array: np.ndarray = np.full((4, 5, 3), 0.5, dtype)
    array[2, 3, 1] = value
    refuse(array, rf"the array has {np.dtype(dtype)} values from .*, expected 0\.\.1")


@pytest.mark.parametrize("value", [-1, 256])
def test_integers_out_of_range_are_refused(value: int) -> None:
    refuse(np.full((2, 2), value), rf"from {value} to {value}, expected 0\.\.255")


@pytest.mark.parametrize("dtype", ["complex64", "U3", "object", "datetime64[s]"])
def test_dtypes_that_are_no_pixels(dtype: str) -> None:
    refuse(np.zeros((2, 2), dtype), "must hold integers, floats or bools, got")


@pytest.mark.parametrize("shape", [(), (5,), (5, 5, 2), (5, 5, 5), (1, 1, 1, 5, 5)])
def test_array_shapes_that_are_refused(shape: tuple[int, ...]) -> None:
    refuse(np.zeros(shape, np.uint8), r"must be \(H, W\).*got \(" + ", ".join(map(str, shape)))


def test_arrays_with_a_better_hint() -> None:
    refuse(np.zeros((1, 5, 5, 3), np.uint8), "batch of images.*one by one")
    refuse(np.zeros((3, 5, 6), np.uint8), "channels come last")


def test_channel_order() -> None:
    torch = pytest.importorskip("torch")
    bgr, alpha = PHOTO[..., ::-1], np.full((2, 3, 1), 9, np.uint8)
    chw = torch.from_numpy(bgr.copy()).permute(2, 0, 1)
    for source in (bgr, np.concatenate([bgr, alpha], axis=2), chw):
        np.testing.assert_array_equal(load_image(source, channel_order="bgr"), PHOTO)
    for known in (encode(PHOTO), Image.fromarray(PHOTO)):
        np.testing.assert_array_equal(load_image(known, channel_order="bgr"), PHOTO)
    with pytest.raises(ValueError, match=r"channel_order.*'rbg'"):
        load_image(PHOTO, channel_order="rbg")  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6).map(lambda s: (*s[:2], 3))
    )
)
def test_pixels_survive_every_range_and_a_file(pixels: np.ndarray) -> None:
    ranges = (
        pixels,
        pixels / 255,
        (pixels / 255).astype(np.float32),
        pixels.astype(np.uint16) * 257,
    )
    for source in (*ranges, pixels.astype(int), encode(pixels), encode(pixels, "TIFF")):
        np.testing.assert_array_equal(load_image(source), pixels)


def test_tensor_shapes_and_values() -> None:
    torch = pytest.importorskip("torch")
    chw = torch.from_numpy(PHOTO).permute(2, 0, 1)
    alpha = torch.zeros(1, 2, 3, dtype=torch.uint8)
    same = [chw / 255, chw.to(torch.uint16) * 257, chw.long(), torch.cat([chw, alpha])]
    for tensor in (*same, (chw / 255).requires_grad_()):
        np.testing.assert_array_equal(load_image(tensor), PHOTO)
    np.testing.assert_allclose(load_image((chw / 255).bfloat16()).astype(int), PHOTO, atol=1)
    grey = torch.tensor([[0, 255, 3]], dtype=torch.uint8)
    for tensor in (grey, grey[None]):
        np.testing.assert_array_equal(load_image(tensor), grey.numpy()[..., None].repeat(3, 2))
    np.testing.assert_array_equal(load_image(grey > 100)[0, :, 0], [0, 255, 0])

    refuse(chw[None], "the tensor is a batch of images")
    refuse(torch.zeros(5, 6, 3), r"the tensor must be .*\(3, H, W\).*got \(5, 6, 3\)")
    refuse(torch.zeros(5), r"the tensor must be .*got \(5,\)")
    refuse(torch.zeros(3, 0, 4), "the tensor is empty")
    refuse(chw / 127.5 - 1, "the tensor has float32 values from -1.0 to 1.0, expected 0..1")
    refuse(torch.full((3, 2, 2), torch.nan), "from nan to nan")


@pytest.mark.gpu
def test_tensors_on_a_gpu() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    tensor = torch.from_numpy(PHOTO).permute(2, 0, 1).cuda()
    np.testing.assert_array_equal(load_image(tensor), PHOTO)


def test_torch_is_not_imported() -> None:
    code = (
        "import sys, numpy as np; from handseg.io.images import load_image; "
        "load_image(np.zeros((2, 2), np.uint8)); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
