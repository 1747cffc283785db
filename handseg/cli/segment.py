"""`handseg segment`: cut the hands out of files, folders and patterns."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from handseg.cli.common import check_cluster, join_cluster, load_segmenter
from handseg.cli.help import RESULTS, RUN
from handseg.cli.options import (
    AdapterOption,
    AddressOption,
    DeviceOption,
    EdgeChoice,
    EdgeOption,
    FinderOption,
    ForearmOption,
    HolesChoice,
    HolesOption,
    InputsArgument,
    JobsOption,
    MaxHandsOption,
    ModelOption,
    RayOption,
    RecipeOption,
    RecursiveOption,
)
from handseg.errors import ClusterError, reason
from handseg.runtime.terminal import FAILED, fail, results, running, say, say_failed, say_stopped

if TYPE_CHECKING:
    import numpy as np

    from handseg.cli.folder import Run
    from handseg.cli.json_file import JsonFile
    from handseg.cli.outputs import InputPhoto


def segment(
    inputs: InputsArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR|FILE",
            help='Folder for the results; for one photo also a .png file, or "-" for standard '
            "output.",
            rich_help_panel=RESULTS,
        ),
    ] = Path("handseg_out"),
    mask: Annotated[
        bool,
        typer.Option(
            "--mask", help="Also write NAME_mask.png, white on the hands.", rich_help_panel=RESULTS
        ),
    ] = False,
    objects: Annotated[
        bool,
        typer.Option(
            "--objects",
            help="Also write NAME_object.png, white on what the hands hold.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay",
            help="Also write NAME_overlay.jpg, what was found on the photo.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    background: Annotated[
        str | None,
        typer.Option(
            "--background",
            metavar="COLOUR|FILE",
            help='Lay the hands on a colour ("white", "#00b140") or picture: NAME.png is then that '
            "composite, without transparency.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    edge: EdgeOption = EdgeChoice.soft,
    crop: Annotated[
        bool,
        typer.Option(
            "--crop",
            help="Cut the cut-out or composite down to the hands.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    forearm: ForearmOption = None,
    holes: HolesOption = HolesChoice.keep,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Write boxes, landmarks and scores: a list with one entry per photo. Entries "
            "for other photos in an existing file are kept.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Process photos again that have results.", rich_help_panel=RUN
        ),
    ] = False,
    jobs: JobsOption = None,
    ray: RayOption = False,
    address: AddressOption = None,
    recursive: RecursiveOption = False,
    model: ModelOption = "handseg-lite",
    adapter: AdapterOption = None,
    recipe: RecipeOption = None,
    device: DeviceOption = None,
    max_hands: MaxHandsOption = 4,
    finder: FinderOption = True,
) -> None:
    """Cut the hands out of photos.

    Examples:
        handseg segment photo.jpg -o hand.png
        handseg segment photos/ -o cut --mask --overlay

    Writes NAME.png for each photo: the hands on a transparent background. NAME is the photo's file
    name without the suffix. If two photos in a folder would write the same file (a.jpg and a.png,
    or a.jpg and a_mask.jpg), the suffix is added: a_jpg.png, a_png.png. Subfolders of DIR mirror
    those below the deepest folder that all inputs share.

    If no hand is found in a photo, a warning names it and its results are empty. A photo that
    cannot be read is named and skipped. Only missing results are written: start an interrupted run
    again to continue it, and results that you have retouched are kept. After changing other
    options, use --overwrite or another DIR. A DIR is refused if all files with the results' names
    were made by something else.

    To share the work among GPUs or machines that see the same DIR, start it with `torchrun
    --nproc-per-node N -m handseg segment ...` or `accelerate launch`: each process takes every N-th
    photo and reports how its own went, and the last one writes FILE. No process then exits with 1,
    because that would stop the others. handseg-lite uses a GPU only with --device cuda. With --ray,
    processes of a Ray cluster segment the photos, one thread each, and this one writes FILE.

    Exit codes: 0 all photos done, with or without a hand; 1 some failed; 2 wrong command line; 130
    interrupted.
    """
    with running("segment"):
        from handseg.cli.folder import Outputs, Run
        from handseg.cli.json_file import JsonFile
        from handseg.cli.outputs import (
            STANDARD,
            and_more,
            find_photos,
            foreign_files,
            output_folder,
            to_standard_output,
        )
        from handseg.pipeline.shared import ready
        from handseg.runtime.ranks import Rank
        from handseg.runtime.threads import available_cores, limit_threads

        wanted = Outputs(
            mask,
            objects,
            overlay,
            None if background is None else _background(background),
            edge.value,
            crop,
            overwrite,
        )
        kept: list[Path] = []
        if str(output) == STANDARD and (mask or objects or overlay):
            fail("--output - writes the cut-out alone: leave out --mask, --objects and --overlay")
        if ray and STANDARD in (str(output), *inputs):
            fail('--ray is for files: leave out --ray or "-"')
        if ray and jobs is not None:
            fail("--ray takes all CPUs of the cluster: leave out --jobs")
        with to_standard_output(output) as target:
            try:
                rank = Rank.of_this_process()
                check_cluster(ray, address, rank)
                photos = find_photos(inputs, target, recursive)
                rows = None if json_file is None else JsonFile(json_file, anew=overwrite)
                own = rank.share(photos)
                todo = [photo for photo in own if overwrite or not wanted.are_there(photo, rows)]
                if not overwrite:
                    files = chain.from_iterable(map(wanted.files, photos))
                    kept = foreign_files(files, writing=bool(todo))
                output_folder(target).mkdir(parents=True, exist_ok=True)
            except (ValueError, OSError) as error:
                fail(reason(error).replace(str(target), str(output)))
            if kept and rank.number == 0:
                say(f"Left as it is, not written by handseg: {and_more(kept)}", "yellow")
            run = Run(rank, skipped=len(own) - len(todo))
            options = {
                "max_hands": max_hands,
                "finder": finder,
                "forearm": forearm,
                "holes": holes.value,
                "objects": objects,
            }
            if todo and ray:
                from handseg.cli.segment_on_ray import RaySegmenter, segment_on_ray

                join_cluster(address)
                made_by = RaySegmenter(model, adapter, recipe, device, options)
                try:
                    run.count(segment_on_ray(todo, made_by, wanted, json_file), len(todo))
                except ClusterError as error:
                    say_stopped(output, error)
                    raise typer.Exit(FAILED) from error
                finally:
                    _end(run, output, rows, photos)
            elif todo:
                cores = max(1, available_cores() // rank.on_machine)
                jobs = min(jobs or cores, len(todo))
                if jobs > 1 or rank.on_machine > 1:
                    limit_threads(max(1, cores // jobs))
                if device in (None, "cuda"):
                    rank.take_gpu()
                segmenter = load_segmenter(model, adapter, recipe, device, objects)
                try:
                    with ready(segmenter, jobs) as segmenters:
                        run.over(todo, segmenters, options, wanted, rows)
                finally:
                    _end(run, output, rows, photos)
            else:
                _end(run, output, rows, photos)
        if run.failed and rank.count == 1:
            raise typer.Exit(FAILED)


def _end(run: Run, output: Path, rows: JsonFile | None, photos: list[InputPhoto]) -> None:
    """Sum up; the process that ends last takes the rows of all into the JSON file."""
    if str(output) == "-":  # Standard output is the picture's.
        say(run.summary())
    else:
        results.print(Text(f"{run.summary()} In {output}"), soft_wrap=True)
    if rows is None:
        return
    try:
        if run.rank.count == 1 or rows.has_all(photo.path for photo in photos):
            rows.merge()
    except (ValueError, OSError) as error:
        say_failed(f"--json {rows.file}", reason(error))
        raise typer.Exit(FAILED) from error


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
