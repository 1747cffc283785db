from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from red_hands import draw_photo, red_segmenter

from handseg.errors import ImageError
from handseg.io import preview
from handseg.io.images import load_image
from handseg.io.preview import load_with_preview
from handseg.landmarks import FoundHand

ORIENTATION = 0x0112
PHOTO, _ = draw_photo((140, 90, 60, 40), (400, 130, 50, 80), size=(530, 301))


def encode(kind: str = "JPEG", mode: str = "RGB", orientation: int = 1, **options: Any) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(PHOTO).convert(mode).save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("decoder")]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_copy_is_upright_and_the_photo_what_load_image_gives(orientation: int) -> None:
    content = encode(orientation=orientation, quality=95)
    with load_with_preview(content, 150) as (small, load):
        photo = load().pixels
    np.testing.assert_array_equal(photo, load_image(content))
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert photo.shape[:2] == turned.size[::-1]
    assert small is not None
    assert small.dtype == np.uint8
    height, width = small.shape[:2]
    assert sorted((height, width)) == [76, 133]  # a quarter, rounded up
    expected = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    assert np.abs(expected.astype(int) - small).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("side", [264, 132, 20])
def test_the_copy_shows_each_place_where_the_photo_does(orientation: int, side: int) -> None:
    # No side is a multiple of 8: the decoder's last pixels reach up to 7 px beyond the photo.
    photo = np.zeros((297, 529, 3), np.uint8)
    cv2.circle(photo, (500, 270), 20, (255, 255, 255), -1)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", exif=exif, quality=95)
    with load_with_preview(buffer.getvalue(), side) as (small, load):
        assert small is not None
        there = middle(load().pixels)
    factor = np.array(load().pixels.shape[1::-1]) / small.shape[1::-1]
    np.testing.assert_allclose((middle(small) + 0.5) * factor - 0.5, there, atol=0.5)


def middle(image: np.ndarray) -> np.ndarray:
    """Return the mean place of the light in an image, x, y px."""
    light = image[..., 0].astype(float)
    y, x = np.indices(light.shape)
    return np.array([(x * light).sum(), (y * light).sum()]) / light.sum()


@pytest.mark.parametrize(("side", "length"), [(264, 133), (132, 67), (67, 67), (20, 67)])
def test_the_copy_is_no_longer_than_asked_for_or_an_eighth(side: int, length: int) -> None:
    with load_with_preview(encode(), side) as (small, _):
        assert small is not None
        assert max(small.shape) == length


def test_other_sources_have_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encode("PNG"))
    progressive, cmyk = encode(progressive=True), encode(mode="CMYK")
    file = io.BytesIO(encode())
    for source in (path, progressive, cmyk, file, PHOTO, Image.fromarray(PHOTO)):
        with load_with_preview(source, 100) as (small, load):
            assert small is None
            assert not decoders()
            np.testing.assert_array_equal(load().pixels, load_image(source))
    with load_with_preview(encode(), 265) as (small, load):  # decoded quickly
        assert small is None
        assert load().pixels.shape == PHOTO.shape


def test_files_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "header.jpg").write_bytes(content[:100])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("Dear diary")
    names = ("cut.jpg", "header.jpg", "empty.jpg", "text.jpg", "absent.jpg", ".")
    for source in (*(tmp_path / name for name in names), "a\0b", content[:-900], None):
        with pytest.raises(ImageError) as expected:
            load_image(source)  # type: ignore[arg-type]
        with load_with_preview(source, 100) as (small, load):  # type: ignore[arg-type]
            assert small is None
            with pytest.raises(ImageError) as given:
                load()
        assert str(given.value) == str(expected.value)

    monkeypatch.setattr(preview, "MAX_PIXELS", PHOTO.shape[0] * PHOTO.shape[1] - 1)
    with load_with_preview(content, 100) as (small, _):
        assert small is None


def test_the_thread_ends_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(source: Any) -> np.ndarray:
        begun.set()
        go_on.wait(10)
        raise ImageError("too slow")

    monkeypatch.setattr(preview, "read_image", slow)
    with load_with_preview(encode(), 100) as (small, load):
        assert small is not None  # while the photo is being decoded
        assert begun.wait(10)
        assert decoders()
        go_on.set()
        with pytest.raises(ImageError, match="too slow"):
            load()
    assert not decoders()
    with pytest.raises(KeyError), load_with_preview(encode(), 100):
        raise KeyError
    assert not decoders()


class TestSegment:
    """`HandSegmenter` on large JPEG files."""

    @pytest.fixture(autouse=True)
    def small_views(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("handseg.segmenter.VIEW_SIDE", 150)

    @pytest.mark.parametrize("orientation", [1, 3, 6, 7])
    def test_as_the_array_but_for_the_copys_pixels(self, orientation: int) -> None:
        content = encode(orientation=orientation, quality=95)
        segmenter, seen = red_segmenter(), []
        find = segmenter.landmarker.find

        def watch(image: np.ndarray, finder: bool) -> list[FoundHand]:
            seen.append(max(image.shape))
            return find(image, finder)

        segmenter.landmarker.find = watch  # type: ignore[method-assign]
        by_file = segmenter.segment(content)
        (by_batch,) = segmenter.segment_batch([content])
        by_array = segmenter.segment(load_image(content))
        assert seen == [133, 133, 530]
        for result in (by_file, by_batch):
            np.testing.assert_array_equal(result.image, by_array.image)
            assert len(result) == len(by_array) == 2
            for hand, other in zip(result, by_array, strict=True):
                assert hand.landmarks is not None
                assert np.abs(hand.landmarks - other.landmarks).max() < 8  # 2 px of the copy
                assert (hand.mask & other.mask).sum() > 0.98 * (hand.mask | other.mask).sum()

    def test_own_prompts_look_for_no_hands(self) -> None:
        segmenter = red_segmenter()
        segmenter.landmarker.find = None  # type: ignore[method-assign,assignment]
        assert len(segmenter.segment(encode(), boxes=[[70, 40, 210, 140]])) == 1

    def test_a_photo_that_cannot_be_decoded_is_refused_once(self) -> None:
        with pytest.raises(ImageError, match="may be truncated or damaged") as error:
            red_segmenter().segment(encode()[:-900])
        assert not isinstance(error.value.__context__, ImageError)
