"""Fixtures shared by several test files."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_hands import LANDMARKS, SOFT, make_hand, make_photo
from red_hands import LEFT, RIGHT, save_pair

from handseg.io.images import load_image
from handseg.landmarks import HandLandmarker
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter

DATA = Path(__file__).parent / "data"

# Shells start background jobs with Ctrl-C ignored, and child processes inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep models exported by tests out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("platformdirs.user_cache_path", lambda *_, **__: folder)
        yield


@pytest.fixture(scope="session")
def photo_folder() -> Path:
    """Four licensed photos of one hand each: images/*.jpg and masks/*.png with the same stems."""
    return DATA / "photos"


@pytest.fixture(scope="session")
def photos(photo_folder: Path) -> dict[str, np.ndarray]:
    """The four photos by stem, (480, 640, 3) uint8 RGB; read-only."""
    images = {
        path.stem: load_image(path) for path in sorted((photo_folder / "images").glob("*.jpg"))
    }
    for image in images.values():
        image.flags.writeable = False
    return images


@pytest.fixture(scope="session")
def photo_masks(photo_folder: Path) -> dict[str, np.ndarray]:
    """The hand in each of the four photos, (480, 640) bool."""
    return {
        path.stem: load_image(path)[..., 0] > 127
        for path in sorted((photo_folder / "masks").glob("*.png"))
    }


@pytest.fixture(scope="session")
def no_hand() -> np.ndarray:
    """A crop of a photo without a hand, (480, 264, 3) uint8 RGB."""
    return load_image(DATA / "no_hand.jpg")


@pytest.fixture(scope="session")
def open_hand() -> np.ndarray:
    """(21, 2) float32: an open right hand, palm to the camera, fingers up, the wrist at 0, 0.

    The knuckle of the middle finger is 100 px from the wrist.
    """
    thumb = [(35, -20), (60, -45), (78, -68), (92, -88)]
    knuckles = {32: 8, 0: 0, -24: -6, -45: -16}
    heights = {32: 95, 0: 100, -24: 93, -45: 80}
    points = [(0, 0), *thumb]
    for x, lean in knuckles.items():
        points += [(x + lean * step, -heights[x] - 28 * step) for step in range(4)]
    return np.array(points, np.float32)


@pytest.fixture(scope="session")
def landmarker() -> Iterator[HandLandmarker]:
    """The bundled MediaPipe model."""
    with HandLandmarker() as made:
        yield made


@pytest.fixture(scope="session")
def segmenter() -> Iterator[HandSegmenter]:
    """The bundled model, on the CPU."""
    with HandSegmenter.from_pretrained(device="cpu") as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos: an exact mask, half of the truth, twice the truth, and a miss."""
    path = tmp_path / "set"
    save_pair(path, "exact", [LEFT, RIGHT], [LEFT, RIGHT])
    save_pair(path, "half", [LEFT], [LEFT, RIGHT])
    save_pair(path, "double", [LEFT, RIGHT], [LEFT])
    save_pair(path, "missed", [], [RIGHT])
    return path


@pytest.fixture
def two_hands() -> HandSegmentation:
    """A soft hand with landmarks, and a user's hand, cut by the left edge, that overlaps it."""
    return HandSegmentation(
        make_photo(),
        (
            make_hand(SOFT, (2, 1), landmarks=LANDMARKS, handedness="left", handedness_score=0.75),
            make_hand(np.full((2, 4), 0.6, np.float32), (-1, 3), predicted_iou=0.5),
        ),
    )
