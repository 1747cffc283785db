"""Connected components of a mask: islands, or holes if the mask is the background."""

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
    """The connected components of a mask, numbered from 1; 0 is everything outside the mask.

    Arrays of N + 1 are indexed by these numbers. Their value at 0 is 0 or False, so for a choice of
    components, (N + 1,) bool, `choice[labels]` is its mask.

    Attributes:
        labels: (H, W) int32, the number of each pixel's component.
        areas: (N + 1,) int32, px.
        boxes: (N + 1, 4) int32, x, y, width and height, px.
    """

    labels: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray, connectivity: Literal[4, 8]) -> Components:
        """Find the components of `mask` (H, W) bool; 8 also connects pixels that share a corner."""
        _, labels, stats, _ = cv2.connectedComponentsWithStats(
            mask.astype(np.uint8), connectivity=connectivity
        )
        stats[0] = 0
        return cls(labels, stats[:, cv2.CC_STAT_AREA], stats[:, : cv2.CC_STAT_AREA])

    def on_border(self) -> np.ndarray:
        """Which components touch the border, (N + 1,) bool."""
        rows, columns = self.labels[[0, -1]], self.labels[:, [0, -1]]
        return self._chosen(np.concatenate([rows.ravel(), columns.ravel()]))

    def at(self, points: ArrayLike) -> np.ndarray:
        """Which components contain one of `points` (P, 2) x, y px, (N + 1,) bool."""
        return self._chosen(values_at(self.labels, np.asarray(points)))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum `values` (H, W) over each component, (N + 1,) float64; a mask's px are counted."""
        sums = np.bincount(self.labels.ravel(), values.ravel(), minlength=len(self.areas))
        sums[0] = 0
        return sums

    def _chosen(self, labels: np.ndarray) -> np.ndarray:
        chosen = np.zeros(len(self.areas), bool)
        chosen[labels] = True
        chosen[0] = False
        return chosen
