"""Find the hand pixels in mask files of many forms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from PIL import Image

from handseg.io.decode import OpenImage, open_image
from handseg.io.jpeg import JPEG_FORMATS, upright

MaskValue: TypeAlias = "int | tuple[int, int, int]"
"""The hand's value in masks of one channel or with a palette, or its colour R, G, B."""

_FEW = 16  # A file with more values has soft or noisy edges, one with fewer may have classes.
_DARK = 8  # Of 255: quantised palettes turn black into up to this.
_HUE = 0.3  # Of the brightest channel: another class differs by more.
_BLURRED = 9  # px: JPEG blurs hues along edges in narrower strips.
_LOSSY = 48  # Of 255: how far JPEG shifts a flat colour.
HINT = "name the hand's with mask_value (--mask-value)"
"""Advice for files with several classes, for callers that can set the option."""


class _SeveralClasses(ValueError):
    """There may be several classes: the hand's must be named."""


def parse_mask_value(value: Any) -> MaskValue | None:
    """Parse 1, "1", "0,255,0" or [0, 255, 0] as a `MaskValue`; None stays None.

    Raises:
        ValueError: if it is neither a non-negative integer nor three in 0..255.
    """
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else value
    parts = parts if isinstance(parts, list | tuple) else [parts]
    try:
        numbers = [int(part) for part in parts if not isinstance(part, bool | float)]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) == len(parts) == 1 and numbers[0] >= 0:
        return numbers[0]
    if len(numbers) == len(parts) == 3 and all(0 <= number <= 255 for number in numbers):
        return numbers[0], numbers[1], numbers[2]
    raise ValueError(f"mask_value must be a number from 0 or a colour R,G,B, got {value!r}")


