"""Progress bars on stderr, if it is a terminal, and only in one of several processes."""

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
"""Console for messages; those printed to it do not disturb a bar."""


def watched(main_process: bool = True) -> bool:
    """Whether a person watches this process: the main one, with stdout in a terminal."""
    return main_process and sys.stdout.isatty()


def progress_bar(shown: bool = True) -> Progress:
    """Create a bar that disappears when it is done; hidden if stderr is not a terminal."""
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
    """Iterate over `items` with a progress bar."""
    with progress_bar(main_process) as bar:
        yield from bar.track(items, description=description)
