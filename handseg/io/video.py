"""Read the frames of a video in order, upright."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from handseg.errors import ImageError
from handseg.io.images import load_image

VIDEO_SUFFIXES = (".avi", ".mkv", ".mov", ".mp4", ".webm")


def is_video(path: str | Path) -> bool:
    """Whether the suffix of `path` is one of `VIDEO_SUFFIXES`."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


class Video:
    """The frames of a video, decoded in order and rotated as its metadata says.

    A frame is reached by decoding all frames before it, because seeking in containers is not exact.
    Read in ascending order, each frame is decoded once.

    Args:
        path: path of the video.
        count: number of frames, if known; None decodes the whole video to count them.

    Raises:
        ImageError: if it cannot be opened or has no frames, or its path is not UTF-8.
    """

    def __init__(self, path: str | Path, count: int | None = None) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise ImageError(f"expected a video, no such file: {path}")
        try:
            str(path).encode()
        except UnicodeEncodeError:  # OpenCV would crash.
            raise ImageError(f"{str(path)!r} is not UTF-8, rename the video") from None
        self._next = 0
        self._open()
        self.promised = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        """Number of frames according to the file's header, which may be wrong."""
        self._count = self._count_frames() if count is None else count
        if not self._count:
            raise ImageError(f"{path} holds no frame that can be read")

    def __len__(self) -> int:
        return self._count

    def __reduce__(self) -> tuple[type[Video], tuple[Path, int]]:
        return type(self), (self.path, self._count)

    def read(self, index: int) -> tuple[np.ndarray, float | None]:
        """Read a frame, (H, W, 3) uint8 RGB, upright, and its time in seconds.

        Raises:
            ImageError: if it cannot be read.
        """
        if index < self._next:
            self._open()
        while self._next <= index:
            if not self._capture.grab():
                raise ImageError(f"{self.path} ends before frame {index}")
            self._next += 1
        seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        there, image = self._capture.retrieve()
        if not there or image is None:
            raise ImageError(f"{self.path}: frame {index} cannot be decoded")
        return load_image(image, channel_order="bgr"), round(seconds, 6)

    def _open(self) -> None:
        self._capture = cv2.VideoCapture(str(self.path))
        if not self._capture.isOpened():
            raise ImageError(f"{self.path} is not a video that can be read")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self._next = 0

    def _count_frames(self) -> int:
        count = 0
        while self._capture.grab():
            count += 1
        self._open()
        return count
