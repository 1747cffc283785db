"""Output of all commands: messages on stderr, results on stdout, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

from handseg.errors import MissingExtraError, reason
from handseg.runtime.extras import needing_extras
from handseg.runtime.progress import messages

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
"""Exit codes; shells report 130 for a command ended by Ctrl-C."""

KEPT = "What was done is kept: the same command continues from there."

results = Console(highlight=False)


def say(text: str, style: str = "") -> None:
    """Print one message to stderr as it is, without wrapping or markup."""
    messages.print(Text(text, style), soft_wrap=True)


def say_failed(what: str, why: str) -> None:
    """Report the failure of `what` in one line; a reason that already names it stands alone."""
    why = " ".join(why.split())
    say(f"Failed: {why}" if what in why else f"Failed: {what}: {why}", "red")


def say_stopped(output: object, error: Exception) -> None:
    """Report the error that stopped a long run, and that the run can be resumed."""
    say_failed(str(output), reason(error))
    say(KEPT)


def fail(text: str) -> NoReturn:
    """Report an error in the use of the command and end it."""
    say(f"Error: {text}", "red")
    raise typer.Exit(MISUSED)


@contextmanager
def running(command: str, extra: str | None = None) -> Iterator[None]:
    """Run a command; report Ctrl-C and a missing package in one line, without a traceback.

    On stdout, characters that its encoding lacks are escaped, as Python does on stderr.

    Args:
        command: its name, for messages.
        extra: extra of handseg with all that the command needs, if the core is not enough.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with needing_extras(f"handseg {command}", extra):
            yield
    except MissingExtraError as error:
        fail(reason(error))
    except KeyboardInterrupt:
        say("Interrupted.", "yellow")
        raise typer.Exit(INTERRUPTED) from None
