"""What the commands share: options, messages, and a segmenter that is ready to run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from handseg.errors import MissingExtraError, reason
from handseg.runtime.extras import needing_extras

if TYPE_CHECKING:
    from handseg.segmenter import HandSegmenter

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
"""Exit codes; 130 is what a shell reports of a command that Ctrl-C ended."""


results = Console(highlight=False)
messages = Console(stderr=True, highlight=False)


def say(text: str, style: str = "") -> None:
    """Print one message to stderr, as it is: never wrapped, nothing in it read as markup."""
    messages.print(Text(text, style), soft_wrap=True)


def say_failed(what: str, why: str) -> None:
    """Report `what` in one line; reasons that name it already are enough."""
    why = " ".join(why.split())
    say(f"Failed: {why}" if what in why else f"Failed: {what}: {why}", "red")


def fail(text: str) -> NoReturn:
    """Say what is wrong with the command and end it."""
    say(f"Error: {text}", "red")
    raise typer.Exit(MISUSED)


def progress_bar(shown: bool = True) -> Progress:
    """A bar on stderr that is gone when it is done; nothing where that is no terminal."""
    return Progress(
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=messages,
        transient=True,
        disable=not (shown and messages.is_terminal),
    )


@contextmanager
def running(command: str, extra: str | None = None) -> Iterator[None]:
    """Run a command: Ctrl-C and a missing package are answered with a line, not a traceback.

    Args:
        command: its name, for messages.
        extra: brings all that the command needs, where the core is not enough.
    """
    try:
        with needing_extras(f"handseg {command}", extra):
            yield
    except MissingExtraError as error:
        fail(reason(error))
    except KeyboardInterrupt:
        say("Interrupted.", "yellow")
        raise typer.Exit(INTERRUPTED) from None


def load_segmenter(
    model: str,
    adapter: Path | None,
    recipe: Path | None,
    device: str | None,
    objects: bool = False,
) -> HandSegmenter:
    """Make the segmenter that the options ask for, or end the command.

    With `objects`, it is one that cuts out what hands hold, too.
    """
    if messages.is_terminal:
        say(f"Loading {model}", "dim")
    from handseg.landmarks import start_quietly
    from handseg.segmenter import HandSegmenter

    if device not in (None, "cpu"):
        _check_device(device)
    try:
        segmenter = HandSegmenter.from_pretrained(
            model, adapter=adapter, device=device, recipe=recipe
        )
    except (ValueError, OSError) as error:
        fail(reason(error))
    if objects:
        try:
            segmenter.check_objects()
        except ValueError as error:
            fail(f"--{reason(error)}")  # It begins with the option's name.
    if segmenter.takes_prompts:
        start_quietly(lambda: segmenter.landmarker)
    return segmenter


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(0, device=device)
    # Torch raises an AssertionError where it was built without CUDA.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        fail(f"--device {device}: {' '.join(str(error).split())}")
