"""SVG plots of evaluations. They name no system: the page around them has the colour legend.

Each system's evaluations come by prompt source, as for `handseg.evaluation.report.write_report`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from handseg.evaluation.run import HITS, MASK, MEDIAPIPE, NONE, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#2563eb", "#ea580c", "#059669", "#9333ea", "#db2777", "#0891b2", "#65a30d", "#475569")
"""Colours of the systems, in turn."""

_STYLES = {MEDIAPIPE: "-", NONE: "-", HITS: "-.", MASK: ":"}
_FRAME: dict[Any, Any] = {
    "axes.edgecolor": "#94a3b8",
    "axes.grid": True,
    "axes.labelcolor": "#334155",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.color": "#e2e8f0",
    "svg.hashsalt": "handseg",  # the same evaluation gives the same bytes
    "xtick.color": "#475569",
    "ytick.color": "#475569",
}
_SIZE = (5.6, 3.8)  # Inches.
_MANY = 2000  # More dots than this are rasterised, which makes smaller files.


@dataclass(frozen=True)
class Plot:
    """A plot with its title and caption.

    Attributes:
        title: in a few words.
        caption: how to read it.
        svg: the file.
    """

    title: str
    caption: str
    svg: bytes


def draw_plots(systems: Sequence[Mapping[str, Evaluation]]) -> list[Plot]:
    """Draw the plots that have data."""
    with matplotlib.rc_context(_FRAME):
        drawn = [
            _iou_curves(systems),
            _boundary_against_overlap(systems),
            _contour_bias(systems),
            _expected_against_true(systems),
            _gains(systems),
        ]
    return [plot for plot in drawn if plot is not None]


def color_of(system: int) -> str:
    """Return the colour of a system by its number, cycling through `COLORS`."""
    return COLORS[system % len(COLORS)]


def _iou_curves(systems: Sequence[Mapping[str, Evaluation]]) -> Plot:
    figure, axes = _axes("photos, from the worst on, %", "IoU")
    share = np.linspace(0, 1, 401)
    used = []
    for color, evaluations in _colored(systems):
        for source in (MEDIAPIPE, NONE, MASK):
            ious = _ious(evaluations.get(source))
            if ious:
                axes.plot(
                    share * 100, np.quantile(ious, share), _STYLES[source], color=color, linewidth=2
                )
                used.append(source)
    axes.set_xlim(0, 100)
    axes.set_ylim(top=1)
    caption = "The height at 10 % is the IoU that a tenth of the photos fall short of."
    if MASK in used and len(set(used)) > 1:
        caption += " Solid: prompts from MediaPipe; dotted: from the true mask."
    return _plot("Overlap, from the worst photo to the best", caption, figure)


def _boundary_against_overlap(systems: Sequence[Mapping[str, Evaluation]]) -> Plot:
    figure, axes = _axes("IoU", "boundary F")
    for color, evaluation in _headlines(systems):
        boundary = [photo.metrics.boundary_f for photo in evaluation.photos]
        _dots(axes, _ious(evaluation), boundary, color)
    return _plot(
        "Contour against overlap",
        "A dot is a photo. Those low on the right have the area right and the outline wrong; those "
        "on the left lack whole parts or have too many.",
        figure,
    )


def _contour_bias(systems: Sequence[Mapping[str, Evaluation]]) -> Plot | None:
    biases = [
        (
            color,
            [
                photo.metrics.mean_signed_distance_per_mille
                for photo in evaluation.photos
                if not photo.metrics.missed
            ],
        )
        for color, evaluation in _headlines(systems)
    ]
    biases = [(color, values) for color, values in biases if values]
    if not biases:
        return None
    figure, axes = _axes("mean signed distance, per mille of the diagonal", "photos")
    everything = np.concatenate([values for _, values in biases])
    edges = np.histogram_bin_edges(everything, bins=30).tolist()
    for color, values in biases:
        axes.hist(values, edges, color=color, alpha=0.25)
        axes.hist(values, edges, color=color, histtype="step", linewidth=1.5)
    axes.axvline(0, color="#64748b", linewidth=1)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return _plot(
        "Outlines too wide or too tight",
        "Right of 0 the predicted contour reaches outside the true one, left of 0 it falls "
        "short. Missed hands are left out.",
        figure,
    )


def _expected_against_true(systems: Sequence[Mapping[str, Evaluation]]) -> Plot | None:
    figure, axes = _axes("IoU that the model expects", "IoU")
    drawn = False
    for color, evaluation in _headlines(systems):
        photos = [photo for photo in evaluation.photos if photo.predicted_iou is not None]
        expected = [photo.predicted_iou for photo in photos if photo.predicted_iou is not None]
        _dots(axes, expected, [photo.metrics.iou for photo in photos], color)
        drawn |= bool(photos)
    if not drawn:
        return None
    _diagonal(axes)
    return _plot(
        "Does the model know?",
        "On the line the model's own estimate is right; below it the model is too sure. Photos "
        "with several hands show the mean of their estimates.",
        figure,
    )


def _gains(systems: Sequence[Mapping[str, Evaluation]]) -> Plot | None:
    (_, first), *others = _headlines(systems)
    known = {photo.id: photo.metrics.iou for photo in first.photos}
    figure, axes = _axes("IoU of the first system", "IoU")
    drawn = False
    for color, evaluation in others:
        shared = [photo for photo in evaluation.photos if photo.id in known]
        _dots(
            axes,
            [known[photo.id] for photo in shared],
            [photo.metrics.iou for photo in shared],
            color,
        )
        drawn |= bool(shared)
    if not drawn:
        return None
    _diagonal(axes)
    return _plot(
        "Photo by photo against the first system",
        "Dots above the line are photos that came out better than with the first system.",
        figure,
    )


def _colored(
    systems: Sequence[Mapping[str, Evaluation]],
) -> Iterable[tuple[str, Mapping[str, Evaluation]]]:
    return ((color_of(number), evaluations) for number, evaluations in enumerate(systems))


def _headlines(systems: Sequence[Mapping[str, Evaluation]]) -> list[tuple[str, Evaluation]]:
    """Return each system's colour and its evaluation with its first prompt source."""
    return [(color, next(iter(evaluations.values()))) for color, evaluations in _colored(systems)]


def _ious(evaluation: Evaluation | None) -> list[float]:
    return [photo.metrics.iou for photo in evaluation.photos] if evaluation else []


def _axes(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_axisbelow(True)
    return figure, axes


def _dots(axes: Axes, across: Sequence[float], up: Sequence[float], color: str) -> None:
    axes.scatter(across, up, 18, color, alpha=0.55, linewidths=0, rasterized=len(across) > _MANY)


def _diagonal(axes: Axes) -> None:
    """Draw the line of equality, and use the same scale on both axes."""
    limits = [*axes.get_xlim(), *axes.get_ylim()]
    ends = min(limits), max(limits)
    axes.plot(ends, ends, color="#64748b", linewidth=1, zorder=0)
    axes.set_xlim(ends)
    axes.set_ylim(ends)


def _plot(title: str, caption: str, figure: Figure) -> Plot:
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return Plot(title, caption, stream.getvalue())
