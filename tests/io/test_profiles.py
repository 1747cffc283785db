from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from color_profiles import dark_grey, display_p3, red_inks
from PIL import Image, ImageCms

from handseg.io.images import load_image
from handseg.io.preview import load_with_preview

SKIN = (224, 172, 130)
SKIN_OF_P3 = (234, 170, 124)  # the same colour in sRGB, by the primaries' matrices


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def skin(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.new("RGB", size, SKIN).convert(mode)


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 95},
        {"quality": 95, "progressive": True},
        {"kind": "PNG"},
        {"kind": "TIFF"},
        {"kind": "WEBP", "lossless": True},
    ],
)
def test_a_photo_in_display_p3_is_brought_to_srgb(options: dict[str, Any]) -> None:
    content = encode(skin(), icc_profile=display_p3(), **options)
    for source in (content, Image.open(io.BytesIO(content))):
        pixels = load_image(source)
        assert pixels.shape == (48, 64, 3)
        np.testing.assert_allclose(pixels.mean((0, 1)), SKIN_OF_P3, atol=3)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_so_are_those_of_newer_formats(kind: str) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    content = encode(skin(), kind, icc_profile=display_p3(), quality=95)
    np.testing.assert_allclose(load_image(content).mean((0, 1)), SKIN_OF_P3, atol=4)


def test_transparent_and_palette_pictures_too() -> None:
    for mode in ("RGBA", "P"):
        content = encode(skin(mode), "PNG", icc_profile=display_p3())
        np.testing.assert_allclose(load_image(content).mean((0, 1)), SKIN_OF_P3, atol=6)


def test_srgb_changes_nothing() -> None:
    picture = Image.effect_noise((64, 48), 90).convert("RGB")
    for options in ({"quality": 90}, {"kind": "PNG"}):
        plain = load_image(encode(picture, **options))
        np.testing.assert_array_equal(
            load_image(encode(picture, icc_profile=srgb(), **options)), plain
        )


def test_grey_and_cmyk() -> None:
    grey = Image.new("L", (64, 48), 128)
    for kind in ("JPEG", "PNG"):
        lighter = load_image(encode(grey, kind, icc_profile=dark_grey()))
        np.testing.assert_allclose(lighter.mean((0, 1)), 188, atol=2)  # 0.5 linear
        coloured = load_image(encode(grey, kind, icc_profile=display_p3()))
        np.testing.assert_allclose(coloured.mean((0, 1)), 128, atol=3)  # white is white
    alpha = Image.new("LA", (64, 48), (128, 200))
    deep = Image.fromarray(np.full((48, 64), 128 * 257, np.uint16))
    for picture in (alpha, deep):
        lighter = load_image(encode(picture, "PNG", icc_profile=dark_grey()))
        np.testing.assert_allclose(lighter.mean((0, 1)), 188, atol=2)
    inks = Image.new("CMYK", (64, 48), (128, 0, 0, 0))
    for kind in ("JPEG", "TIFF"):
        red, green, blue = load_image(encode(inks, kind, icc_profile=red_inks())).mean((0, 1))
        assert red > max(green, blue) + 30  # Without the profile, it is cyan.


@pytest.mark.parametrize("profile", [b"garbage", display_p3()[:150], red_inks(), dark_grey()])
def test_profiles_that_are_damaged_or_of_other_images_are_ignored(
    tmp_path: Path, profile: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "hand.jpg"
    path.write_bytes(encode(skin(), quality=95, icc_profile=profile))
    pixels = load_image(path)
    np.testing.assert_allclose(pixels.mean((0, 1)), SKIN, atol=2)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "hand.jpg: colour profile ignored: " in record.getMessage()


def test_the_preview_has_the_colours_of_the_photo(caplog: pytest.LogCaptureFixture) -> None:
    for profile, expected in ((display_p3(), SKIN_OF_P3), (b"garbage", SKIN)):
        content = encode(skin(size=(640, 480)), quality=95, icc_profile=profile)
        with load_with_preview(content, 160) as (small, load):
            assert small is not None
            np.testing.assert_allclose(small.mean((0, 1)), expected, atol=3)
            np.testing.assert_allclose(load().pixels.mean((0, 1)), expected, atol=3)
    assert len(caplog.records) == 1
