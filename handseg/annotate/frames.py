"""The photos of a folder or the frames of a video, in order, read on demand."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from handseg.errors import ImageError
from handseg.io.files import encode_image, find_images
from handseg.io.images import load_image
from handseg.io.video import Video
from handseg.runtime.files import fit_name

_LONGEST_SUFFIX = ".json"  # Of the files that are written for each photo.


@dataclass(frozen=True)
class Frame:
    """One photo, or one frame of a video.

    Attributes:
        index: position in the input, from 0.
        name: of its files in the data set, without suffix; unique.
        source: its origin, for messages.
        image: name of its file in `images/`.
        sequence: name shared by consecutive frames: a folder's path or a video's name.
    """

    index: int
    name: str
    source: str
    image: str
    sequence: str


class Frames(Protocol):
    """All frames of an input."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame: ...

    def read(self, index: int) -> tuple[np.ndarray, float | None]:
        """Read a frame, (H, W, 3) uint8 RGB, upright, and its time in seconds, or None.

        Raises:
            ImageError: if it cannot be read.
        """

    def content(self, index: int, image: np.ndarray) -> bytes:
        """Return the contents of the frame's file in the data set; `image` is the frame as read."""

    def identity(self) -> list[list[str | int]]:
        """Return the names and sizes (bytes) of the files, which identify the input."""


class PhotoFolder:
    """The photos of a folder, a file or a pattern.

    Args:
        source: as for `find_images`.
        output: files in this folder are ignored.
        recursive: include subfolders.
        numbered: order by the numbers in the names, so that frame_10 comes after frame_9.

    Raises:
        ImageError: if there is no photo.
        ValueError: if two photos would get the same name.
    """

    def __init__(
        self, source: str, output: Path, *, recursive: bool = False, numbered: bool = False
    ) -> None:
        paths = find_images([source], recursive=recursive)
        follow = cache(os.path.realpath)  # Folders are few, photos many.
        below = follow(output) + os.sep
        paths = [path for path in paths if not f"{follow(path.parent)}{os.sep}".startswith(below)]
        if not paths:
            raise ImageError(f"{source} holds no image but those in the output folder {output}")
        root = Path(source)
        if not root.is_dir():
            root = Path(os.path.commonpath([path.parent.absolute() for path in paths]))
        self._paths = sorted(paths, key=_by_number) if numbered else paths
        self._frames = _name_photos(self._paths, root)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Frame:
        return self._frames[index]

    def read(self, index: int) -> tuple[np.ndarray, float | None]:
        return load_image(self._paths[index]), None

    def content(self, index: int, image: np.ndarray) -> bytes:
        return self._paths[index].read_bytes()

    def identity(self) -> list[list[str | int]]:
        return [
            [frame.image, path.stat().st_size]
            for frame, path in zip(self._frames, self._paths, strict=True)
        ]


def _by_number(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key: the path in parts, digits as numbers; leading zeros break ties."""
    parts = re.findall(r"\d+|\D+", path.as_posix())
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _name_photos(paths: Sequence[Path], root: Path) -> list[Frame]:
    """Give photos flat names, as annotation tools expect: folders become part of the name, and so
    does the suffix if two names differ only in it. Names too long for a file are shortened."""
    inside = [path.absolute().relative_to(root.absolute()) for path in paths]
    flat = ["__".join(path.parts) for path in inside]
    stems = Counter(Path(name).stem.casefold() for name in flat)
    frames: list[Frame] = []
    taken: dict[str, Path] = {}
    for index, (path, relative, file) in enumerate(zip(paths, inside, flat, strict=True)):
        stem, suffix = Path(file).stem, Path(file).suffix
        name = stem if stems[stem.casefold()] == 1 else f"{stem}_{suffix[1:]}"
        name = fit_name(name, max(suffix, _LONGEST_SUFFIX, key=len))
        if (other := taken.setdefault(name.casefold(), path)) is not path:
            raise ValueError(f"{path} and {other} would both be named {name}, rename one of them")
        folder = relative.parent.as_posix()
        frames.append(Frame(index, name, str(path), name + suffix, folder))
    return frames


class VideoFrames(Video):
    """The numbered frames of a video; each becomes a JPEG in the data set."""

    def __getitem__(self, index: int) -> Frame:
        name = fit_name(f"{self.path.stem}_{index:06d}", _LONGEST_SUFFIX)
        return Frame(index, name, f"{self.path} frame {index}", f"{name}.jpg", self.path.name)

    def content(self, index: int, image: np.ndarray) -> bytes:
        return encode_image(image, self[index].image)

    def identity(self) -> list[list[str | int]]:
        return [[self.path.name, self.path.stat().st_size]]
