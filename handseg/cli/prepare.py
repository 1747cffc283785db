"""`handseg prepare`: check and clean photos with masks before fine-tuning."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.table import Table
from rich.text import Text

from handseg.cli.options import MaskValueOption
from handseg.errors import reason
from handseg.prepare.thresholds import Thresholds
from handseg.runtime.progress import progress_bar
from handseg.runtime.terminal import FAILED, fail, results, running, say, say_stopped

if TYPE_CHECKING:
    from handseg.prepare.run import Prepared

_DATA, _LIMITS = "Data", "Thresholds"


def _limit(name: str, text: str) -> Any:
    return typer.Option(f"--{name}", metavar="X", help=text, rich_help_panel=_LIMITS)


def _data(name: str, metavar: str, text: str) -> Any:
    return typer.Option(f"--{name}", metavar=metavar, help=text, rich_help_panel=_DATA)


_Column: TypeAlias = str | None


def prepare(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Folder or file; for hub also an id on the Hub.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder to write: a new one, or one to resume."
        ),
    ],
    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            metavar="NAME",
            help="folder (images/ and masks/ by name), aitaca (<id>/original and <id>/no_bg), coco "
            "(a JSON file), hub (a Hugging Face data set), freihand, ho3d, egohos, egohands (as "
            "their archives unpack), webdataset (tar files) or mix (a YAML file that lists "
            "several).",
        ),
    ] = "folder",
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="A/B[/C]",
            help="Write splits.json with these percentages for train, val and test, such as "
            "60/20/20. Groups stay together.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the split.")] = 0,
    landmarks: Annotated[
        bool,
        typer.Option(
            "--landmarks/--no-landmarks",
            help="Also check each mask against hand landmarks.",
        ),
    ] = True,
    groups: Annotated[
        Path | None,
        _data("groups", "FILE", "CSV: id, group. Default for layout folder: groups.csv in DATA."),
    ] = None,
    group_pattern: Annotated[
        str | None,
        _data(
            "group-pattern",
            "REGEX",
            'Pattern of the group in an id, such as "(id\\d+)" for a_id07_2.',
        ),
    ] = None,
    mask_value: MaskValueOption = None,
    images: Annotated[Path | None, _data("images", "DIR", "coco: folder of the photos.")] = None,
    category: Annotated[
        list[str] | None, _data("category", "NAME", "coco: a category of hands.")
    ] = None,
    object_category: Annotated[
        list[str] | None, _data("object-category", "NAME", "coco: a category of held objects.")
    ] = None,
    hub_split: Annotated[str | None, _data("hub-split", "NAME", "hub: the split to read.")] = None,
    image_column: Annotated[
        _Column, _data("image-column", "NAME", "hub: column of the photos.")
    ] = None,
    mask_column: Annotated[
        _Column, _data("mask-column", "NAME", "hub: column of the masks.")
    ] = None,
    object_mask_column: Annotated[
        _Column, _data("object-mask-column", "NAME", "hub: masks of held objects.")
    ] = None,
    id_column: Annotated[_Column, _data("id-column", "NAME", "hub: names of the photos.")] = None,
    group_column: Annotated[
        _Column, _data("group-column", "NAME", "hub: groups, such as people or bursts.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        _data("option", "KEY=VALUE", "Another option of the layout, such as second_order=true."),
    ] = None,
    min_coverage: Annotated[
        float, _limit("min-coverage", "Smallest share of the photo that a mask may cover.")
    ] = Thresholds.min_coverage,
    max_coverage: Annotated[
        float, _limit("max-coverage", "Largest share of the photo that a mask may cover.")
    ] = Thresholds.max_coverage,
    max_difference: Annotated[
        float,
        _limit("max-difference", "Largest mean difference (0..255) of a cut-out from its photo."),
    ] = Thresholds.max_difference,
    speck: Annotated[
        float, _limit("speck", "Remove islands smaller than this share of the largest one.")
    ] = Thresholds.speck,
    pinhole: Annotated[
        float, _limit("pinhole", "Fill holes smaller than this share of the mask.")
    ] = Thresholds.pinhole,
    min_landmarks: Annotated[
        float, _limit("min-landmarks", "Smallest share of a hand's landmarks on the mask.")
    ] = Thresholds.min_landmarks,
    max_outside: Annotated[
        float, _limit("max-outside", "Largest share of the mask beyond hand and forearm.")
    ] = Thresholds.max_outside,
    min_filled: Annotated[
        float, _limit("min-filled", "Smallest share of the hand's shape that the mask covers.")
    ] = Thresholds.min_filled,
    max_surplus: Annotated[
        float, _limit("max-surplus", "Largest area of mask outside that shape, as a share of it.")
    ] = Thresholds.max_surplus,
) -> None:
    """Check and clean photos with masks.

    Examples:
        handseg prepare photos_and_masks/ --output data

    Writes images/ and masks/ for training, report.csv (whether each pair was kept, repaired or
    rejected, and why), report.jpg (the repaired and rejected pairs), groups.csv and, with --split,
    splits.json. DATA is not changed. To resume an interrupted run, give the same command again.

    Exit codes: 0 done, even if pairs were rejected; 1 no pair is left, or writing failed; 2 wrong
    command line; 130 interrupted.
    """
    with running("prepare", "train"):
        from handseg.data.splits import parse_ratios
        from handseg.landmarks import HandLandmarker
        from handseg.prepare.run import prepare as run
        from handseg.runtime.config import parse_assignments

        given = {
            "groups": groups,
            "group_pattern": group_pattern,
            "mask_value": mask_value,
            "images": images,
            "categories": category,
            "object_categories": object_category,
            "split": hub_split,
            "image_column": image_column,
            "mask_column": mask_column,
            "object_mask_column": object_mask_column,
            "id_column": id_column,
            "group_column": group_column,
        }
        landmarker = None
        try:
            limits = Thresholds(
                min_coverage,
                max_coverage,
                max_difference,
                speck,
                pinhole,
                min_landmarks,
                max_outside,
                min_filled,
                max_surplus,
            )
            ratios = None if split is None else parse_ratios(split)
            more = parse_assignments(assignments or [])
            taken = {name for name, value in given.items() if value}
            taken |= inspect.signature(run).parameters.keys()
            if wrong := more.keys() & taken:
                fail(f"--option cannot set {', '.join(sorted(wrong))}")
            if landmarks:
                landmarker = HandLandmarker()
            with progress_bar() as bar:
                done = run(
                    data,
                    output,
                    layout,
                    thresholds=limits,
                    landmarker=landmarker,
                    ratios=ratios,
                    seed=seed,
                    progress=bar.track,
                    **{name: value for name, value in given.items() if value},
                    **more,
                )
        except ValueError as error:
            fail(reason(error))
        except OSError as error:
            say_stopped(output, error)
            raise typer.Exit(FAILED) from error
        finally:
            if landmarker is not None:
                landmarker.close()
        _print(done, output)
        if done.count("rejected") == len(done.outcomes):
            say("No pair can be used.", "red")
            raise typer.Exit(FAILED)


def _print(done: Prepared, output: Path) -> None:
    repaired, rejected = done.reasons("repaired"), done.reasons("rejected")
    if repaired or rejected:
        table = Table("reason", box=None, header_style="bold", pad_edge=False)
        table.add_column("repaired", justify="right")
        table.add_column("rejected", justify="right")
        for kind in sorted(repaired | rejected, key=lambda kind: (-rejected[kind], kind)):
            table.add_row(kind, str(repaired[kind] or ""), str(rejected[kind] or ""))
        results.print(table)
    counts = ", ".join(f"{done.count(name)} {name}" for name in ("kept", "repaired", "rejected"))
    skipped = f" ({done.skipped} of them before)" if done.skipped else ""
    text = f"{len(done.outcomes)} pairs{skipped}: {counts}. In {output}"
    if done.splits is not None:
        parts = ", ".join(f"{part} {len(ids)}" for part, ids in done.splits.parts.items())
        text += f", split into {parts}"
    results.print(Text(text), soft_wrap=True)
