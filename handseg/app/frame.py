"""The part of a photo that the correction view shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MARGIN = 0.12
"""Margin around a hand, as a share of its box's longer side."""
WIDEST = 4 / 3
"""Largest width / height of a view of a hand. A view is never taller than wide unless the photo is,
so a hand fills both the width of a phone and the height of a screen."""
NARROWEST = 16
"""Smallest side of a view, px of the photo."""


@dataclass(frozen=True)
class Frame:
    """A rectangle of whole pixels in a photo.

    Attributes:
        photo: width and height of the photo, px.
        left: the first column.
        top: the first row.
        width: number of columns.
        height: number of rows.
    """

    photo: tuple[int, int]
    left: int
    top: int
    width: int
    height: int

    @classmethod
    def whole(cls, photo: tuple[int, int]) -> Frame:
        """Return the whole photo, given its width and height."""
        return cls(photo, 0, 0, *photo)

    @classmethod
    def around(cls, box: np.ndarray, photo: tuple[int, int]) -> Frame:
        """Return the surroundings of `box`, (4,) xyxy px, within the photo."""
        low, high = np.asarray(box, np.float64).reshape(2, 2)
        sides = high - low + 1 + 2 * MARGIN * (high - low + 1).max()
        sides[1] = max(sides[1], sides[0] / WIDEST)
        sides[0] = max(sides[0], sides[1])
        return cls._at((low + high + 1) / 2, sides, photo)

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole photo."""
        return (self.width, self.height) == self.photo

    def closer(self) -> Frame:
        """Return the middle half of the frame."""
        return self._scaled(0.5)

    def wider(self) -> Frame:
        """Return a frame twice as large, within the photo."""
        return self._scaled(2)

    def moved(self, across: float, down: float) -> Frame:
        """Return this frame shifted by shares of its sides."""
        middle = np.array([self.left, self.top]) + np.array([0.5 + across, 0.5 + down]) * self.sides
        return self._at(middle, self.sides, self.photo)

    @property
    def sides(self) -> np.ndarray:
        """(2,) width and height, px."""
        return np.array([self.width, self.height], np.float64)

    def to_photo(self, across: float, down: float) -> tuple[float, float]:
        """Convert shares of the frame's sides to x, y px, clipped to the frame."""
        x = self.left + across * self.width - 0.5
        y = self.top + down * self.height - 0.5
        return (
            min(max(x, self.left), self.left + self.width - 1),
            min(max(y, self.top), self.top + self.height - 1),
        )

    def _scaled(self, by: float) -> Frame:
        middle = np.array([self.left, self.top]) + self.sides / 2
        return self._at(middle, self.sides * by, self.photo)

    @classmethod
    def _at(cls, middle: np.ndarray, sides: np.ndarray, photo: tuple[int, int]) -> Frame:
        """Return a frame of these sides around `middle`, moved and shrunk to fit the photo."""
        room = np.array(photo)
        whole = np.clip(np.rint(sides).astype(int), np.minimum(NARROWEST, room), room)
        first = np.clip(np.rint(middle - whole / 2).astype(int), 0, room - whole)
        return cls(photo, *first.tolist(), *whole.tolist())
