"""A progress bar on stderr, where somebody watches, and only on one of several processes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")

messages = Console(stderr=True, highlight=False)
"""Where messages go; those that are printed to it do not disturb a bar."""


def watched(main_process: bool = True) -> bool:
    """Whether this process's output is one that a person watches."""
    return main_process and sys.stdout.isatty()


def progress_bar(shown: bool = True) -> Progress:
    """A bar that is gone when it is done; nothing where stderr is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=messages,
        transient=True,
        disable=not (shown and messages.is_terminal),
    )


def tracked(items: Iterable[T], description: str, main_process: bool = True) -> Iterator[T]:
    """`items`, with a bar while they are gone through."""
    with progress_bar(main_process) as bar:
        yield from bar.track(items, description=description)
