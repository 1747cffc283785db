"""`handseg measure`: finger sizes in mm and ring sizes, with a coin or card as the scale."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from handseg.cli.common import load_segmenter
from handseg.cli.help import RESULTS
from handseg.cli.options import (
    AdapterOption,
    DeviceOption,
    InputsArgument,
    ModelOption,
    RecipeOption,
    RecursiveOption,
)
from handseg.errors import reason
from handseg.runtime.terminal import FAILED, fail, results, running, say_failed

if TYPE_CHECKING:
    from handseg.cli.folder import Run
    from handseg.cli.json_file import JsonFile
    from handseg.cli.measured import Measuring


_SCALE = "Scale and rings"


class FitChoice(str, Enum):
    fitted = "fitted"
    loose = "loose"


def measure(
    inputs: InputsArgument,
    scale: Annotated[
        list[str] | None,
        typer.Option(
            "--scale",
            metavar="COIN|MM|card",
            help='Object on the palm or beside the hand: a coin by name ("2 euro", "US quarter") '
            'or diameter ("23.25mm"), or "card" (bank card size, ID-1). Give it twice for two '
            "coins, which are checked against each other.",
            show_default=False,
            rich_help_panel=_SCALE,
        ),
    ] = None,
    mm_per_px: Annotated[
        float | None,
        typer.Option(
            "--mm-per-px",
            metavar="N",
            help="Scale at the fingers, instead of --scale.",
            show_default=False,
            rich_help_panel=_SCALE,
        ),
    ] = None,
    fit: Annotated[
        FitChoice,
        typer.Option(
            "--fit",
            help="How the ring should fit; loose adds 0.4 mm to its diameter.",
            rich_help_panel=_SCALE,
        ),
    ] = FitChoice.fitted,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="FILE",
            help="CSV with at least three pairs width_mm,diameter_mm: a finger's width as measured "
            "here and the inner diameter of a ring that fits.",
            rich_help_panel=_SCALE,
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Write the measurements as a list with one entry per photo. Entries for other "
            "photos in an existing file are kept.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    csv_file: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write a table with one row per finger.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay",
            help="Write NAME_measured.jpg: the photo with scale, sections and widths.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for the images of --overlay.",
            rich_help_panel=RESULTS,
        ),
    ] = Path("handseg_out"),
    recursive: RecursiveOption = False,
    model: ModelOption = "handseg-lite",
    adapter: AdapterOption = None,
    recipe: RecipeOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure fingers in photos: widths, lengths and ring sizes.

    Examples:
        handseg measure photo.jpg --scale "2 euro"
        handseg measure photos/ --scale card --csv sizes.csv

    Prints a table for each photo: the width where a ring sits, the width at the middle joint, the
    length and the ring size. Each width has a 95 % interval. If a finger is bent, hidden, out of
    focus or touches its neighbour, the table says so instead.

    Hold the camera straight above a flat hand with the fingers apart. A tilt of up to 30 degrees is
    corrected. A photo without a hand, or without the coin or card, is reported and skipped.

    Exit codes: 0 all photos measured; 1 some could not be measured; 2 wrong command line; 130
    interrupted.
    """
    with running("measure"):
        from handseg.cli.folder import Run, write_all
        from handseg.cli.json_file import JsonFile
        from handseg.cli.measured import Measuring
        from handseg.cli.outputs import (
            and_more,
            find_photos,
            foreign_files,
            output_folder,
        )
        from handseg.measure import RingFit, fit_rings, parse_scale, read_pairs
        from handseg.pipeline.shared import ready
        from handseg.runtime.ranks import Rank

        if bool(scale) == (mm_per_px is not None):
            fail('give either --scale ("2 euro", "23.25mm", "card") or --mm-per-px')
        if mm_per_px is not None and not 0 < mm_per_px < float("inf"):
            fail(f"--mm-per-px must be a positive number, got {mm_per_px}")
        try:
            wanted = parse_scale(scale) if scale else None
        except ValueError as error:
            fail(f"--scale {reason(error)}")
        relation = RingFit()
        if calibrate is not None:
            try:
                relation = fit_rings(read_pairs(calibrate))
            except (ValueError, OSError) as error:
                why = reason(error)
                fail(f"--calibrate {why if str(calibrate) in why else f'{calibrate}: {why}'}")
        try:
            photos = find_photos(inputs, output, recursive)
            rows = None if json_file is None else JsonFile(json_file, anew=True)
            if overlay:
                pictures = [photo.measured for photo in photos]
                if foreign := foreign_files(pictures, writing=False):
                    raise ValueError(
                        f"{and_more(foreign)}: already exists, and was not written by handseg; "
                        "choose another --output"
                    )
                output_folder(output).mkdir(parents=True, exist_ok=True)
            if csv_file is not None:
                Measuring.check_csv(csv_file)
        except (ValueError, OSError) as error:
            fail(reason(error))
        measuring = Measuring(wanted, mm_per_px, relation, fit.value, overlay)
        run = Run(Rank(), skipped=0)
        segmenter = load_segmenter(model, adapter, recipe, device)
        try:
            with ready(segmenter, 1) as segmenters:
                calls = write_all(photos, segmenters, {}, measuring, rows)
                run.count(calls, len(photos), rows)
        finally:
            _end(run, measuring, rows, csv_file)
        if run.failed:
            raise typer.Exit(FAILED)


def _end(run: Run, measuring: Measuring, rows: JsonFile | None, csv_file: Path | None) -> None:
    """Print a summary and write the files."""
    if run.done + run.failed > 1:
        results.print(Text(run.summary()), soft_wrap=True)
    files: list[tuple[Path, Callable[[], None]]] = []
    # A run that got to no photo must not replace an earlier table with an empty one.
    if csv_file is not None and run.done + run.failed:
        files.append((csv_file, partial(measuring.write_csv, csv_file)))
    if rows is not None:
        files.append((rows.file, rows.merge))
    failed = False
    for file, write in files:
        try:
            write()
        except (ValueError, OSError) as error:
            say_failed(str(file), reason(error))
            failed = True
    if failed:
        raise typer.Exit(FAILED)
