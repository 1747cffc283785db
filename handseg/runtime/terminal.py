"""What every command says and how it ends: messages on stderr, results on stdout, exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

from handseg.errors import MissingExtraError, reason
from handseg.runtime.extras import needing_extras
from handseg.runtime.progress import messages

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
"""Exit codes; 130 is what a shell reports of a command that Ctrl-C ended."""

KEPT = "What was done is kept: the same command continues from there."

results = Console(highlight=False)


def say(text: str, style: str = "") -> None:
    """Print one message to stderr, as it is: never wrapped, nothing in it read as markup."""
    messages.print(Text(text, style), soft_wrap=True)


def say_failed(what: str, why: str) -> None:
    """Report `what` in one line; reasons that name it already are enough."""
    why = " ".join(why.split())
    say(f"Failed: {why}" if what in why else f"Failed: {what}: {why}", "red")


def say_stopped(output: object, error: Exception) -> None:
    """Report what ended a long run early, and that it can go on."""
    say_failed(str(output), reason(error))
    say(KEPT)


def fail(text: str) -> NoReturn:
    """Say what is wrong with the command and end it."""
    say(f"Error: {text}", "red")
    raise typer.Exit(MISUSED)


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
