"""Render people with exact masks: `python -m handseg.synthetic.rendered OUT --count 2000`."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from handseg.runtime.terminal import FAILED, fail, running, say, say_stopped

NEEDED = ("bpy", "anny", "OpenEXR")


def check_installed() -> None:
    """End the command where Blender, the body model or their Python is missing."""
    if sys.version_info[:2] != (3, 11):
        fail(f"rendering needs Python 3.11, the one of Blender 5.0; this is {sys.version[:6]}")
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        fail(f"rendering needs {', '.join(lacking)}: pip install 'handseg[render]'")


def main(
    out: Annotated[Path, typer.Argument(help="Folder for the pictures; made, or continued.")],
    count: Annotated[
        int, typer.Option(help="Pictures; may grow when a folder is continued.")
    ] = 100,
    seed: Annotated[int, typer.Option(help="Of everything.")] = 0,
    scenes: Annotated[str, typer.Option(help="Comma-separated names; all by default.")] = "",
    size: Annotated[int, typer.Option(help="Width and height in px.")] = 448,
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes, one core each; a single one uses all.")
    ] = 1,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Folder of photos to show behind; plain without.")
    ] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Skins, things and backgrounds kept for validation.")
    ] = False,
) -> None:
    """Render people whose hands do what hands do, with exact masks, landmarks and millimetres."""
    check_installed()
    with running("synthetic.rendered"):
        from handseg.errors import HandsegError, reason
        from handseg.synthetic.rendered.jobs import share
        from handseg.synthetic.rendered.run import (
            Settings,
            find_records,
            finish,
            missing,
            open_folder,
        )
        from handseg.synthetic.rendered.scenes import SCENES

        try:
            chosen = tuple(name.strip() for name in scenes.split(",")) if scenes else tuple(SCENES)
            behind = str(backgrounds.resolve()) if backgrounds else ""
            settings = Settings(count, seed, size, chosen, behind, held_out)
            open_folder(out, settings)
            takes = missing(out, settings)
        except (HandsegError, OSError) as error:
            fail(reason(error))
        begun = time.time()
        redrawn, broken = share(out, settings, takes, jobs)
        if not (counts := _counts(find_records(out))):
            say("No picture was rendered.", "red")
            raise typer.Exit(FAILED)
        try:
            sheet = finish(out)
        except (HandsegError, OSError) as error:
            say_stopped(out, error)
            raise typer.Exit(FAILED) from error
        if done := len(takes) - len(missing(out, settings)):
            rate = done * settings.count / settings.takes / (time.time() - begun) * 3600
            say(f"{rate:.0f} pictures an hour; {redrawn} draws that no body could do")
        for scene, (pictures, hands) in sorted(counts.items()):
            say(f"{scene}: {pictures} pictures, {hands} hands")
        say(f"Contact sheet: {sheet}")
        if broken:
            say(f"{broken} of {jobs} processes failed; the same command continues", "red")
            raise typer.Exit(FAILED)


def _counts(records: Iterable[Path]) -> dict[str, tuple[int, int]]:
    pictures: Counter[str] = Counter()
    hands: Counter[str] = Counter()
    for path in records:
        record = json.loads(path.read_text())
        pictures[record["scene"]] += 1
        hands[record["scene"]] += len(record["hands"])
    return {scene: (pictures[scene], hands[scene]) for scene in pictures}


if __name__ == "__main__":
    typer.run(main)
