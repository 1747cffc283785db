"""Summarise the metrics of many photos, with confidence intervals.

The 95 % interval of a mean comes from the percentile bootstrap: the mean is computed for 2,000 sets
of photos drawn with replacement, from a seed, and the interval holds the middle 95 % of these
means. Photos of the same person are more alike than photos of different people, so if the photos
come in several groups, whole groups are drawn: drawing photos would make the interval too narrow.
With only a few groups it is still too narrow, so check their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from handseg.evaluation.counts import PixelCounts
from handseg.evaluation.metrics import MaskMetrics

RESAMPLES = 2000
CONFIDENCE = 0.95
_POOLED = ("iou", "dice", "pixel_accuracy", "mean_iou_with_background")


@dataclass(frozen=True)
class MetricsSummary:
    """The metrics of a set of photos.

    Attributes:
        photos: Number of photos compared.
        missed: Number of photos with a hand but an empty prediction.
        resampled: What the bootstrap drew, "photos" or "groups".
        units: Number of photos or groups that it drew from.
        metrics: For each metric, over photos: "mean", "mean_low" and "mean_high" (the interval of
            the mean), "median", "percentile_5", "percentile_95" and "worst"; for the overlap
            metrics also "pooled", computed once from the pixels of all photos, so that large
            photos weigh more. The worst signed distance is the one farthest from 0.
        counts: The pixels of all photos.
    """

    photos: int
    missed: int
    resampled: str
    units: int
    metrics: dict[str, dict[str, float]]
    counts: PixelCounts


def summarise(
    metrics: Sequence[MaskMetrics], groups: Sequence[str | None] | None = None, seed: int = 0
) -> MetricsSummary:
    """Reduce the metrics of a set of photos, misses included.

    Args:
        metrics: of each photo.
        groups: of each photo, such as the person; None for one that belongs to no group.
        seed: of the bootstrap.

    Raises:
        ValueError: There are no metrics.
    """
    if not metrics:
        raise ValueError("metrics must hold at least one photo, got none")
    names = [field.name for field in fields(MaskMetrics) if field.name != "counts"]
    table = np.array([[getattr(photo, name) for name in names] for photo in metrics], float)
    members = group_members(groups or [None] * len(metrics))
    low, high = bootstrap_means(table, members, seed)
    total = sum((photo.counts for photo in metrics), PixelCounts(0, 0, 0, 0))
    summary: dict[str, dict[str, float]] = {}
    for column, name in enumerate(names):
        values = table[:, column]
        is_distance = name.endswith(("_px", "_per_mille"))
        summary[name] = {
            "mean": float(values.mean()),
            "mean_low": float(low[column]),
            "mean_high": float(high[column]),
            "median": float(np.median(values)),
            "percentile_5": float(np.percentile(values, 5)),
            "percentile_95": float(np.percentile(values, 95)),
            "worst": max(values.tolist(), key=abs) if is_distance else float(values.min()),
        }
        if name in _POOLED:
            summary[name]["pooled"] = getattr(total, name)
    count = len(np.unique(members))
    return MetricsSummary(
        photos=len(metrics),
        missed=sum(photo.missed for photo in metrics),
        resampled="groups" if count < len(metrics) else "photos",
        units=count,
        metrics=summary,
        counts=total,
    )


def matlab_scores(summary: MetricsSummary) -> dict[str, dict[str, float]]:
    """Compute the scores of MATLAB's `evaluateSemanticSegmentation`, with its definitions.

    Accuracies and IoUs are pooled over the pixels of all photos; the accuracy of a class is its
    recall. BF scores are means over photos, with this module's convention for photos that lack a
    class, where MATLAB has NaN.

    Returns:
        "data set": GlobalAccuracy, MeanAccuracy, MeanIoU, WeightedIoU, MeanBFScore; and "hand" and
        "background": Accuracy, IoU, MeanBFScore.
    """
    counts = summary.counts
    classes = {
        name: {
            "Accuracy": scores.recall,
            "IoU": counts.class_ious[name],
            "MeanBFScore": summary.metrics[boundary]["mean"],
        }
        for (name, scores), boundary in zip(
            counts.classes.items(), ("boundary_f", "background_boundary_f"), strict=True
        )
    }
    supports = np.array([scores.support for scores in counts.classes.values()], float)
    ious, accuracies, boundaries = (
        np.array([one[name] for one in classes.values()])
        for name in ("IoU", "Accuracy", "MeanBFScore")
    )
    whole = {
        "GlobalAccuracy": counts.pixel_accuracy,
        "MeanAccuracy": float(accuracies.mean()),
        "MeanIoU": float(ious.mean()),
        "WeightedIoU": float(ious @ supports / supports.sum()),
        "MeanBFScore": float(boundaries.mean()),
    }
    return {"data set": whole, **classes}


def group_members(groups: Sequence[str | None]) -> np.ndarray:
    """Return the bootstrap unit of each photo, (N,) int, from 0.

    A photo without a group is its own unit, and so is each photo if all share one group.
    """
    if len(set(groups)) == 1:
        return np.arange(len(groups))
    keys = [at if group is None else group for at, group in enumerate(groups)]
    numbers = {key: at for at, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys])


def bootstrap_means(
    values: np.ndarray, members: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the interval of the mean of each column; see the module for the method.

    Args:
        values: (N, M), a row per photo.
        members: (N,), see `group_members`.
        seed: of the draws.

    Returns:
        Lower and upper ends, (M,) each.
    """
    rng = np.random.default_rng(seed)
    sizes = np.bincount(members)
    count = len(sizes)
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, members, values)
    means = np.empty((RESAMPLES, values.shape[1]))
    for mean in means:
        times = np.bincount(rng.integers(count, size=count), minlength=count)
        mean[:] = times @ sums / (times @ sizes)
    outside = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [outside, 100 - outside], axis=0)
    return low, high
