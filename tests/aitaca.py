"""A small data set in the Aitaca hands layout, with every fault that such a set may have."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SCENE = "2_pic00174"
"""The photo used for most faults: an open hand, an arm, a body, a desk."""
WALL = "35_pic00033"
"""A hand in front of a plain wall, neither black nor white."""

FAULTS = {
    "cut-out half as large": ("repaired", "mask mended"),
    "photo with EXIF orientation": ("repaired", "photo turned upright"),
    "both with EXIF orientation": ("repaired", "photo turned upright"),
    "cut-out without the photo's EXIF orientation": ("repaired", "mask mended"),
    "specks": ("repaired", "specks dropped"),
    "pinholes": ("repaired", "pinholes filled"),
    "no cut-out": ("rejected", "no mask"),
    "no photo": ("rejected", "no photo"),
    "damaged photo": ("rejected", "no photo"),
    "damaged cut-out": ("rejected", "no mask"),
    "background not removed": ("rejected", "no mask"),
    "cut-out of another ratio": ("rejected", "no mask"),
    "nothing left": ("rejected", "mask empty"),
    "nearly all left": ("rejected", "mask fills the frame"),
    "cut-out of another photo": ("rejected", "cut-out of another photo"),
    "another thing than the hand": ("rejected", "no hand on the mask"),
    "body left": ("rejected", "more than a hand and forearm"),
    "background left around the hand": ("rejected", "more than a hand"),
    "background left beside the hand": ("rejected", "other parts"),
    "same photo twice": ("rejected", "same photo"),
}
"""Each fault, with the status and the kind of reason that `handseg prepare` must report."""

GROUNDS = ("alpha", "black", "white")

_EXIF = Image.Exif()
_EXIF[0x0112] = 6  # Viewers rotate the picture 90 degrees clockwise.


def build_aitaca(root: Path, photos: Path, good: int, faults: bool = True) -> dict[str, str]:
    """Write `<root>/public_hand_dataset/<id>/original/hand.jpeg` and `.../no_bg/hand.jpeg`.

    Args:
        root: folder to write into.
        photos: folder with images/*.jpg and masks/*.png of the same stems.
        good: number of pairs without a fault, all different; their cut-outs alternate between PNG
            with alpha, JPEG on black and JPEG on white, all named `hand.jpeg`.
        faults: also write a pair for each of `FAULTS`.

    Returns:
        The fault by id; for good pairs "good, alpha", "good, black" or "good, white".
    """
    pairs = {
        path.stem: (
            np.asarray(Image.open(path).convert("RGB")),
            np.asarray(Image.open(photos / "masks" / f"{path.stem}.png").convert("L")) > 127,
        )
        for path in sorted((photos / "images").glob("*.jpg"))
    }
    folder = root / "public_hand_dataset"
    kinds: dict[str, str] = {}
    for index in range(good):
        name = str(len(kinds) + 1)
        image, mask = vary(*list(pairs.values())[index % len(pairs)], index // len(pairs))
        ground = GROUNDS[index % len(GROUNDS)]
        _save(image, folder / name / "original")
        save_cutout(image, mask, ground, folder / name / "no_bg")
        kinds[name] = f"good, {ground}"
    for number, fault in enumerate(FAULTS if faults else ()):
        name = str(len(kinds) + 1)
        # Vary the brightness, or the pictures of all faults would be copies of one photo.
        image, mask = vary(*pairs[SCENE], 1000 + number)
        _plant(fault, image, mask, folder / name, pairs)
        kinds[name] = fault
    return kinds


def vary(image: np.ndarray, mask: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return another photo and mask for each `number`: brighter or darker, shifted, mirrored."""
    if number == 0:
        return image, mask
    random = np.random.default_rng(number)
    gain, (x, y) = random.uniform(0.85, 1.15), random.integers(0, 12, 2)
    image = np.clip(image[y:, x:] * gain, 0, 255).astype(np.uint8)
    mask = mask[y:, x:]
    return (image[:, ::-1], mask[:, ::-1]) if number < 1000 and number % 2 else (image, mask)


def save_cutout(
    image: np.ndarray, mask: np.ndarray, ground: str, folder: Path, exif: Image.Exif | None = None
) -> None:
    """Write the hand as `hand.jpeg`: a PNG with alpha, or a JPEG on "black" or "white"."""
    folder.mkdir(parents=True, exist_ok=True)
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6)
    path = folder / "hand.jpeg"
    if ground == "alpha":
        cut = np.dstack([image, np.round(alpha * 255).astype(np.uint8)])
        Image.fromarray(cut).save(path, "PNG", exif=exif or Image.Exif())
    else:
        plain = {"black": 0.0, "white": 255.0}[ground]
        cut = image * alpha[..., None] + plain * (1 - alpha[..., None])
        _save(np.round(cut).astype(np.uint8), folder, quality=80, exif=exif)


def _save(
    image: np.ndarray, folder: Path, quality: int = 92, exif: Image.Exif | None = None
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "hand.jpeg"
    Image.fromarray(np.ascontiguousarray(image)).save(
        path, "JPEG", quality=quality, exif=exif or Image.Exif()
    )


def _plant(
    fault: str,
    image: np.ndarray,
    mask: np.ndarray,
    folder: Path,
    pairs: dict[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    original, no_bg = folder / "original", folder / "no_bg"
    turned, turned_mask = np.rot90(image), np.rot90(mask)  # The EXIF orientation undoes this.
    if fault == "cut-out half as large":
        _save(image, original)
        half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        small = cv2.resize(mask.astype(np.uint8) * 255, half.shape[1::-1]) > 127
        save_cutout(half, small, "alpha", no_bg)
    elif fault == "photo with EXIF orientation":
        _save(turned, original, exif=_EXIF)
        save_cutout(image, mask, "black", no_bg)
    elif fault == "both with EXIF orientation":
        _save(turned, original, exif=_EXIF)
        save_cutout(turned, turned_mask, "alpha", no_bg, exif=_EXIF)
    elif fault == "cut-out without the photo's EXIF orientation":
        _save(turned, original, exif=_EXIF)
        save_cutout(turned, turned_mask, "white", no_bg)
    elif fault == "no cut-out":
        _save(image, original)
    elif fault == "no photo":
        save_cutout(image, mask, "alpha", no_bg)
    elif fault in ("damaged photo", "damaged cut-out"):
        _save(image, original)
        save_cutout(image, mask, "alpha", no_bg)
        damaged = (original if fault == "damaged photo" else no_bg) / "hand.jpeg"
        damaged.write_bytes(damaged.read_bytes()[:3000])
    elif fault == "background not removed":
        image = vary(*pairs[WALL], 1000)[0][:400, 220:]  # Without the dark sleeve at the border.
        _save(image, original)
        _save(image, no_bg, quality=80)
    elif fault == "cut-out of another ratio":
        _save(image, original)
        save_cutout(image[:, :400], mask[:, :400], "alpha", no_bg)
    elif fault == "cut-out of another photo":
        other = next(pair for stem, pair in pairs.items() if stem != SCENE)
        height, width = image.shape[:2]
        _save(image, original)
        save_cutout(other[0][:height, :width], other[1][:height, :width], "alpha", no_bg)
    elif fault == "same photo twice":
        before = folder.parent / "1"
        for part in ("original", "no_bg"):
            shutil.copytree(before / part, folder / part)
    else:
        _save(image, original)
        spoil, ground = _SPOILT[fault]
        save_cutout(image, spoil(mask.copy()), ground, no_bg)


def _specks(mask: np.ndarray) -> np.ndarray:
    for x, y in ((60, 60), (560, 90), (300, 420)):
        mask[y : y + 6, x : x + 5] = True
    return mask


def _pinholes(mask: np.ndarray) -> np.ndarray:
    for x, y in ((350, 180), (375, 205)):
        mask[y : y + 2, x : x + 3] = False
    return mask


def _nothing(mask: np.ndarray) -> np.ndarray:
    return np.zeros_like(mask)


def _nearly_all(mask: np.ndarray) -> np.ndarray:
    mask[:] = True
    mask[:, : round(0.04 * mask.shape[1])] = False
    return mask


def _keyboard(mask: np.ndarray) -> np.ndarray:
    return _filled(np.zeros_like(mask), [(25, 380), (70, 300), (180, 300), (150, 405), (40, 400)])


def _body(mask: np.ndarray) -> np.ndarray:
    _filled(mask, [(370, 262), (412, 250), (480, 330), (440, 385), (385, 330)])
    return _filled(mask, [(440, 180), (520, 60), (639, 0), (639, 479), (400, 479), (450, 330)])


def _surroundings(mask: np.ndarray) -> np.ndarray:
    return _filled(mask, [(240, 30), (450, 30), (450, 250), (240, 250)])


def _mouse(mask: np.ndarray) -> np.ndarray:
    return _filled(mask, [(180, 295), (222, 295), (225, 315), (185, 318)])


def _filled(mask: np.ndarray, corners: list[tuple[int, int]]) -> np.ndarray:
    canvas = mask.astype(np.uint8)
    cv2.fillPoly(canvas, [np.array(corners)], 1)
    mask[:] = canvas > 0
    return mask


_SPOILT: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "specks": (_specks, "alpha"),
    "pinholes": (_pinholes, "alpha"),
    "nothing left": (_nothing, "black"),
    "nearly all left": (_nearly_all, "white"),
    "another thing than the hand": (_keyboard, "alpha"),
    "body left": (_body, "black"),
    "background left around the hand": (_surroundings, "alpha"),
    "background left beside the hand": (_mouse, "black"),
}
