"""`handseg annotate`: a data set of hand masks and landmarks from photos or a video."""

from __future__ import annotations

import time
from collections.abc import Sequence
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
    FinderOption,
    ForearmOption,
    HolesChoice,
    HolesOption,
    MaxHandsOption,
    ModelOption,
    RayOption,
    RecipeOption,
)
from handseg.errors import reason
from handseg.runtime.progress import progress_bar
from handseg.runtime.terminal import FAILED, fail, results, running, say, say_failed, say_stopped

if TYPE_CHECKING:
    from handseg.annotate.finish import DatasetSummary
    from handseg.annotate.frames import Frames
    from handseg.annotate.plan import Job
    from handseg.runtime.ranks import Rank
    from handseg.runtime.run_folder import RunFolder


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
            help="Folder for the data set. An interrupted run continues there.",
            show_default=False,
            rich_help_panel=RESULTS,
        ),
    ],
    recursive: Annotated[
        bool,
        typer.Option(
            "--recursive",
            "-r",
            help="Include subfolders.",
            rich_help_panel=RUN,
        ),
    ] = False,
    objects: Annotated[
        bool,
        typer.Option(
            "--objects", help="Also segment what the hands hold.", rich_help_panel=RESULTS
        ),
    ] = False,
    sequence: Annotated[
        bool,
        typer.Option(
            "--sequence",
            help="Treat the photos as a sequence, ordered by the numbers in their names: track "
            "each hand and write frames/. Always on for videos.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    camera: Annotated[
        Path | None,
        typer.Option(
            "--camera",
            metavar="FILE",
            help='JSON with "K", the 3 x 3 matrix of a calibrated camera in px, copied into '
            "frames/.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    review: Annotated[
        bool,
        typer.Option(
            "--review",
            help="Also write review.html, with the least certain photos first; segments each hand "
            "a second time, from a wider box only.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    shard_size: Annotated[
        int | None,
        typer.Option(
            "--shard-size",
            metavar="N",
            min=1,
            help="Write WebDataset shards (000000.tar, ...) of N photos each instead of "
            "several files per photo.",
            show_default=False,
            rich_help_panel=RESULTS,
        ),
    ] = None,
    ray: RayOption = False,
    address: AddressOption = None,
    forearm: ForearmOption = None,
    holes: HolesOption = HolesChoice.keep,
    model: ModelOption = "handseg-lite",
    adapter: AdapterOption = None,
    recipe: RecipeOption = None,
    device: DeviceOption = None,
    max_hands: MaxHandsOption = 4,
    finder: FinderOption = True,
) -> None:
    """Make a data set from photos or a video: masks and landmarks of all hands.

    Examples:
        handseg annotate photos/ --output labelled
        handseg annotate clip.mp4 --output labelled

    Writes images/ (the photos or the frames of the video), masks/ (255 on all hands; with --objects
    also object_masks/), instances/ (1 on the first hand, 2 on the second, ...), labels/ and
    data.yaml (YOLO segmentation), coco.json and, for sequences, frames/ (a JSON file per frame with
    joints, masks and tracked hands). NAME is the photo's file name without the suffix; photos in
    subfolders become FOLDER__NAME. With --shard-size, each shard holds NAME.jpg (the photo),
    NAME.mask.png, NAME.instances.png and NAME.json, and only coco.json is written next to them.

    A photo that cannot be read is named and skipped. To continue an interrupted run and retry what
    failed, give the same command again; other options or photos are refused. To share the work
    among GPUs or machines that see the same DIR, start it with `torchrun --nproc-per-node N -m
    handseg.annotate ...` or `accelerate launch`: each process takes every N-th photo, and the last
    one writes the files about all photos. With --ray, processes of a Ray cluster do the photos.
    handseg-lite uses a GPU only with --device cuda.

    Exit codes: 0 all photos done, with or without a hand; 1 some failed; 2 wrong command line; 130
    interrupted.
    """
    with running("annotate"):
        from handseg.annotate.frames import VideoFrames
        from handseg.annotate.plan import Job, open_run
        from handseg.runtime.ranks import Rank

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
            options={
                "max_hands": max_hands,
                "finder": finder,
                "forearm": forearm,
                "holes": holes.value,
            },
        )
        try:
            rank = Rank.of_this_process()
            check_cluster(ray, address, rank)
            frames = job.open_frames()
            run = open_run(job, frames)
        except (ValueError, OSError) as error:
            fail(reason(error))
        if isinstance(frames, VideoFrames) and len(frames) < frames.promised and not rank.number:
            say(
                f"{source}: {len(frames)} frames can be read, its header promises "
                f"{frames.promised}",
                "yellow",
            )
        if ray:
            join_cluster(address)
        _run(job, frames, run, rank, device, ray)


def _run(
    job: Job, frames: Frames, run: RunFolder, rank: Rank, device: str | None, ray: bool
) -> None:
    from handseg.annotate.finish import merge

    def name(index: int) -> str:
        return frames[index].name

    everything = range(len(frames))
    mine = run.left(rank.share(everything, job.shard_size or 1), name)
    started = time.perf_counter()
    try:
        run.journal.retry(map(name, mine))
        if mine:
            work = _work_on_ray if ray else _work
            started = work(job, frames, run, rank, job.with_shards(mine, len(frames)), device)
        seconds = time.perf_counter() - started
        if not run.is_over(everything, name, worked=bool(mine)):
            say(
                f"Process {rank.number + 1} of {rank.count}: its photos are done. The last one "
                "writes the data set; if one was stopped, the same command continues from there."
            )
            return
        if not run.take_end():  # Another process finished at the same time.
            return
        outcome = merge(job, frames, run.journal)
        run.end()
    except (ValueError, OSError) as error:
        say_stopped(job.output, error)
        raise typer.Exit(FAILED) from error
    # The start and the progress of other processes are unknown here.
    before = len(frames) - len(mine) if rank.count == 1 else 0
    each = seconds / len(mine) / rank.count if mine else None
    results.print(Text(f"{_summary(outcome, before, each)} In {job.output}"), soft_wrap=True)
    if outcome.failed:
        raise typer.Exit(FAILED)


def _work(
    job: Job, frames: Frames, run: RunFolder, rank: Rank, indices: Sequence[int], device: str | None
) -> float:
    """Annotate these frames; return the start time, after the model was loaded."""
    from handseg.annotate.worker import Worker
    from handseg.runtime.threads import available_cores, limit_threads

    if rank.on_machine > 1:
        limit_threads(max(1, available_cores() // rank.on_machine))
    if device in (None, "cuda"):
        rank.take_gpu()
    segmenter = load_segmenter(job.model, job.adapter, job.recipe, device, job.objects)
    with segmenter, progress_bar(shown=rank.number == 0) as bar:
        run.claim()
        started = time.perf_counter()
        Worker(
            job,
            frames,
            run.journal,
            segmenter,
            failed=lambda frame, why: say_failed(frame.source, why),
        ).run(bar.track(indices))
        return started


def _work_on_ray(
    job: Job, frames: Frames, run: RunFolder, rank: Rank, indices: Sequence[int], device: str | None
) -> float:
    """Like `_work`, in the processes of the connected cluster."""
    from handseg.cli.annotate_on_ray import annotate_on_ray
    from handseg.runtime.files import find_unfinished

    run.claim()
    started = time.perf_counter()
    with progress_bar() as bar:
        done = annotate_on_ray(job, frames, indices, device)
        for frame, why in bar.track(done, total=len(indices)):
            if why is not None:
                say_failed(frame.source, why)
    for path in find_unfinished(job.output):  # Left by killed processes.
        path.unlink(missing_ok=True)
    return started


def _summary(outcome: DatasetSummary, before: int, each: float | None) -> str:
    parts = [f"{outcome.done} done"]
    if outcome.without_hand:
        parts[0] += f" ({outcome.without_hand} without a hand)"
    if before:
        parts.append(f"{before} of them before")
    if outcome.failed:
        parts.append(f"{outcome.failed} failed")
    if each is not None:
        parts.append(f"{each:.2f} s per photo")
    return ", ".join(parts) + "."


def main() -> None:
    """`python -m handseg.annotate`."""
    typer.run(annotate)
