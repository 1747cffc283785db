"""`handseg evaluate`: measure a model on photos with masks."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from handseg.cli.common import (
    FAILED,
    AdapterOption,
    DeviceOption,
    MaxHandsOption,
    ModelOption,
    RecipeOption,
    ending_on_ctrl_c,
    fail,
    load_segmenter,
    progress_bar,
    reason,
    results,
    say,
    say_failed,
)

if TYPE_CHECKING:
    from handseg.evaluate import Evaluation

_SHARES = ("iou", "dice", "pixel_accuracy", "boundary_f", "boundary_iou")
_DISTANCES = (
    "mean_distance_px",
    "mean_distance_per_mille",
    "hausdorff_95_px",
    "hausdorff_95_per_mille",
    "mean_signed_distance_px",
)
_FOR_COMPARISON = "mean_iou_with_background"


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder with images/ and masks/: a mask has its photo's name and size and is "
            "white on all hands.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the report.")
    ] = Path("handseg_evaluation"),
    model: ModelOption = "handseg-lite",
    adapter: AdapterOption = None,
    recipe: RecipeOption = None,
    device: DeviceOption = None,
    max_hands: MaxHandsOption = 4,
) -> None:
    """Measure a model on photos with masks.

    Prints a table and writes summary.json, per_photo.csv and worst.jpg, which shows the photos of
    lowest IoU. All hands found in a photo are compared with its mask together. A photo in which
    no hand is found has an IoU of 0, and each of its distances is the photo's diagonal. Distances
    are between contours, in pixels and in per mille of the diagonal; the signed one is positive
    where the prediction is too large. mean_iou_with_background is there to compare with papers
    that report it: it is mostly background.

    Exit codes: 0 all photos are compared; 1 some could not be; 2 the command cannot run as it was
    given; 130 interrupted.
    """
    with ending_on_ctrl_c():
        from handseg.environment import versions
        from handseg.evaluate import evaluate_pairs, write_report
        from handseg.pairs import find_pairs

        try:
            pairs = find_pairs(folder)
            output.mkdir(parents=True, exist_ok=True)
        except (ValueError, OSError) as error:
            fail(reason(error))
        with (
            load_segmenter(model, adapter, recipe, device) as segmenter,
            progress_bar() as bar,
        ):
            evaluation = evaluate_pairs(segmenter, pairs, max_hands=max_hands, progress=bar.track)
            used_recipe = segmenter.recipe.to_dict()
        for name, why in evaluation.failures.items():
            say_failed(name, why)
        if not evaluation.photos:
            say("No photo could be compared.", "red")
            raise typer.Exit(FAILED)
        details = {
            "command": shlex.join(["handseg", *sys.argv[1:]]),
            "folder": str(folder),
            "versions": versions(),
            "model": model,
            "adapter": None if adapter is None else str(adapter),
            "recipe": used_recipe,
            "max_hands": max_hands,
        }
        try:
            write_report(evaluation, output, details)
        except (ValueError, OSError) as error:
            say_failed(f"report in {output}", reason(error))
            raise typer.Exit(FAILED) from error
        _print(evaluation, output)
        if evaluation.failures:
            raise typer.Exit(FAILED)


def _print(evaluation: Evaluation, output: Path) -> None:
    summary = evaluation.summary
    table = Table("metric", box=None, header_style="bold", pad_edge=False)
    for statistic in ("mean", "median", "worst"):
        table.add_column(statistic, justify="right")
    for names, form in ((_SHARES, ".4f"), (_DISTANCES, ".2f"), ((_FOR_COMPARISON,), ".4f")):
        for name in names:
            values = summary.metrics[name]
            row = [format(values[key], form) for key in ("mean", "median", "worst")]
            table.add_row(name, *row, end_section=name == names[-1])
    results.print(table)
    missed = f"{summary.missed} missed (no hand found, IoU 0)"
    failed = f", {len(evaluation.failures)} failed" if evaluation.failures else ""
    results.print(
        Text(
            f"{summary.photos} photos, {missed}{failed}, {evaluation.seconds_per_photo:.2f} s a "
            f"photo. Report in {output}"
        ),
        soft_wrap=True,
    )
