"""Load the photos for training the finder, and the hands in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from handseg.data.align_mask import read_instances
from handseg.data.image_mask import find_pairs
from handseg.io.images import load_image
from handseg.landmarks.anatomy import WRIST, wrist_side
from handseg.synthetic.pasted.cutouts import Cutout, make_cutout
from handseg.synthetic.pasted.sources import Example, add_landmarks

_FEWEST = 40  # Least visible pixels for a rendered hand to count as a target.


def _nowhere() -> np.ndarray:
    return np.full(2, np.nan, np.float32)


@dataclass(frozen=True, eq=False)
class OutlinedHand:
    """A hand in a photo.

    Attributes:
        hull: (M, 2) float32 x, y px; gives the bounding box at any rotation of the photo.
        right: 1.0, 0.0 or NaN, as in `TrueHand`.
        wrist: (2,) float32 px, the wrist; NaN if unknown.
        doubtful: as in `TrueHand`.
    """

    hull: np.ndarray
    right: float = np.nan
    wrist: np.ndarray = field(default_factory=_nowhere)
    doubtful: bool = False


@dataclass(frozen=True, eq=False)
class FinderPhoto:
    """A photo with known hands.

    Attributes:
        id: <folder as given>/<stem>.
        set_name: the folder, as given.
        load: returns the photo, (H, W, 3) uint8 RGB, and its hands.
        turns: whether hulls are outlines, so that the photo may be rotated; rotated boxes are too
            large.
        is_empty: whether it shows no hand.
        example: a hand that can be cut out of it.
    """

    id: str
    set_name: str
    load: Callable[[], tuple[np.ndarray, list[OutlinedHand]]]
    turns: bool = True
    is_empty: bool = False
    example: Example | None = None


def rendered(root: Path, folder: str) -> Iterator[FinderPhoto]:
    """Yield the images of a folder written by `handseg.synthetic.rendered`."""
    for path in sorted((root / folder / "truth").glob("*.json")):
        yield FinderPhoto(f"{folder}/{path.stem}", folder, partial(_load_rendered, path))


def boxed(root: Path, folder: str) -> Iterator[FinderPhoto]:
    """Yield photos from images/ with boxes.json: stem -> list of {"box": xyxy px}."""
    boxes = json.loads((root / folder / "boxes.json").read_text(encoding="utf-8"))
    for stem, hands in sorted(boxes.items()):
        path = root / folder / "images" / f"{stem}.jpg"
        corners = [np.array(one["box"], np.float32).reshape(2, 2) for one in hands]
        found = [OutlinedHand(one) for one in corners]
        yield FinderPhoto(f"{folder}/{stem}", folder, partial(_load_boxed, path, found), False)


def masked(root: Path, folder: str, cache: Path) -> Iterator[FinderPhoto]:
    """Yield photos with a mask of one hand, if MediaPipe finds that hand."""
    for example in add_landmarks(find_pairs(root / folder), cache / Path(folder).name):
        if example.landmarks is not None:
            load = partial(_load_masked, example)
            name = f"{folder}/{example.image_path.stem}"
            yield FinderPhoto(name, folder, load, example=example)


def empty(root: Path, folder: str) -> Iterator[FinderPhoto]:
    """Yield images without hands from the folder and its subfolders."""
    for path in sorted((root / folder).rglob("*")):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
            load = partial(_load_boxed, path, [])
            yield FinderPhoto(f"{folder}/{path.stem}", folder, load, is_empty=True)


def hand_of_cutout(example: Example) -> tuple[Cutout, OutlinedHand]:
    """Return a hand to paste and its outline in the cut-out."""
    cutout = make_cutout(example)
    return cutout, _outlined(cutout.hand > 0.5, cutout.landmarks)


def _load_rendered(path: Path) -> tuple[np.ndarray, list[OutlinedHand]]:
    truth = json.loads(path.read_text(encoding="utf-8"))
    folder = path.parents[1]
    image = load_image(next((folder / "images").glob(f"{path.stem}.*")))
    numbered = folder / "instances" / f"{path.stem}.png"
    instances = read_instances(numbered, str(numbered), image.shape)
    hands = []
    for number, one in enumerate(truth["hands"], start=1):
        hull = _hull(instances == number)
        if hull is None:
            continue
        wrist = np.array(one["landmarks"][WRIST], np.float32)
        right = float(one["handedness"] == "right")
        doubtful = one["pixels"] < _FEWEST or one["gloved"]
        hands.append(OutlinedHand(hull, right, wrist, doubtful))
    return image, hands


def _load_boxed(path: Path, hands: Sequence[OutlinedHand]) -> tuple[np.ndarray, list[OutlinedHand]]:
    return load_image(path), list(hands)


def _load_masked(example: Example) -> tuple[np.ndarray, list[OutlinedHand]]:
    image, mask = example.load()
    assert example.landmarks is not None
    hand = mask & (wrist_side(example.landmarks, *mask.shape) > 0.5)
    return image, [_outlined(hand, example.landmarks)]


def _outlined(hand: np.ndarray, landmarks: np.ndarray) -> OutlinedHand:
    hull = _hull(hand)
    assert hull is not None
    return OutlinedHand(hull, wrist=landmarks[WRIST].astype(np.float32))


def _hull(mask: np.ndarray) -> np.ndarray | None:
    """Return the convex hull of `mask` (H, W) bool, (M, 2) float32 x, y px; None if empty."""
    places = cv2.findNonZero(mask.astype(np.uint8))
    return None if places is None else cv2.convexHull(places).reshape(-1, 2).astype(np.float32)