def read_mask_file(
    source: Path | bytes, name: str, value: MaskValue | None = None, *, hint: str = HINT
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read the hand from a mask file, upright.

    With a `value`, the hand is the pixels of exactly this value or colour. Without it, the file
    must have a single class: an alpha channel that hides something, or else one value, palette
    entry or colour besides the background, which is 0 or black. Soft edges are cut at half.

    Args:
        source: the file or its contents.
        name: for messages.
        value: see above.
        hint: advice at the end of the error about several classes.

    Returns:
        The mask, (H, W) bool, and a note on where it came from if it is not white on black.

    Raises:
        ValueError: if the file cannot be read, or has other or several classes.
    """
    try:
        with open_image(source) as opened:
            image = _all_bits(opened)
            mask, note = _hand(image) if value is None else (_named(image, value), "")
            mask = upright(np.ascontiguousarray(mask).view(np.uint8), opened.orientation())
            return mask.view(bool), (note,) if note else ()
    except ValueError as error:
        text = f"{error}: {hint}" if isinstance(error, _SeveralClasses) else str(error)
        raise ValueError(text if name in text else f"{name} {text}") from error


def read_numbers(source: Path | bytes, name: str) -> np.ndarray:
    """Read a file that numbers hands, (H, W) uint8, upright: grey values or palette indices.

    Raises:
        ValueError: naming `name`, if it cannot be read, has colours or numbers above 255.
    """
    try:
        with open_image(source) as opened:
            image = _all_bits(opened)
            numbers = _numbers(image)
            if numbers is None:
                raise ValueError(f"has colours ({image.mode}), expected numbers of hands")
            if numbers.min() < 0 or numbers.max() > 255:
                raise ValueError(f"has numbers up to {numbers.max()}, expected 0 to 255")
            return upright(np.array(numbers, np.uint8), opened.orientation())
    except ValueError as error:
        text = str(error)
        raise ValueError(text if name in text else f"{name} {text}") from error


def _all_bits(opened: OpenImage) -> Image.Image:
    """Decode the picture as stored. Of 16-bit colours, Pillow keeps only the high bytes.

    Here, 16-bit greys become one 16-bit channel, and colours up to 255 keep their low bytes.
    """
    image, file = opened.image, opened.file
    stored = str([tile[3] for tile in getattr(image, "tile", [])])
    deep = image.mode in ("RGB", "RGBA", "LA") and ";16" in stored
    image = opened.decoded()
    if not deep or file is None or _alpha(image) is not None:
        return image
    file.seek(0)
    values = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        return image
    blue, green, red = cv2.split(values)[:3]
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return Image.fromarray(red)
    small = max(channel.max() for channel in (red, green, blue)) <= 255
    return Image.fromarray(cv2.merge([red, green, blue]).astype(np.uint8)) if small else image


def _numbers(image: Image.Image) -> np.ndarray | None:
    """Return the stored numbers (H, W); None for colours."""
    if image.mode in ("1", "P", "L", "F") or image.mode.startswith("I"):
        return np.asarray(image)
    if image.mode in ("PA", "LA"):
        return np.asarray(image.getchannel(0))
    red, green, blue = cv2.split(np.asarray(_plain(image, "RGB")))
    return red if np.array_equal(red, green) and np.array_equal(green, blue) else None


def _hand(image: Image.Image) -> tuple[np.ndarray, str]:
    if (alpha := _alpha(image)) is not None:
        return _one_class(alpha, 255)[0], "mask taken from the alpha channel"
    if image.mode == "1":
        return np.array(image), ""
    if image.mode == "P":
        return _by_palette(image)
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if values.dtype == np.float32 and not 0 <= values.min() <= values.max() < np.inf:
            raise ValueError(f"has values from {values.min()} to {values.max()}, expected 0 to 1")
        return _one_class(values, 1 if image.mode == "F" else 65535)
    if image.mode in ("L", "LA", "La"):
        return _one_class(np.asarray(_plain(image, "L")), 255)
    return _by_color(np.asarray(_plain(image, "RGB")))


def _alpha(image: Image.Image) -> np.ndarray | None:
    """Return the alpha channel, (H, W) uint8; None if there is none or it is constant."""
    if not image.has_transparency_data or image.mode[0] in "IF":
        return None
    alpha = np.asarray(_plain(image, "RGBA").getchannel("A"))
    return None if alpha.min() == alpha.max() else alpha


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """Convert to `mode`: palettes via RGBA, which avoids a warning, La via LA, the only way."""
    step = {"P": "RGBA", "La": "LA"}.get(image.mode, image.mode)
    return image.convert(step).convert(mode)


def _one_class(values: np.ndarray, top: float) -> tuple[np.ndarray, str]:
    """Turn values (H, W) from 0 into a mask: the only value besides 0, or values above `top` / 2.

    Raises:
        ValueError: if there are several classes, or many values and none above half.
    """
    found = _values(values)
    classes = found[found > 0]
    if not len(classes):
        return np.zeros(values.shape, bool), ""
    highest = classes[-1].item()
    if len(classes) == 1 and (len(found) == 2 or highest == 1):
        if highest in (255, top):
            return values > 0, ""
        note = "zeros and ones" if highest == 1 else f"0 and {highest}"
        return values > 0, f"mask of {note} scaled to 0 and 255"
    if len(found) <= _FEW:
        flat = [one for one in classes.tolist() if one == highest or _fills(values == one)]
        if len(flat) > 1:
            raise _SeveralClasses(f"has the values {', '.join(map(str, found.tolist()))}")
    if not top / 2 < highest <= top:
        raise _SeveralClasses(f"has values up to {highest}, expected 0 and {top}")
    return values > top / 2, ""


def _values(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:  # far quicker than sorting them
        return np.flatnonzero(cv2.calcHist([values], [0], None, [256], [0, 256]))
    return np.unique(values)


def _fills(region: np.ndarray, side: int = 3) -> bool:
    """Whether a square of `side` px fits into `region` (H, W) bool: edges are thinner."""
    return bool(cv2.erode(region.astype(np.uint8), np.ones((side, side), np.uint8)).any())


def _by_palette(image: Image.Image) -> tuple[np.ndarray, str]:
    """Find the one palette entry besides the background: black, or entry 0 without black."""
    entries = np.asarray(image)
    used = _values(entries)
    colors = np.zeros((256, 3), np.uint8)
    palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    colors[: len(palette)] = palette
    brightness = colors[used].max(axis=1)
    black = brightness.min() <= _DARK
    others = used[brightness > brightness.min()] if black else used[used > 0]
    if not len(others):
        return np.zeros(entries.shape, bool), ""
    if len(others) == 1:
        return entries == others[0], ""
    try:
        return _by_color(colors[entries])  # soft edges, in a palette
    except ValueError:
        if len(used) > _FEW:
            raise
        listed = "; ".join(f"{one} is {_text(colors[one])}" for one in used)
        raise _SeveralClasses(f"has the palette's entries {listed}") from None


def _by_color(rgb: np.ndarray) -> tuple[np.ndarray, str]:
    """Find the pixels of the only colour in (H, W, 3) uint8 that is not black."""
    red, green, blue = cv2.split(rgb)
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return _one_class(red, 255)
    pixels = cv2.merge([blue, green, red, np.zeros_like(red)]).view(np.uint32)[..., 0]
    found, counts = np.unique(pixels, return_counts=True)
    colors = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(int)
    value = colors.max(axis=1)
    bright = value > value.max() / 2
    color = colors[np.where(bright, counts, 0).argmax()]
    hues = colors / np.maximum(value, 1)[:, None]
    other = (value > value.max() / 4) & (np.abs(hues - color / color.max()).max(axis=1) > _HUE)
    if len(found) <= _FEW:
        ground = value == value.min() if value.min() <= _DARK else value < 0
        flat = [one for one in found[~ground] if _fills(pixels == one)]
        if len(flat) > 1 or other.any():
            raise _SeveralClasses(f"has the colours {'; '.join(map(_text, colors))}")
    elif _fills(_lookup(found[other], pixels), _BLURRED):
        raise _SeveralClasses(f"has {len(found)} colours and no alpha, expected one class on black")
    white = color.min() > (1 - _HUE) * color.max()
    note = "" if white else f"mask in the colour {_text(color)}"
    return _lookup(found[bright], pixels), note


def _lookup(colors: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return where `pixels`, (H, W) of 0xRRGGBB, are among `colors` (N,)."""
    table = np.zeros(1 << 24, bool)
    table[colors] = True
    return table[pixels]


def _text(color: Sequence[int] | np.ndarray) -> str:
    return ",".join(str(int(channel)) for channel in color)


def _named(image: Image.Image, value: MaskValue) -> np.ndarray:
    if isinstance(value, int):
        if image.mode == "1":
            return np.asarray(image) == (value > 0)
        numbers = _numbers(image)
        if numbers is not None:
            return numbers == value
        raise ValueError(f"has colours ({image.mode}), and mask_value is {value}: give R,G,B")
    if image.mode == "F" or image.mode.startswith("I"):
        raise ValueError(f"has one channel, and mask_value is {_text(value)}: give one number")
    distance = np.abs(np.asarray(_plain(image, "RGB")).astype(np.int16) - value).max(axis=2)
    return distance <= (_LOSSY if image.format in JPEG_FORMATS else 0)
