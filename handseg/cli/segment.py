"""`handseg segment`: cut the hands out of files, folders and patterns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from handseg.cli.common import FAILED, fail, load_segmenter, results, running, say, say_failed
from handseg.cli.options import (
    AdapterOption,
    DeviceOption,
    EdgeChoice,
    EdgeOption,
    ForearmOption,
    HolesChoice,
    HolesOption,
    MaxHandsOption,
    ModelOption,
    RecipeOption,
)
from handseg.errors import reason

if TYPE_CHECKING:
    import numpy as np

    from handseg.cli.folder import Run
    from handseg.runtime.journal import JsonJournal


def segment(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help='Photos, folders of photos, patterns ("**" too); "-" is standard input.',
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR|FILE",
            help='Folder for the results; for one photo also a .png file, or "-" for standard '
            "output.",
        ),
    ] = Path("handseg_out"),
    mask: Annotated[
        bool, typer.Option("--mask", help="Also write NAME_mask.png, white on the hands.")
    ] = False,
    objects: Annotated[
        bool,
        typer.Option("--objects", help="Also write NAME_object.png, white on what the hands hold."),
    ] = False,
    overlay: Annotated[
        bool,
        typer.Option("--overlay", help="Also write NAME_overlay.jpg, what was found on the photo."),
    ] = False,
    background: Annotated[
        str | None,
        typer.Option(
            "--background",
            metavar="COLOUR|FILE",
            help='Lay the hands on a colour ("white", "#00b140") or picture: NAME.png is then that '
            "composite, without transparency.",
        ),
    ] = None,
    edge: EdgeOption = EdgeChoice.soft,
    forearm: ForearmOption = None,
    holes: HolesOption = HolesChoice.keep,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Write boxes, landmarks and scores: a list with an entry a photo. Entries that "
            "the file holds of other photos stay.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do photos again whose results are there.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            metavar="N",
            min=1,
            help="Photos that are worked on at the same time; by default as many as there are "
            "cores.",
            show_default=False,
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Take the folders inside of folders, too.")
    ] = False,
    model: ModelOption = "handseg-lite",
    adapter: AdapterOption = None,
    recipe: RecipeOption = None,
    device: DeviceOption = None,
    max_hands: MaxHandsOption = 4,
) -> None:
    """Cut the hands out of photos.

    Writes NAME.png for every photo: the hands on a transparent background. NAME is the photo's
    name without its suffix. Where two photos of one folder would share a result (a.jpg and a.png,
    or a.jpg and a_mask.jpg), the suffix becomes a part of NAME: a_jpg.png, a_png.png. Below DIR,
    results lie in folders as the photos do below the deepest folder that all inputs have in common.

    A photo in which no hand is found is named in a warning and gets empty results. A photo that
    cannot be read is named and left out. A photo whose results are all there is skipped, so a run
    that was interrupted or killed goes on when it is started again; after other options have
    changed, use --overwrite or another DIR.

    To share the work among GPUs or machines that see the same DIR, start it as `torchrun
    --nproc-per-node N -m handseg segment ...`, or with `accelerate launch`: each process takes
    every N-th photo and says how its own ended. None ends with 1 then, which would end the others.
    handseg-lite uses GPUs with --device cuda.

    Exit codes: 0 all photos are done, with a hand or without; 1 some failed; 2 the command cannot
    run as it was given; 130 interrupted.
    """
    with running("segment"):
        from handseg.cli.folder import Outputs, Run, ready
        from handseg.cli.outputs import (
            STANDARD,
            find_photos,
            output_folder,
            to_standard_output,
        )
        from handseg.runtime.journal import JsonJournal
        from handseg.runtime.ranks import Rank
        from handseg.runtime.threads import available_cores, limit_threads

        wanted = Outputs(
            mask,
            objects,
            overlay,
            None if background is None else _background(background),
            edge.value,
        )
        if str(output) == STANDARD and (mask or objects or overlay):
            fail("--output - writes the cut-out alone: leave out --mask, --objects and --overlay")
        with to_standard_output(output) as target:
            try:
                rank = Rank.of_this_process()
                photos = find_photos(inputs, target, recursive)[rank.number :: rank.count]
                rows = None if json_file is None else JsonJournal(json_file)
                output_folder(target).mkdir(parents=True, exist_ok=True)
            except (ValueError, OSError) as error:
                fail(reason(error).replace(str(target), str(output)))
            todo = [photo for photo in photos if overwrite or not wanted.are_there(photo, rows)]
            run = Run(rank, skipped=len(photos) - len(todo))
            if todo:
                cores = max(1, available_cores() // rank.on_machine)
                jobs = min(jobs or cores, len(todo))
                if jobs > 1 or rank.on_machine > 1:
                    limit_threads(max(1, cores // jobs))
                if device in (None, "cuda"):
                    rank.take_gpu()
                segmenter = load_segmenter(model, adapter, recipe, device, objects)
                options = {
                    "max_hands": max_hands,
                    "forearm": forearm,
                    "holes": holes.value,
                    "objects": objects,
                }
                try:
                    with ready(segmenter, jobs) as segmenters:
                        run.over(todo, segmenters, options, wanted, rows)
                finally:
                    _tell(run, output)
                    if rows is not None:
                        _merge(rows)
            else:
                _tell(run, output)
        if run.failed and rank.count == 1:
            raise typer.Exit(FAILED)


def _tell(run: Run, output: Path) -> None:
    if str(output) == "-":  # Standard output is the picture's.
        say(run.summary())
    else:
        results.print(Text(f"{run.summary()} In {output}"), soft_wrap=True)


def _background(value: str) -> tuple[int, int, int] | np.ndarray:
    """The colour or picture that `value` names; made once, not for every photo."""
    from handseg.io.images import load_image
    from handseg.results.overlay import parse_color

    try:
        return parse_color(value, "--background")
    except ValueError as no_color:
        try:
            return load_image(value)
        except ValueError as no_picture:
            fail(f"{no_color}; nor is it a picture: {no_picture}")


def _merge(rows: JsonJournal) -> None:
    try:
        rows.merge()
    except (ValueError, OSError) as error:
        say_failed(f"--json {rows.file}", reason(error))
        raise typer.Exit(FAILED) from error
