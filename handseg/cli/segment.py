"""`handseg segment`: cut the hands out of files, folders and patterns."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
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
from handseg.errors import nothing_can_be_written

if TYPE_CHECKING:
    import numpy as np

    from handseg.cli.outputs import JsonRows, Photo
    from handseg.predictor import HandSegmenter
    from handseg.results import Edge, HandSegmentation

logger = logging.getLogger(__name__)


# Enumerations, as the values live in modules that take seconds to import.
class EdgeChoice(str, Enum):
    soft = "soft"
    hard = "hard"
    matte = "matte"


class HolesChoice(str, Enum):
    keep = "keep"
    fill = "fill"


def segment(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help='Photos, folders of photos, patterns ("**" too).',
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")
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
    edge: Annotated[
        EdgeChoice,
        typer.Option(
            "--edge",
            help="Of cut-outs and composites: soft, hard (each pixel in or out), or matte (as soft "
            "as the photo).",
        ),
    ] = EdgeChoice.soft,
    forearm: Annotated[
        bool | None,
        typer.Option(
            "--forearm/--no-forearm",
            help="Take in a bare forearm, or end at the wrist; by default as the model's recipe "
            "says.",
            show_default=False,
        ),
    ] = None,
    holes: Annotated[
        HolesChoice,
        typer.Option(
            "--holes",
            help="fill: coins, rings and watches on the hand belong to it; gaps between fingers "
            "stay.",
        ),
    ] = HolesChoice.keep,
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
    cannot be read is named and left out. A photo whose results are all there is skipped, so an
    interrupted run goes on when it is started again; after other options have changed, use
    --overwrite or another DIR.

    Exit codes: 0 all photos are done, with a hand or without; 1 some failed; 2 the command cannot
    run as it was given; 130 interrupted.
    """
    with ending_on_ctrl_c():
        from handseg.cli.outputs import JsonRows, find_photos

        wanted = _Results(
            mask,
            objects,
            overlay,
            None if background is None else _background(background),
            edge.value,
        )
        try:
            photos = find_photos(inputs, output, recursive)
            rows = None if json_file is None else JsonRows(json_file)
            output.mkdir(parents=True, exist_ok=True)
        except (ValueError, OSError) as error:
            fail(reason(error))
        todo = [photo for photo in photos if overwrite or not wanted.are_there(photo, rows)]
        run = _Run(skipped=len(photos) - len(todo))
        if todo:
            segmenter = load_segmenter(model, adapter, recipe, device, objects)
            try:
                with segmenter:
                    options = {
                        "max_hands": max_hands,
                        "forearm": forearm,
                        "holes": holes.value,
                        "objects": objects,
                    }
                    run.over(todo, segmenter, options, wanted, rows)
            finally:
                results.print(Text(f"{run.summary()} In {output}"), soft_wrap=True)
                if rows is not None:
                    _write(rows)
        else:
            results.print(Text(f"{run.summary()} In {output}"), soft_wrap=True)
        if run.failed:
            raise typer.Exit(FAILED)


def _background(value: str) -> tuple[int, int, int] | np.ndarray:
    """The colour or picture that `value` names; made once, not for every photo."""
    from handseg.draw import parse_color
    from handseg.images import load_image

    try:
        return parse_color(value, "--background")
    except ValueError as no_color:
        try:
            return load_image(value)
        except ValueError as no_picture:
            fail(f"{no_color}; nor is it a picture: {no_picture}")


def _write(rows: JsonRows) -> None:
    try:
        rows.write()
    except OSError as error:
        say_failed(f"--json {rows.file}", reason(error))
        raise typer.Exit(FAILED) from error


@dataclass(frozen=True, eq=False)
class _Results:
    """What is written for each photo; `background` is a colour (r, g, b) or (H, W, 3) uint8."""

    mask: bool
    objects: bool
    overlay: bool
    background: tuple[int, int, int] | np.ndarray | None
    edge: Edge

    def are_there(self, photo: Photo, rows: JsonRows | None) -> bool:
        files = [photo.picture]
        files += [photo.mask] if self.mask else []
        files += [photo.object_mask] if self.objects else []
        files += [photo.overlay] if self.overlay else []
        return all(file.exists() for file in files) and (rows is None or photo.path in rows)

    def write(self, photo: Photo, result: HandSegmentation, rows: JsonRows | None) -> None:
        from handseg.files import save_image

        if self.background is None:
            save_image(result.cutout(edge=self.edge), photo.picture)
        else:
            save_image(result.composite(self.background, self.edge), photo.picture)
        if self.mask:
            save_image(result.mask, photo.mask)
        if (held := result.object_mask) is not None and self.objects:
            save_image(held, photo.object_mask)
        if self.overlay:
            save_image(result.overlay(), photo.overlay)
        if rows is not None:
            rows.add(photo.path, result.to_dict())


@dataclass
class _Run:
    """How the photos of a run ended; `seconds` is for those done, from file to files."""

    skipped: int
    done: int = 0
    without_hand: int = 0
    failed: int = 0
    seconds: float = 0.0

    def over(
        self,
        photos: list[Photo],
        segmenter: HandSegmenter,
        options: dict[str, Any],
        wanted: _Results,
        rows: JsonRows | None,
    ) -> None:
        with progress_bar() as bar:
            for photo in bar.track(photos):
                start = time.perf_counter()
                try:
                    result = segmenter.segment(photo.path, **options)
                    wanted.write(photo, result, rows)
                except Exception as error:
                    # Also what nobody planned for: the next photo may do.
                    self.failed += 1
                    logger.debug("%s", photo.path, exc_info=True)
                    why = reason(error)
                    say(
                        f"Failed: {why if str(photo.path) in why else f'{photo.path}: {why}'}",
                        "red",
                    )
                    if nothing_can_be_written(error):
                        break
                    continue
                self.done += 1
                self.seconds += time.perf_counter() - start
                if not result:
                    self.without_hand += 1
                    say(f"No hand found: {photo.path}", "yellow")

    def summary(self) -> str:
        parts = [f"{self.done} done"]
        if self.without_hand:
            parts[0] += f" ({self.without_hand} without a hand)"
        if self.skipped:
            parts.append(f"{self.skipped} skipped (done before)")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.done:
            parts.append(f"{self.seconds / self.done:.2f} s a photo")
        return ", ".join(parts) + "."
