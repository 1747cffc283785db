"""Align a mask that was made on another copy of a photo with the photo."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from handseg.data.mask_file import MaskValue, read_mask_file, read_numbers

SAME_SHAPE = 0.02
"""How much the aspect ratio may differ between copies of a photo, because of rounding."""

_SMALL = 128  # px: tells photos apart, too coarse for noise and one-pixel shifts to matter.


def fits(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two shapes (H, W, ...) may be one photo at two sizes; empty shapes never are."""
    if not min(*shape[:2], *other[:2]):
        return False
    ratio = (shape[0] * other[1]) / (shape[1] * other[0])
    return abs(ratio - 1) <= SAME_SHAPE


def fit(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resize `mask` (h, w) bool to `shape` (H, W).

    Raises:
        ValueError: if the aspect ratios differ.
    """
    if mask.shape == shape:
        return mask
    if not fits(mask.shape, shape):
        raise ValueError(
            f"the mask is {mask.shape[1]} x {mask.shape[0]} px, the photo {shape[1]} x {shape[0]}"
        )
    shrinks = mask.shape[0] > shape[0]
    grey = cv2.resize(
        mask.astype(np.uint8) * 255,
        (shape[1], shape[0]),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    return grey > 127


def read_mask(
    source: Path | bytes, name: str, shape: tuple[int, ...], value: MaskValue | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read the mask of a photo of `shape` (H, W, ...), repairing what has only one possible fix.

    Args:
        source: the file or its contents.
        name: for messages.
        shape: of the photo.
        value: the hands' value or colour, see `read_mask_file`.

    Returns:
        The mask, (H, W) bool, and descriptions of the repairs.

    Raises:
        ValueError: if it cannot be read, is not a mask or has another aspect ratio than the photo.
    """
    mask, repairs = read_mask_file(source, name, value)
    if mask.shape != shape[:2]:
        repairs = (*repairs, resized(mask.shape, shape))
    try:
        return fit(mask, shape[:2]), repairs
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def read_instances(source: Path | bytes, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Read the hand numbers of a photo of `shape` (H, W, ...), (H, W) uint8.

    Raises:
        ValueError: naming `name`, if it cannot be read or has another aspect ratio.
    """
    numbers = read_numbers(source, name)
    if not fits(numbers.shape, shape):
        raise ValueError(f"{name} is {numbers.shape}, but its photo is {shape[:2]} (H, W)")
    return fit_numbers(numbers, shape)


def fit_numbers(numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resize `numbers` (h, w) uint8 to `shape` (H, W, ...) without interpolating between them."""
    if numbers.shape == shape[:2]:
        return numbers
    return cv2.resize(numbers, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)


def resized(old: tuple[int, ...], new: tuple[int, ...]) -> str:
    return f"mask of {old[1]} x {old[0]} px resized to {new[1]} x {new[0]}"


def match_turn(color: np.ndarray, mask: np.ndarray, photo: np.ndarray) -> tuple[int, float]:
    """Find the rotation that matches a cut-out to its photo.

    Background removers may drop the EXIF orientation, or apply it and still keep the tag.

    Args:
        color: (h, w, 3) uint8, the cut-out.
        mask: (h, w) bool, the part that it shows.
        photo: (H, W, 3) uint8.

    Returns:
        The number of counter-clockwise quarter turns, 0 unless another fits far better, and the
        mean colour difference from the photo after turning, 0..255.

    Raises:
        ValueError: if no turn gives it the photo's aspect ratio.
    """
    differences: dict[int, float] = {}
    for turns in range(4):
        turned = np.rot90(mask, turns)
        if fits(turned.shape, photo.shape):
            differences[turns] = _difference(np.rot90(color, turns), turned, photo)
    if not differences:
        raise ValueError(
            f"it is {mask.shape[1]} x {mask.shape[0]} px, its photo "
            f"{photo.shape[1]} x {photo.shape[0]}, another ratio of width to height"
        )
    best = min(differences, key=lambda turns: differences[turns])
    if 0 in differences and differences[best] > 0.5 * differences[0]:
        best = 0
    return best, differences[best]


def _difference(color: np.ndarray, mask: np.ndarray, photo: np.ndarray) -> float:
    factor = min(1.0, _SMALL / max(photo.shape[:2]))
    size = (max(1, round(photo.shape[1] * factor)), max(1, round(photo.shape[0] * factor)))
    small, reference, share = (
        cv2.resize(np.ascontiguousarray(values), size, interpolation=cv2.INTER_AREA)
        for values in (color, photo, mask.astype(np.uint8) * 255)
    )
    inside = share >= 250
    return float(cv2.absdiff(small, reference)[inside].mean()) if inside.any() else 0.0
