"""`handseg segment`: cut the hands out of files, folders and patterns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from handseg.cli.common import SegmenterChoice, check_cluster, join_cluster, load_segmenter
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
    from handseg.cli.folder import Run
    from handseg.cli.segment_into import Calls, Into
    from handseg.runtime.ranks import Rank


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
    shard_size: Annotated[
        int | None,
        typer.Option(
            "--shard-size",
            metavar="N",
            min=1,
            help="Write WebDataset shards (000000.tar, ...) of N photos each instead of files per "
            "photo.",
            show_default=False,
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
    batch: Annotated[
        int,
        typer.Option(
            "--batch",
            metavar="N",
            min=1,
            help="Photos that each job segments together, with one pass of the model for up to 8 "
            "hands: for GPUs. All N are in memory.",
            rich_help_panel=RUN,
        ),
    ] = 1,
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

    With --shard-size, a shard holds NAME.cutout.png (NAME.composite.png with --background),
    NAME.mask.png, NAME.object_mask.png, NAME.overlay.jpg and NAME.json, the photo's entry of FILE.
    An interrupted run repeats the photos of unfinished shards. Other options or photos are refused.

    To share the work among GPUs or machines that see the same DIR, start it with `torchrun
    --nproc-per-node N -m handseg segment ...` or `accelerate launch`: each process takes every N-th
    photo or shard and reports how its own went, and the last one writes FILE. No process then exits
    with 1, because that would stop the others. handseg-lite uses a GPU only with --device cuda.
    With --ray, processes of a Ray cluster segment the photos, one thread each, and this one writes
    FILE.

    Exit codes: 0 all photos done, with or without a hand; 1 some failed; 2 wrong command line; 130
    interrupted.
    """
    with running("segment"):
        from handseg.cli.folder import Run
        from handseg.cli.outputs import (
            STANDARD,
            and_more,
            find_photos,
            output_folder,
            to_standard_output,
        )
        from handseg.cli.pictures import Outputs, read_background
        from handseg.cli.segment_into import IntoFiles, IntoShards
        from handseg.runtime.ranks import Rank

        try:
            backdrop = None if background is None else read_background(background)
        except ValueError as error:
            fail(reason(error))
        wanted = Outputs(mask, objects, overlay, backdrop, edge.value, crop, overwrite)
        options = {
            "max_hands": max_hands,
            "finder": finder,
            "forearm": forearm,
            "holes": holes.value,
            "objects": objects,
        }
        made_by = SegmenterChoice(model, adapter, recipe, device, options, batch)
        if str(output) == STANDARD and (mask or objects or overlay):
            fail("--output - writes the cut-out alone: leave out --mask, --objects and --overlay")
        if ray and STANDARD in (str(output), *inputs):
            fail('--ray is for files: leave out --ray or "-"')
        if ray and jobs is not None:
            fail("--ray takes all CPUs of the cluster: leave out --jobs")
        if ray and batch > 1:
            fail("--ray does photos one by one: leave out --batch")
        if shard_size is not None and STANDARD in (str(output), *inputs):
            fail('--shard-size is for files: leave out --shard-size or "-"')
        if shard_size is not None and overwrite:
            fail("--shard-size writes no shard twice: leave out --overwrite, or choose another DIR")
        with to_standard_output(output) as target:
            try:
                rank = Rank.of_this_process()
                check_cluster(ray, address, rank)
                photos = find_photos(inputs, target, recursive)
                into: Into
                if shard_size is None:
                    into = IntoFiles(wanted, photos, json_file, rank)
                elif output_folder(target) == target:
                    into = IntoShards(wanted, photos, json_file, rank, target, shard_size, made_by)
                else:
                    raise ValueError(f"--shard-size writes a folder of shards, not {output}")
                output_folder(target).mkdir(parents=True, exist_ok=True)
            except (ValueError, OSError) as error:
                fail(reason(error).replace(str(target), str(output)))
            if rank.number == 0 and (kept := into.kept):
                say(f"Left as it is, not written by handseg: {and_more(kept)}", "yellow")
            run = Run(rank, skipped=into.skipped)
            if into.left:
                with _begun(into, made_by, rank, jobs, ray, address) as calls:
                    try:
                        run.count(calls, into.left, into.rows)
                    except (ClusterError, OSError) as error:
                        say_stopped(output, error)
                        raise typer.Exit(FAILED) from error
                    finally:
                        _end(run, output, into, json_file)
            else:
                _end(run, output, into, json_file)
                if run.skipped and shard_size is None and not into.kept:
                    say("To segment them again, for example with another model, add --overwrite.")
        if run.failed and rank.count == 1:
            raise typer.Exit(FAILED)


@contextmanager
def _begun(
    into: Into,
    made_by: SegmenterChoice,
    rank: Rank,
    jobs: int | None,
    ray: bool,
    address: str | None,
) -> Iterator[Calls]:
    """Yield the calls for the photos, after loading the model or joining the cluster."""
    from handseg.pipeline.shared import ready
    from handseg.runtime.threads import available_cores, limit_threads

    if ray:
        join_cluster(address)
        yield into.calls_on_ray(made_by)
        return
    cores = max(1, available_cores() // rank.on_machine)
    jobs = min(jobs or cores, math.ceil(into.left / made_by.batch))
    if jobs > 1 or rank.on_machine > 1:
        limit_threads(max(1, cores // jobs))
    if made_by.device in (None, "cuda"):
        rank.take_gpu()
    segmenter = load_segmenter(
        made_by.model, made_by.adapter, made_by.recipe, made_by.device, made_by.options["objects"]
    )
    with ready(segmenter, jobs) as segmenters:
        yield into.calls(segmenters, made_by)


def _end(run: Run, output: Path, into: Into, json_file: Path | None) -> None:
    """Print a summary, and write the files about all photos."""
    if str(output) == "-":  # Standard output is for the picture.
        say(run.summary())
    else:
        results.print(Text(f"{run.summary()} In {output}"), soft_wrap=True)
    try:
        into.end()
    except (ValueError, OSError) as error:
        say_failed(str(output) if json_file is None else f"--json {json_file}", reason(error))
        raise typer.Exit(FAILED) from error
