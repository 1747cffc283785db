"""`handseg evaluate`: measure one or several models on photos with masks."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from handseg.cli.common import load_segmenter
from handseg.cli.options import (
    AdapterOption,
    DeviceOption,
    FinderOption,
    MaskValueOption,
    MaxHandsOption,
    RecipeOption,
)
from handseg.errors import reason
from handseg.runtime.progress import progress_bar
from handseg.runtime.terminal import FAILED, fail, results, running, say, say_failed

if TYPE_CHECKING:
    from handseg.data.image_mask import LabelledPhoto
    from handseg.evaluation.comparison import Systems
    from handseg.pipeline.interface import Segmenter


class Prompts(str, Enum):
    """Where the prompts come from."""

    mediapipe = "mediapipe"
    mask = "mask"
    both = "both"


def evaluate(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Folder with images/ and masks/. A mask has the name and size of its photo; all "
            "hands are white, or have one other value or colour. An optional groups.csv lists "
            "photos of one person. With --layout, whatever that layout expects.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the report.")
    ] = Path("handseg_evaluation"),
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help='"handseg-lite" (bundled with the package, the default), a Hugging Face id or '
            "folder of a SAM-family model, an original segment-anything .pth, an adapter that "
            "names its model, or a baseline trained by `handseg finetune`. Repeat it to compare "
            "several models with the first.",
            show_default=False,
        ),
    ] = None,
    adapter: AdapterOption = None,
    prompts: Annotated[
        Prompts,
        typer.Option(
            "--prompts",
            help="Source of the prompts: MediaPipe, the true mask, or both in turn.",
        ),
    ] = Prompts.both,
    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            metavar="NAME",
            help="Layout of DATA: folder, aitaca, coco, hub, freihand, ho3d, egohos, egohands, "
            "webdataset or mix. If a layout needs more options, convert it with `handseg prepare`.",
        ),
    ] = "folder",
    splits: Annotated[
        Path | None,
        typer.Option(
            "--splits",
            metavar="FILE|official",
            help="File written by `handseg prepare --split`, or official: the split of the data "
            "set's publisher.",
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option("--part", metavar="NAME", help="Part of --splits to evaluate on."),
    ] = None,
    group_pattern: Annotated[
        str | None,
        typer.Option(
            "--group-pattern",
            metavar="REGEX",
            help="Pattern with the person or burst in an id in brackets, such as "
            '"(id\\d+)". Intervals then treat photos of one person as one group.',
        ),
    ] = None,
    mask_value: MaskValueOption = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Seed of the bootstrap intervals.")
    ] = 0,
    recipe: RecipeOption = None,
    device: DeviceOption = None,
    max_hands: MaxHandsOption = 4,
    finder: FinderOption = True,
) -> None:
    """Evaluate models on photos with masks.

    Examples:
        handseg evaluate data/ --output report
        handseg evaluate data/ --model handseg-lite --model runs/mine --output report

    Prints a table and writes report.html (plots and the worst photos in one self-contained file),
    summary.json, per_photo.csv and worst.jpg. All hands in a photo are compared with its mask
    together. If no hand is found, IoU is 0 and each distance is the photo's diagonal; the column
    "hits only" leaves these photos out. Distances are between contours, in pixels and in per mille
    of the diagonal; the signed distance is positive where the prediction is too large. Mean IoU
    with background is only for comparison with papers; the background dominates it.

    Exit codes: 0 all photos evaluated; 1 some failed, or no true mask shows a hand; 2 wrong command
    line; 130 interrupted.
    """
    with running("evaluate"):
        names = models or ["handseg-lite"]
        if adapter is not None and len(names) > 1:
            fail("--adapter needs a single --model, got several")
        if len(set(names)) < len(names):
            fail("--model names the same model twice")
        if (splits is None) != (part is None):
            fail("--splits and --part must be given together")
        from handseg.evaluation.report import check_place, write_report

        try:
            check_place(output)
            photos = _find_photos(data, layout, splits, part, group_pattern, mask_value)
            output.mkdir(parents=True, exist_ok=True)
        except (ValueError, OSError) as error:
            fail(reason(error))

        from handseg.evaluation.run import MASK, MEDIAPIPE
        from handseg.runtime.versions import versions
        from handseg.segmenter import HandSegmenter

        sources = [MEDIAPIPE, MASK] if prompts is Prompts.both else [prompts.value]
        with ExitStack() as stack:
            # Load all before evaluating the first, so that a wrong name does not cost an hour.
            segmenters = {
                name if adapter is None else f"{name} + {adapter}": stack.enter_context(
                    load_segmenter(name, adapter, recipe, device)
                )
                for name in names
            }
            systems = _measure(segmenters, photos, sources, max_hands, finder, seed)
            recipes = {
                name: one.recipe.to_dict()
                for name, one in segmenters.items()
                if isinstance(one, HandSegmenter)
            }
        _say_failures(systems)
        if not any(one.photos for by_source in systems.values() for one in by_source.values()):
            say("No photo could be compared.", "red")
            raise typer.Exit(FAILED)
        details = {
            "command": shlex.join(["handseg", *sys.argv[1:]]),
            "data": data,
            "layout": layout,
            "splits": None if splits is None else str(splits),
            "part": part,
            "group_pattern": group_pattern,
            "mask_value": mask_value,
            "versions": versions(),
            "models": names,
            "adapter": None if adapter is None else str(adapter),
            "recipes": recipes,
            "max_hands": max_hands,
            "finder": finder,
        }
        try:
            write_report(systems, output, details)
        except (ValueError, OSError) as error:
            say_failed(f"report in {output}", reason(error))
            raise typer.Exit(FAILED) from error
        _print(systems, output)
        nothing_true = _say_empty(systems)
        if nothing_true or any(
            one.failures for by_source in systems.values() for one in by_source.values()
        ):
            raise typer.Exit(FAILED)


def _find_photos(
    data: str,
    layout: str,
    splits: Path | None,
    part: str | None,
    group_pattern: str | None,
    mask_value: str | None = None,
) -> Sequence[LabelledPhoto]:
    grouped = group_pattern is not None or (Path(data) / "groups.csv").is_file()
    if layout == "folder" and splits is None and not grouped:
        from handseg.data.image_mask import find_pairs
        from handseg.data.mask_file import parse_mask_value

        return find_pairs(data, parse_mask_value(mask_value))
    from handseg.data import LabelledPhotos, Splits, load_data
    from handseg.data.splits import OFFICIAL

    given = {"group_pattern": group_pattern, "mask_value": mask_value}
    options = {name: value for name, value in given.items() if value is not None}
    dataset = load_data(data, layout, **options)
    if splits is not None and part is not None:
        official = str(splits) == OFFICIAL
        dataset = (Splits.official(dataset) if official else Splits.load(splits)).select(
            dataset, part
        )
    return LabelledPhotos(dataset)


def _measure(
    segmenters: Mapping[str, Segmenter],
    photos: Sequence[LabelledPhoto],
    sources: Sequence[str],
    max_hands: int,
    finder: bool,
    seed: int,
) -> Systems:
    from handseg.evaluation.run import NONE, evaluate_pairs, sources_of

    with progress_bar() as bar:
        return {
            name: {
                source: evaluate_pairs(
                    segmenter,
                    photos,
                    prompts=source,
                    max_hands=max_hands,
                    finder=finder,
                    seed=seed,
                    progress=bar.track,
                )
                for source in sources_of(segmenter)
                if source in (*sources, NONE)
            }
            for name, segmenter in segmenters.items()
        }


def _say_failures(systems: Systems) -> None:
    """Report each failure once: an unreadable photo fails for every system and prompt source."""
    failures = {
        (photo, why): None
        for evaluations in systems.values()
        for evaluation in evaluations.values()
        for photo, why in evaluation.failures.items()
    }
    for photo, why in failures:
        say_failed(photo, why)


def _say_empty(systems: Systems) -> bool:
    """Say how many true masks show no hand; return whether that is all of them."""
    evaluations = [one for by_source in systems.values() for one in by_source.values()]
    compared = {photo.id for one in evaluations for photo in one.photos}
    empty = {name for one in evaluations for name in one.empty}
    if not empty:
        return False
    if empty == compared:
        say(f"No true mask shows a hand ({len(empty)} of {len(empty)}).", "red")
        return True
    say(f"{len(empty)} of {len(compared)} true masks are empty, such as {min(empty)}", "yellow")
    return False


def _print(systems: Systems, output: Path) -> None:
    from handseg.evaluation.comparison import (
        SOURCE_TITLES,
        compare_with_first,
        result_rows,
        with_hits,
    )
    from handseg.evaluation.report import PAGE_FILE

    systems = with_hits(systems)
    for name, evaluations in systems.items():
        results.print(Text(name, "bold"), soft_wrap=True)
        table = Table("", box=None, header_style="bold", pad_edge=False)
        for source in evaluations:
            table.add_column(SOURCE_TITLES[source], justify="right", no_wrap=True)
        for row in result_rows(list(evaluations.values())):
            if row.starts_section and table.row_count:
                table.add_row()
            table.add_row(row.label, *row.cells)
        results.print(table)
    for name, differences in compare_with_first(systems).items():
        for source, gain in differences.items():
            results.print(
                Text(
                    f"{name} against {next(iter(systems))}, {SOURCE_TITLES[source]}: IoU "
                    f"{gain.mean:+.4f} (95 % interval {gain.mean_low:+.4f} to "
                    f"{gain.mean_high:+.4f}), better on {gain.better} and worse on {gain.worse} "
                    f"of {gain.photos} photos"
                ),
                soft_wrap=True,
            )
    results.print(Text(f"Report: {output / PAGE_FILE}"), soft_wrap=True)
