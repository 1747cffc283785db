"""`handseg annotate`: a data set of hand masks and landmarks from photos or a video."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from handseg.cli.common import (
    FAILED,
    MISUSED,
    fail,
    load_segmenter,
    progress_bar,
    results,
    running,
    say,
    say_failed,
)
from handseg.cli.options import (
    AdapterOption,
    DeviceOption,
    ForearmOption,
    HolesChoice,
    HolesOption,
    MaxHandsOption,
    ModelOption,
    RecipeOption,
)
from handseg.errors import reason

if TYPE_CHECKING:
    from handseg.annotate.job import Job
    from handseg.annotate.merge import DatasetSummary
    from handseg.annotate.run import AnnotationPlan, Processes


def annotate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A folder of photos, or a video (mp4, mov, avi, mkv, webm).",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder of the data set. An interrupted run goes on from it.",
            show_default=False,
        ),
    ],
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Take the folders inside of the folder, too.")
    ] = False,
    objects: Annotated[
        bool, typer.Option("--objects", help="Also segment what the hands hold.")
    ] = False,
    sequence: Annotated[
        bool,
        typer.Option(
            "--sequence",
            help="The photos follow each other, in the order of the numbers in their names: number "
            "each hand through them and write frames/. Of a video that is always done.",
        ),
    ] = False,
    camera: Annotated[
        Path | None,
        typer.Option(
            "--camera",
            metavar="FILE",
            help='JSON with "K", the 3 x 3 matrix of a calibrated camera in px, to be copied into '
            "frames/.",
        ),
    ] = None,
    review: Annotated[
        bool,
        typer.Option(
            "--review",
            help="Also write review.html, the least certain photos first; segments each hand a "
            "second time, from a wider box alone.",
        ),
    ] = False,
    forearm: ForearmOption = None,
    holes: HolesOption = HolesChoice.keep,
    shard_size: Annotated[
        int,
        typer.Option(
            "--shard-size", metavar="N", min=1, help="Photos that a process takes on at a time."
        ),
    ] = 50,
    model: ModelOption = "handseg-lite",
    adapter: AdapterOption = None,
    recipe: RecipeOption = None,
    device: DeviceOption = None,
    max_hands: MaxHandsOption = 4,
) -> None:
    """Make a data set of photos or a video: masks and landmarks of all hands.

    Writes images/ (the photos, or a video's frames), masks/ (255 on all hands; with --objects also
    object_masks/), instances/ (1 on the first hand, 2 on the second, ...), labels/ and data.yaml
    (YOLO segmentation), coco.json, and for sequences frames/ (a JSON a frame: joints, masks, hands
    numbered through the frames). NAME is the photo's name without its suffix; photos of folders
    inside of the folder are named FOLDER__NAME.

    A photo that cannot be read is named and left out. The same command goes on where a run was
    stopped, and tries again what failed; other options or photos are refused. To share the work,
    start it as `torchrun --nproc_per_node N -m handseg.annotate ...`, or with `accelerate launch`,
    on one machine or on several that see the same DIR.

    Exit codes: 0 all photos are done, with a hand or without; 1 some failed; 2 the command cannot
    run as it was given; 130 interrupted.
    """
    with running("annotate"):
        from handseg.annotate.job import Job
        from handseg.annotate.run import agree, plan, processes

        job = Job(
            source,
            output,
            model=model,
            adapter=adapter,
            recipe=recipe,
            recursive=recursive,
            sequence=sequence,
            objects=objects,
            review=review,
            camera=camera,
            shard_size=shard_size,
            options={"max_hands": max_hands, "forearm": forearm, "holes": holes.value},
        )
        try:
            state = processes(on_cpu=device == "cpu")
        except ValueError as error:
            fail(reason(error))
        try:
            try:
                todo = agree(state, lambda: plan(job))
            except (ValueError, OSError) as error:
                if state.is_main_process:
                    fail(reason(error))
                raise typer.Exit(MISUSED) from error
            if todo.note and state.is_main_process:
                say(todo.note, "yellow")
            _run(job, todo, state, device)
        finally:
            state.destroy_process_group()


def _run(job: Job, todo: AnnotationPlan, state: Processes, device: str | None) -> None:
    from handseg.annotate.merge import merge

    seconds = 0.0
    try:
        frames = job.open_frames(todo.frames)
        shards = job.shards(todo.frames)
        if not todo.done:
            seconds = _work(job, todo, state, device)
        if not state.is_main_process:
            return  # Not with an exit code of failure: it would end the other processes, too.
        outcome = merge(job, frames, shards)
    except (ValueError, OSError) as error:
        say_failed(str(job.output), reason(error))
        raise typer.Exit(FAILED) from error
    results.print(Text(f"{_summary(outcome, todo, seconds)} In {job.output}"), soft_wrap=True)
    if outcome.failed:
        raise typer.Exit(FAILED)


def _work(job: Job, todo: AnnotationPlan, state: Processes, device: str | None) -> float:
    """Do what this process can get of the work; returns its seconds without loading the model."""
    from handseg.annotate.job import start_job
    from handseg.annotate.run import device_of
    from handseg.annotate.work import Worker
    from handseg.runtime.ranks import Rank
    from handseg.runtime.threads import available_cores, limit_threads

    if (processes := Rank.of_this_process().on_machine) > 1:
        limit_threads(max(1, available_cores() // processes))
    device = device_of(state, device)
    segmenter = load_segmenter(job.model, job.adapter, job.recipe, device, job.objects)
    with segmenter, progress_bar() as bar:
        if state.is_main_process:
            start_job(job, todo.identity)
        state.wait_for_everyone()
        task = bar.add_task("photos", total=todo.missing, visible=state.is_main_process)
        begun = time.perf_counter()
        Worker(
            job,
            job.open_frames(todo.frames),
            job.shards(todo.frames),
            segmenter,
            failed=lambda frame, why: say_failed(frame.source, why),
            advanced=lambda count: bar.update(task, advance=count),
        ).run(wait_for_others=state.is_main_process)
        return time.perf_counter() - begun


def _summary(outcome: DatasetSummary, todo: AnnotationPlan, seconds: float) -> str:
    parts = [f"{outcome.done} done"]
    if outcome.without_hand:
        parts[0] += f" ({outcome.without_hand} without a hand)"
    if before := todo.frames - todo.missing:
        parts.append(f"{before} of them before")
    if outcome.failed:
        parts.append(f"{outcome.failed} failed")
    if todo.missing:
        parts.append(f"{seconds / todo.missing:.2f} s a photo")
    return ", ".join(parts) + "."


def main() -> None:
    """`python -m handseg.annotate`."""
    typer.run(annotate)
