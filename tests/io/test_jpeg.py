from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from color_profiles import display_p3
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from handseg.errors import ImageError
from handseg.io.images import load_image
from handseg.io.jpeg import complete_jpeg, decode_jpeg, is_cut_jpeg, read_plain_jpeg

SMOOTH = cv2.resize(
    np.random.default_rng(0).integers(0, 256, (13, 20, 3), np.uint8),
    (161, 103),
    interpolation=cv2.INTER_CUBIC,
)


def encode(pixels: np.ndarray = SMOOTH, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def by_pillow(content: bytes) -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.array(image.convert("RGB"))
    except Exception:
        return None


def plain(content: bytes) -> bytes | None:
    with Image.open(io.BytesIO(content)) as image:
        return read_plain_jpeg(io.BytesIO(content), image)


KINDS = {
    "4:2:0": encode(quality=85),
    "4:2:2": encode(subsampling=1),
    "4:4:4": encode(subsampling=0, quality=97),
    "grey": encode(mode="L"),
    "not YCbCr": encode(keep_rgb=True),
    "restarts": encode(restart_marker_blocks=3),
    "optimised": encode(optimize=True),
    "one pixel": encode(SMOOTH[:1, :1]),
    "thumbnail": encode(exif=b"Exif\0\0" + encode(SMOOTH[:16, :16])),
    "comment": encode(comment=b"\xff\xd9\xff\xda\xff\xd9"),
    "trailing bytes": encode() + b"\xff\xd8more",
}


@pytest.mark.parametrize("kind", KINDS)
def test_opencv_gives_pillows_pixels(kind: str) -> None:
    content = plain(KINDS[kind])
    assert content == KINDS[kind]
    pixels = decode_jpeg(content)
    np.testing.assert_array_equal(pixels, by_pillow(content))
    np.testing.assert_array_equal(load_image(content), pixels)


@pytest.mark.parametrize("options", [{"progressive": True}, {"mode": "CMYK"}])
def test_others_are_left_to_pillow(options: dict[str, Any]) -> None:
    content = encode(**options)
    assert plain(content) is None
    np.testing.assert_array_equal(load_image(content), by_pillow(content))


def test_a_scan_that_ends_too_early_is_refused_not_grey() -> None:
    content = bytearray(encode(quality=85))
    middle = len(content) // 2
    content[middle : middle + 2] = b"\xff\xb8"
    assert decode_jpeg(bytes(content)) is not None  # as OpenCV decodes it
    with pytest.raises(ImageError, match="may be truncated or damaged"):
        load_image(bytes(content))


LARGE = cv2.resize(SMOOTH, (640, 480), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    "options", [{"quality": 85}, {"mode": "L"}, {"mode": "CMYK"}, {"progressive": True}]
)
def test_a_file_without_its_last_bytes_is_completed(
    tmp_path: Path, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    whole = encode(LARGE, **options)
    path = tmp_path / "hand.jpg"
    expected = load_image(whole)
    path.write_bytes(whole[:-2])  # only the end marker is missing
    np.testing.assert_array_equal(load_image(path), expected)
    caplog.clear()
    path.write_bytes(whole[:-60])
    rows = int(480 * 0.9) - 2
    np.testing.assert_array_equal(load_image(path)[:rows], expected[:rows])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{path} is cut short: " in record.getMessage()
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}, {"comment": b"\xff\xda"}]
)
def test_a_cut_file_is_told_from_one_with_a_video_after_it(options: dict[str, Any]) -> None:
    whole = encode(**options)
    video = b"\0\0\0\x18ftypmp42" + b"\xff\xd9..\xff\xda..\xff\xc4"  # As phones append it.
    assert not is_cut_jpeg(whole)
    assert not is_cut_jpeg(whole + video)
    for cut in (whole[:-2], whole[:-1], whole[:-40], whole[: len(whole) // 2], whole[:30]):
        assert is_cut_jpeg(cut)
        assert is_cut_jpeg(cut + bytes(50))
    assert not is_cut_jpeg(b"no JPEG")


@pytest.mark.parametrize("options", [{"quality": 85}, {"progressive": True}])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.8])
def test_a_file_of_which_much_is_missing_is_refused(options: dict[str, Any], kept: float) -> None:
    whole = encode(LARGE, **options)
    cut = whole[: int(kept * len(whole))]
    for content in (cut, cut.ljust(len(whole), b"\0"), cut.ljust(len(whole), b"\xff")):
        with pytest.raises(ImageError, match="may be truncated or damaged"):
            load_image(content)


def test_what_is_shown_of_a_cut_file_is_upright_and_has_its_colours() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = encode(LARGE, quality=90, exif=exif, icc_profile=display_p3())
    cut = load_image(whole[:-40])
    assert cut.shape == (640, 480, 3)
    np.testing.assert_allclose(cut[:, 100:].astype(int), load_image(whole)[:, 100:], atol=1)


@settings(deadline=None, max_examples=300)
@given(
    kind=st.sampled_from(["4:2:0", "4:4:4", "grey", "restarts", "thumbnail"]),
    changes=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from([0, 1, 0x7F, 0xB8, 0xD9, 0xDA, 0xFF])),
        min_size=1,
        max_size=4,
    ),
    kept=st.floats(0.05, 1),
)
def test_damaged_files_are_refused_or_read_as_by_pillow(
    kind: str, changes: list[tuple[float, int]], kept: float
) -> None:
    content = bytearray(KINDS[kind])
    for place, value in changes:
        content[20 + int(place * (len(content) - 21))] = value
    damaged = bytes(content[: int(len(content) * kept)])
    expected = by_pillow(damaged)
    try:
        pixels = load_image(damaged)
    except ImageError:
        pixels = None
    if expected is None and (completed := complete_jpeg(damaged)):
        expected = np.array(completed[0].convert("RGB"))
    if expected is None:
        assert pixels is None
    else:
        np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("by", [2, 4, 8])
def test_reduced(by: int) -> None:
    pixels = decode_jpeg(encode(quality=95), by)
    assert pixels is not None
    assert pixels.shape == (-(-103 // by), -(-161 // by), 3)
    whole = SMOOTH[: 103 // by * by, : 161 // by * by]
    expected = cv2.resize(whole, (161 // by, 103 // by), interpolation=cv2.INTER_AREA)
    difference = expected.astype(int) - pixels[: 103 // by, : 161 // by]
    assert np.abs(difference).mean() < 4
