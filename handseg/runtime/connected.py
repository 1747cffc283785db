"""The connected parts of a mask: islands, or the holes of what is around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from handseg.runtime.arrays import values_at

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Components:
    """The connected parts of a mask, numbered from 1; 0 is what is not in the mask.

    All arrays of N + 1 are by these numbers. What they say of 0 is 0 or False, so that a choice of
    parts, (N + 1,) bool, is a mask by `choice[labels]`.

    Attributes:
        labels: (H, W) int32, the number of each pixel's part.
        areas: (N + 1,) int32, px.
        boxes: (N + 1, 4) int32, x, y, width and height, px.
    """

    labels: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray, connectivity: Literal[4, 8]) -> Components:
        """The parts of `mask` (H, W) bool; with 8, pixels that touch at a corner are connected."""
        _, labels, stats, _ = cv2.connectedComponentsWithStats(
            mask.astype(np.uint8), connectivity=connectivity
        )
        stats[0] = 0
        return cls(labels, stats[:, cv2.CC_STAT_AREA], stats[:, : cv2.CC_STAT_AREA])

    def on_border(self) -> np.ndarray:
        """Which parts touch the border, (N + 1,) bool."""
        rows, columns = self.labels[[0, -1]], self.labels[:, [0, -1]]
        return self._chosen(np.concatenate([rows.ravel(), columns.ravel()]))

    def at(self, points: ArrayLike) -> np.ndarray:
        """Which parts have one of `points` (P, 2) x, y px on them, (N + 1,) bool."""
        return self._chosen(values_at(self.labels, np.asarray(points)))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum of `values` (H, W) over each part, (N + 1,) float64; of a mask, its px there."""
        sums = np.bincount(self.labels.ravel(), values.ravel(), minlength=len(self.areas))
        sums[0] = 0
        return sums

    def _chosen(self, labels: np.ndarray) -> np.ndarray:
        chosen = np.zeros(len(self.areas), bool)
        chosen[labels] = True
        chosen[0] = False
        return chosen
