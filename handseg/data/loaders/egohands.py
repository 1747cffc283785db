"""EgoHands (Bambach et al., ICCV 2015) in the layout of its archive.

`_LABELLED_SAMPLES/<video>/frame_<number>.jpg` are the photos. `polygons.mat` beside them has one
polygon for each of up to four hands per photo: "my" hands belong to the person who wears the
camera, "your" hands to the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from handseg.data.image_mask import by_stem
from handseg.data.loaders.lazy import Candidates
from handseg.data.loaders.photo_file import PhotoFile
from handseg.data.schema import Labels

SAMPLES = "_LABELLED_SAMPLES"
GROUPINGS = ("video", "game")
_FILE = "polygons.mat"
_FIELDS = ("myleft", "myright", "yourleft", "yourright")
# The publisher's main split, which gives videos by their position in name order.
_TEST = {
    "CARDS_COURTYARD_B_T", "CARDS_OFFICE_S_B", "CHESS_COURTYARD_B_T", "CHESS_LIVINGROOM_T_H",
    "JENGA_LIVINGROOM_S_T", "JENGA_OFFICE_H_T", "PUZZLE_COURTYARD_H_T", "PUZZLE_LIVINGROOM_T_B",
}  # fmt: skip
_VAL = {
    "CARDS_LIVINGROOM_S_H", "CHESS_COURTYARD_H_S", "JENGA_COURTYARD_T_S", "PUZZLE_OFFICE_S_T",
}  # fmt: skip
_VIDEO = re.compile(
    r"(?P<game>CARDS|CHESS|JENGA|PUZZLE)_(?P<place>[A-Z]+)_(?P<me>[BHST])_(?P<you>[BHST])"
)


@dataclass(frozen=True, eq=False)
class EgohandsPhoto(PhotoFile):
    """A frame of a video, and its polygons.

    Attributes:
        place: index of the frame in its video, from 0.
        frames: number of frames in its video.
    """

    place: int
    frames: int
    split: str | None

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.image_path, self.image_path.parent / _FILE)

    def drawn(self, shape: tuple[int, int]) -> Labels:
        path = self.image_path.parent / _FILE
        polygons = read_polygons(path, path.stat().st_mtime_ns if path.is_file() else 0)
        if len(polygons) != self.frames:
            raise ValueError(
                f"{path} has polygons of {len(polygons)} frames, but there are {self.frames} "
                "photos beside it: which belong together cannot be told"
            )
        mask = draw(list(polygons[self.place]), shape)
        if not mask.any():
            raise ValueError(f"{path} shows no hand in {self.image_path.name}")
        return Labels(mask)


def list_egohands(
    root: Path, group_of: Callable[[str], str] | None, *, group_by: str = "video"
) -> Candidates:
    """List the frames of all videos; the official split is the publisher's main split.

    Ids are "<video>/frame_<number>". Four people play all games, in pairs, so no split keeps one
    of them out of training.

    Args:
        root: folder that holds `_LABELLED_SAMPLES`, or that folder.
        group_of: maps an id to its group, instead of `group_by`.
        group_by: "video", which the official split needs, or "game": the videos of both players,
            which show the same hands and table at the same time.

    Raises:
        ValueError: if `group_by` is neither, there is no video, or grouping by game needs a game
            that a video's name does not tell.
    """
    if group_by not in GROUPINGS:
        raise ValueError(f"group_by must be one of {', '.join(GROUPINGS)}, got {group_by!r}")
    root = root.absolute()
    folder = root / SAMPLES if (root / SAMPLES).is_dir() else root
    keys: list[tuple[str, str, int, int]] = []
    groups: dict[str, str] = {}
    for video in sorted(path.name for path in folder.glob("*") if path.is_dir()):
        frames = [path.name for path in by_stem(folder / video).values()]
        if frames:
            groups[video] = video if group_by == "video" else _game(video)
        keys += [(video, name, place, len(frames)) for place, name in enumerate(frames)]
    if not keys:
        raise ValueError(
            f"{root} holds no photo in the layout egohands, expected "
            f"{SAMPLES}/<video>/frame_0001.jpg and {SAMPLES}/<video>/{_FILE} in it"
        )
    return Candidates(keys, partial(_photo, folder, group_of, groups))


def _photo(
    folder: Path,
    group_of: Callable[[str], str] | None,
    groups: dict[str, str],
    key: tuple[str, str, int, int],
) -> EgohandsPhoto:
    video, file, place, frames = key
    name = f"{video}/{Path(file).stem}"
    official = "test" if video in _TEST else "val" if video in _VAL else "train"
    return EgohandsPhoto(
        name,
        groups[video] if group_of is None else group_of(name),
        "egohands",
        folder / video / file,
        place,
        frames,
        official if _VIDEO.fullmatch(video) else None,
    )


def _game(video: str) -> str:
    match = _VIDEO.fullmatch(video)
    if match is None:
        raise ValueError(f"group_by game needs names such as CARDS_OFFICE_B_S, got {video!r}")
    players = "_".join(sorted((match["me"], match["you"])))
    return f"{match['game']}_{match['place']}_{players}"


@lru_cache(maxsize=2)
def read_polygons(path: Path, changed: int) -> list[list[np.ndarray]]:
    """Read the polygons of a video, four per frame, in the order of `_FIELDS`.

    Args:
        path: of a MATLAB version 5 file.
        changed: its modification time, so that the cache misses after a change.

    Returns:
        For each frame, myleft, myright, yourleft and yourright, each (N, 2) x, y in MATLAB's pixel
        coordinates, from 1, and (0, 2) where there is no such hand.

    Raises:
        ValueError: if the file cannot be read or has other contents.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=["polygons"])
    # A damaged file may raise anything.
    except Exception as error:
        raise ValueError(f"cannot read {path} as a MATLAB file of version 5: {error}") from error
    polygons = content.get("polygons")
    # Objects and function handles come as arrays with other fields, or none.
    if not isinstance(polygons, np.ndarray) or not set(_FIELDS) <= set(polygons.dtype.names or ()):
        raise ValueError(f"{path} must hold a struct array polygons with {', '.join(_FIELDS)}")
    return [
        [_polygon(frame[field], f"{path}: {field} of frame {number}") for field in _FIELDS]
        for number, frame in enumerate(polygons.ravel(), 1)
    ]


def _polygon(values: Any, where: str) -> np.ndarray:
    if isinstance(values, np.ndarray) and values.size == 0:
        return np.zeros((0, 2))
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise ValueError(f"{where} must be numbers, got {type(values).__name__}")
    if values.ndim != 2 or values.shape[1] != 2 or not np.isfinite(values).all():
        raise ValueError(f"{where} must be finite (N, 2) x, y, got {values.shape}")
    return values.astype(float)


def draw(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Draw the union of polygons (N, 2) x, y in MATLAB's coordinates, (H, W) bool of `shape`.

    The centre of the first pixel is at 1, 1.
    """
    # In COCO's coordinates the outer corner of that pixel is at 0, 0.
    parts = [(points - 0.5).ravel().tolist() for points in polygons if len(points) > 2]
    if not parts:
        return np.zeros(shape, bool)
    return rle.decode(rle.merge(rle.frPyObjects(parts, *shape))).astype(bool)
