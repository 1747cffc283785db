"""Compare evaluations: one table, and the difference of each system from the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from handseg.evaluation.run import HITS, MASK, MEDIAPIPE, NONE, Evaluation
from handseg.evaluation.summary import bootstrap_means, group_members, matlab_scores

Systems: TypeAlias = Mapping[str, Mapping[str, Evaluation]]
"""Evaluations by system name and prompt source."""

SOURCE_TITLES = {
    MEDIAPIPE: "MediaPipe",
    HITS: "hits only",
    MASK: "true mask",
    NONE: "no prompts",
}
_IN_DAILY_USE = (MEDIAPIPE, NONE)

_NOTHING = "-"


def with_hits(systems: Systems) -> Systems:
    """Add "hits" after "mediapipe" to `systems`: the same predictions without the misses."""
    complete: dict[str, dict[str, Evaluation]] = {}
    for name, evaluations in systems.items():
        complete[name] = {}
        for source, evaluation in evaluations.items():
            complete[name][source] = evaluation
            if source == MEDIAPIPE:
                complete[name][HITS] = evaluation.hits()
    return complete


@dataclass(frozen=True)
class Difference:
    """The difference between two systems on the photos evaluated with both.

    Attributes:
        photos: number of these photos.
        better: number of photos with a higher IoU.
        worse: number of photos with a lower IoU.
        mean: mean difference in IoU, positive where the system is better.
        mean_low: lower end of its interval; see `handseg.evaluation.summary`.
        mean_high: upper end.
    """

    photos: int
    better: int
    worse: int
    mean: float
    mean_low: float
    mean_high: float


def compare_evaluations(evaluation: Evaluation, other: Evaluation) -> Difference | None:
    """Compare `evaluation` with `other`; None if they have no photo in common."""
    others = {photo.id: photo.metrics.iou for photo in other.photos}
    shared = [photo for photo in evaluation.photos if photo.id in others]
    if not shared:
        return None
    gains = np.array([photo.metrics.iou - others[photo.id] for photo in shared])
    members = group_members([photo.group for photo in shared])
    low, high = bootstrap_means(gains[:, None], members, evaluation.seed)
    return Difference(
        photos=len(shared),
        better=int((gains > 0).sum()),
        worse=int((gains < 0).sum()),
        mean=float(gains.mean()),
        mean_low=float(low[0]),
        mean_high=float(high[0]),
    )


def compare_with_first(systems: Systems) -> dict[str, dict[str, Difference]]:
    """Compare each further system with the first, by name and prompt source."""
    first, *others = systems
    differences: dict[str, dict[str, Difference]] = {}
    for name in others:
        differences[name] = {}
        for source, evaluation in systems[name].items():
            # In daily use, systems are comparable however they find hands.
            alike = _IN_DAILY_USE if source in _IN_DAILY_USE else (source,)
            other = next((systems[first][one] for one in alike if one in systems[first]), None)
            difference = other and compare_evaluations(evaluation, other)
            if difference:
                differences[name][source] = difference
    return differences


@dataclass(frozen=True)
class Row:
    """A row of the table of results, with one cell per evaluation.

    Attributes:
        label: name of the numbers.
        cells: the numbers.
        starts_section: whether the row starts a section.
    """

    label: str
    cells: tuple[str, ...]
    starts_section: bool


def result_rows(evaluations: Sequence[Evaluation]) -> list[Row]:
    """Tabulate the main numbers, a column per evaluation; a dash where no photo was compared."""
    rows = []
    for section in _SECTIONS:
        for label, text in section.items():
            cells = tuple(
                text(one) if one.photos or label in _ALWAYS_KNOWN else _NOTHING
                for one in evaluations
            )
            rows.append(Row(label, cells, label == next(iter(section))))
    return rows


def _metric(name: str, statistic: str = "mean", form: str = ".4f") -> Callable[[Evaluation], str]:
    return lambda evaluation: format(evaluation.summary.metrics[name][statistic], form)


def _of_class(name: str, score: str, form: str = ".4f") -> Callable[[Evaluation], str]:
    return lambda evaluation: format(getattr(evaluation.summary.counts.classes[name], score), form)


def _matlab(part: str, score: str) -> Callable[[Evaluation], str]:
    return lambda evaluation: format(matlab_scores(evaluation.summary)[part][score], ".4f")


def _interval(evaluation: Evaluation) -> str:
    iou = evaluation.summary.metrics["iou"]
    return f"{iou['mean_low']:.4f}-{iou['mean_high']:.4f}"


_ALWAYS_KNOWN = ("photos", "failed")
_SECTIONS: tuple[Mapping[str, Callable[[Evaluation], str]], ...] = (
    {
        "photos": lambda evaluation: str(len(evaluation.photos)),
        "missed": lambda evaluation: str(evaluation.summary.missed),
        "failed": lambda evaluation: str(len(evaluation.failures)),
        "seconds a photo": lambda evaluation: f"{evaluation.seconds_per_photo:.2f}",
    },
    {
        "IoU": _metric("iou"),
        "IoU, 95 % interval": _interval,
        "interval drawn from": lambda evaluation: (
            f"{evaluation.summary.units} {evaluation.summary.resampled}"
        ),
        "IoU, median": _metric("iou", "median"),
        "IoU, 5th percentile": _metric("iou", "percentile_5"),
        "IoU, worst": _metric("iou", "worst"),
        "Dice": _metric("dice"),
    },
    {
        "boundary F": _metric("boundary_f"),
        "boundary IoU": _metric("boundary_iou"),
        "contour distance, px": _metric("mean_distance_px", form=".2f"),
        "contour distance, per mille": _metric("mean_distance_per_mille", form=".2f"),
        "signed distance, px": _metric("mean_signed_distance_px", form="+.2f"),
        "HD95, px": _metric("hausdorff_95_px", form=".2f"),
        "HD95, per mille": _metric("hausdorff_95_per_mille", form=".2f"),
    },
    {
        "pixel accuracy": _metric("pixel_accuracy"),
        "mean IoU with background": _metric("mean_iou_with_background"),
    },
    {
        "GlobalAccuracy, as MATLAB": _matlab("data set", "GlobalAccuracy"),
        "MeanAccuracy": _matlab("data set", "MeanAccuracy"),
        "MeanIoU": _matlab("data set", "MeanIoU"),
        "WeightedIoU": _matlab("data set", "WeightedIoU"),
        "MeanBFScore": _matlab("data set", "MeanBFScore"),
        "hand: IoU": _matlab("hand", "IoU"),
        "hand: MeanBFScore": _matlab("hand", "MeanBFScore"),
        "background: IoU": _matlab("background", "IoU"),
        "background: MeanBFScore": _matlab("background", "MeanBFScore"),
    },
    {
        f"{name}: {label}": _of_class(name, score, form)
        for name in ("hand", "background")
        for label, score, form in (
            ("precision", "precision", ".4f"),
            ("recall", "recall", ".4f"),
            ("F1", "f1", ".4f"),
            ("support, px", "support", ","),
        )
    },
)
