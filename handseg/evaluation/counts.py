"""Pixel counts by predicted and true class, and the scores computed from them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class.

    Attributes:
        precision: share of the pixels predicted as this class that belong to it, 0..1.
        recall: share of the pixels of this class that were predicted as such, 0..1.
        f1: harmonic mean of the two, 0..1; the Dice of the class.
        support: number of pixels of this class.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of one photo, or summed over many; the hand is the positive class.

    A score is 1 where there is nothing to find and nothing was found. Otherwise, precision without
    a predicted pixel and recall without a true pixel are 0.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    def __add__(self, other: PixelCounts) -> PixelCounts:
        return PixelCounts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
            self.true_negatives + other.true_negatives,
        )

    @property
    def iou(self) -> float:
        """Intersection over union of the hand alone, 0..1."""
        wrong = self.false_positives + self.false_negatives
        return _ratio(self.true_positives, self.true_positives + wrong)

    @property
    def dice(self) -> float:
        """Twice the intersection over the sum of the areas, 0..1."""
        wrong = self.false_positives + self.false_negatives
        return _ratio(2 * self.true_positives, 2 * self.true_positives + wrong)

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels labelled correctly, background included, 0..1."""
        right = self.true_positives + self.true_negatives
        return _ratio(right, right + self.false_positives + self.false_negatives)

    @property
    def mean_iou_with_background(self) -> float:
        """Mean of the hand's and the background's IoU: the "mIoU" of papers, mostly background."""
        return sum(self.class_ious.values()) / 2

    @property
    def class_ious(self) -> dict[str, float]:
        """The IoU of "hand" and of "background", 0..1."""
        return {"hand": self.iou, "background": self._of_background.iou}

    @property
    def classes(self) -> dict[str, ClassScores]:
        """The scores of "hand" and of "background"."""
        return {"hand": _scores(self), "background": _scores(self._of_background)}

    @property
    def _of_background(self) -> PixelCounts:
        """The same pixels with the background as the positive class."""
        return PixelCounts(
            self.true_negatives, self.false_negatives, self.false_positives, self.true_positives
        )

    @property
    def confusion(self) -> dict[str, dict[str, int]]:
        """Number of pixels of each true class predicted as hand and as background."""
        return {
            "hand": {"hand": self.true_positives, "background": self.false_negatives},
            "background": {"hand": self.false_positives, "background": self.true_negatives},
        }


def _scores(counts: PixelCounts) -> ClassScores:
    right = counts.true_positives
    called, support = right + counts.false_positives, right + counts.false_negatives
    return ClassScores(
        precision=right / called if called else float(not support),
        recall=right / support if support else float(not called),
        f1=counts.dice,
        support=support,
    )


def _ratio(part: int, whole: int) -> float:
    """Return `part` / `whole`; 1 if there is nothing to find and nothing was found."""
    return part / whole if whole else 1.0
