from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from handseg.data.mask_file import parse_mask_value, read_mask_file, read_numbers

RING, DARK_RED, CREAM = 255, (128, 0, 0), (224, 224, 192)


@pytest.fixture(scope="module")
def hand(photo_masks: dict[str, np.ndarray]) -> np.ndarray:
    return photo_masks["2_pic00212"]


def encode(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


def read(source: bytes | Path, value: Any = None) -> np.ndarray:
    return read_mask_file(source, "m.png", parse_mask_value(value))[0]


def ring(hand: np.ndarray) -> np.ndarray:
    grown = cv2.dilate(hand.view(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return grown & ~hand


def voc(hand: np.ndarray) -> Image.Image:
    """Make a mask with 1 on the hand and 255 around it, as in PASCAL VOC."""
    picture = Image.fromarray(hand * np.uint8(1) + ring(hand) * np.uint8(RING)).convert("L")
    picture = Image.frombytes("P", picture.size, picture.tobytes())
    colors = np.zeros((256, 3), np.uint8)
    colors[1], colors[RING] = DARK_RED, CREAM
    picture.putpalette(colors.tobytes())
    return picture


def soft(hand: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(hand * np.uint8(255), (0, 0), 1.5)


def in_color(grey: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return np.rint(grey[..., None] / 255 * np.array(color)).astype(np.uint8)


def agree(mask: np.ndarray, hand: np.ndarray, least: float = 1.0) -> None:
    assert mask.dtype == bool
    assert mask.shape == hand.shape
    assert (mask & hand).sum() >= least * (mask | hand).sum()


COLORS = [(0, 255, 0), (0, 0, 255), (255, 0, 0), (255, 255, 255), (128, 0, 0), (0, 70, 30)]


@pytest.mark.parametrize("color", COLORS)
def test_one_colour_on_black_is_the_hand(hand: np.ndarray, color: tuple[int, int, int]) -> None:
    hard = Image.fromarray(in_color(hand * np.uint8(255), color))
    agree(read(encode(hard)), hand)
    agree(read(encode(hard.convert("RGBA"))), hand)
    agree(read(encode(hard.quantize(8))), hand)
    smooth = in_color(soft(hand), color)
    agree(read(encode(smooth)), hand, 0.98)
    agree(read(encode(Image.fromarray(smooth).quantize(64))), hand, 0.97)
    for quality in (30, 75, 95):
        for subsampling in (0, 2):
            content = encode(hard, "JPEG", quality=quality, subsampling=subsampling)
            agree(read(content), hand, 0.97)


@pytest.mark.parametrize("highest", [1, 3, 127, 200, 255, 256, 40000, 65535])
def test_one_value_beside_0_is_the_hand(hand: np.ndarray, highest: int) -> None:
    kinds = [np.uint16, np.int32] if highest > 255 else [np.uint8, np.uint16, np.int32, np.float32]
    for kind in kinds:
        agree(read(encode(hand * kind(highest), "TIFF")), hand)
    if highest < 256:
        palette = Image.frombytes("P", hand.shape[::-1], (hand * np.uint8(highest)).tobytes())
        palette.putpalette(np.arange(256).repeat(3).astype(np.uint8).tobytes())
        agree(read(encode(palette)), hand)


def test_soft_greys_are_cut_at_half(hand: np.ndarray) -> None:
    grey = soft(hand)
    for content in (
        encode(grey),
        encode(np.repeat(grey[..., None], 3, axis=2)),
        encode(grey.astype(np.uint16) * 257),
        encode(grey / np.float32(255), "TIFF"),
        encode(Image.fromarray(grey).quantize(64)),
    ):
        agree(read(content), grey > 127, 0.99)
    agree(read(encode(hand * np.uint8(255), "JPEG", quality=40)), hand, 0.98)
    small = cv2.resize(hand * np.uint8(255), (160, 120), interpolation=cv2.INTER_AREA)
    agree(read(encode(small)), small > 127)
    agree(read(encode(Image.fromarray(hand))), hand)


def test_what_alpha_leaves_is_the_hand(hand: np.ndarray, photos: dict[str, np.ndarray]) -> None:
    photo = photos["2_pic00212"]
    for alpha, least in ((hand * np.uint8(255), 1.0), (soft(hand), 0.98)):
        for kind in ("PNG", "TIFF", "WEBP"):
            options = {"lossless": True} if kind == "WEBP" else {}
            agree(read(encode(np.dstack([photo, alpha]), kind, **options)), hand, least)
    grey = Image.merge("LA", [Image.fromarray(one) for one in (photo[..., 0], alpha)])
    agree(read(encode(grey)), hand, 0.98)
    palette = voc(hand & False)
    palette.paste(7, (0, 0), Image.fromarray(hand))
    agree(read(encode(palette, transparency=0)), hand)


@pytest.mark.parametrize("value", [1, "1", "128,0,0", [128, 0, 0]])
def test_a_class_is_named(hand: np.ndarray, value: Any) -> None:
    agree(read(encode(voc(hand)), value), hand)


def test_a_class_is_named_in_other_forms(hand: np.ndarray) -> None:
    agree(read(encode(voc(hand).convert("RGB")), "128,0,0"), hand)
    agree(read(encode(voc(hand).convert("RGBA")), "128,0,0"), hand)
    agree(read(encode(voc(hand).convert("RGB"), "JPEG", quality=95), "128,0,0"), hand, 0.9)
    agree(read(encode(hand * np.uint16(1) + ring(hand) * np.uint16(300)), 1), hand)
    agree(read(encode(Image.fromarray(hand)), 1), hand)
    several = np.repeat((hand * np.uint8(1) + ring(hand) * np.uint8(2))[..., None], 3, axis=2)
    agree(read(encode(several), 1), hand)
    agree(read(encode(several), "1,1,1"), hand)
    assert not read(encode(voc(hand)), 9).any()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("highest", [1, 255, 300, 65535])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits(hand: np.ndarray, suffix: str, highest: int, channels: int) -> None:
    values = np.repeat((hand * np.uint16(highest))[..., None], channels, axis=2)
    values[..., 3:] = 65535
    agree(read(cv2.imencode(suffix, values)[1].tobytes()), hand)
    agree(read(cv2.imencode(suffix, values)[1].tobytes(), highest), hand)
    values[..., :2] = 0  # only red
    agree(read(cv2.imencode(suffix, values)[1].tobytes()), hand)
    values[..., :3] = (hand + ring(hand) * np.uint16(2))[..., None]
    with pytest.raises(ValueError, match="the values 0, 1, 2"):
        read(cv2.imencode(suffix, values)[1].tobytes())


def test_alpha_of_16_bits(hand: np.ndarray) -> None:
    values = np.zeros((*hand.shape, 4), np.uint16)
    values[..., 3] = hand * 65535
    agree(read(cv2.imencode(".png", values)[1].tobytes()), hand)
    numbers = np.repeat((hand * np.uint16(2))[..., None], 3, axis=2)
    found = read_numbers(cv2.imencode(".png", numbers)[1].tobytes(), "n.png")
    np.testing.assert_array_equal(found, hand * np.uint8(2))


def test_several_classes_are_refused_with_what_there_is(hand: np.ndarray) -> None:
    grey = hand * np.uint8(1) + ring(hand) * np.uint8(RING)
    half = hand.copy()
    half[:, : half.shape[1] // 2] = False
    hint = r"name the hand's with mask_value \(--mask-value\)"
    for picture, found in (
        (voc(hand), "the palette's entries 0 is 0,0,0; 1 is 128,0,0; 255 is 224,224,192"),
        (voc(hand).convert("RGB"), "the colours 0,0,0; 128,0,0; 224,224,192"),
        (grey, "the values 0, 1, 255"),
        (grey.astype(np.uint16) * 9, "the values 0, 9, 2295"),
        (hand + half * np.uint8(1), "the values 0, 1, 2"),
        (hand * np.uint8(128) + half * np.uint8(127), "the values 0, 128, 255"),
        (in_color(hand * np.uint8(128) + half * np.uint8(127), (0, 255, 0)), "the colours 0,0,0"),
        (np.dstack([hand + half * np.uint8(1), hand * np.uint8(0), hand * np.uint8(0)]), "the co"),
        (np.where(hand[..., None], np.uint8([9, 200, 9]), np.uint8([200, 9, 9])), "the colours 9"),
    ):
        with pytest.raises(ValueError, match=rf"m\.png has {found}.*: {hint}"):
            read(encode(picture))


def test_other_pictures_are_refused(hand: np.ndarray, photos: dict[str, np.ndarray]) -> None:
    photo = photos["2_pic00212"]
    for kind in ("PNG", "JPEG"):
        with pytest.raises(ValueError, match=r"has \d+ colours and no alpha, expected one class"):
            read(encode(photo, kind))
    with pytest.raises(ValueError, match=r"m\.png has values up to 100, expected 0 and 255"):
        read(encode(np.rint(soft(hand) / 2.55).astype(np.uint8)))
    for values in (np.float32([[np.nan, 1]]), np.float32([[-1, 1]])):
        with pytest.raises(ValueError, match="expected 0 to 1"):
            read(encode(values, "TIFF"))
    with pytest.raises(ValueError, match=r"m\.png .*not an image"):
        read(b"no picture")
    with pytest.raises(ValueError, match="has colours"):
        read(encode(photo), 1)
    with pytest.raises(ValueError, match="has one channel"):
        read(encode(hand * np.uint16(7)), "7,7,7")


def test_a_mask_is_turned_upright(hand: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    agree(read(encode(in_color(hand * np.uint8(255), (0, 255, 0)), exif=exif)), np.rot90(hand, -1))


@pytest.mark.parametrize(
    "value", [-1, "x", "1,2", "1,2,300", [1, 2], True, 1.5, [True, 1, 1], {"a": 1}, ""]
)
def test_values_that_name_no_class(value: Any) -> None:
    with pytest.raises(ValueError, match="mask_value must be a number from 0 or a colour R,G,B"):
        parse_mask_value(value)


@settings(deadline=None, max_examples=80)
@given(
    st.tuples(*[st.integers(0, 255)] * 3).filter(lambda color: max(color) > 40),
    st.tuples(*[st.integers(0, 255)] * 3).filter(lambda color: max(color) > 40),
)
def test_one_colour_is_read_and_two_are_refused(
    color: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    picture = np.zeros((20, 30, 3), np.uint8)
    picture[5:15, 5:15] = color
    expected = np.zeros((20, 30), bool)
    expected[5:15, 5:15] = True
    np.testing.assert_array_equal(read(encode(picture)), expected)
    if np.abs(np.subtract(color, other)).max() <= 32:
        return
    picture[5:15, 16:26] = other
    with pytest.raises(ValueError, match="mask_value"):
        read(encode(picture))
    np.testing.assert_array_equal(read(encode(picture), ",".join(map(str, color))), expected)


def test_numbers_of_hands_are_read_as_they_are_stored(hand: np.ndarray) -> None:
    numbers = hand * np.uint8(1)
    numbers[:, :320] *= 2
    palette = Image.frombytes("P", (640, 480), numbers.tobytes())
    palette.putpalette([0, 0, 0, 9, 200, 9, 200, 9, 9])
    for picture in (
        numbers,
        numbers.astype(np.uint16),
        numbers.astype(np.int32),
        np.repeat(numbers[..., None], 3, axis=2),
        palette,
    ):
        np.testing.assert_array_equal(read_numbers(encode(picture, "TIFF"), "n.tif"), numbers)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = read_numbers(encode(palette, exif=exif), "n.png")
    np.testing.assert_array_equal(turned, np.rot90(numbers, -1))
    with pytest.raises(ValueError, match=r"n\.png has colours \(RGB\), expected numbers of hands"):
        read_numbers(encode(palette.convert("RGB")), "n.png")
    with pytest.raises(ValueError, match=r"n\.png has numbers up to 600, expected 0 to 255"):
        read_numbers(encode(numbers.astype(np.uint16) * 300), "n.png")
