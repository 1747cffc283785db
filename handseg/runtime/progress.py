"""A progress bar where somebody watches, and only on one of several processes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from rich.progress import track

T = TypeVar("T")


def watched(main_process: bool = True) -> bool:
    """Whether this process's output is one that a person watches."""
    return main_process and sys.stdout.isatty()


def tracked(items: Iterable[T], description: str, main_process: bool = True) -> Iterable[T]:
    """`items`, with a bar that is gone when they are done."""
    return track(items, description, transient=True, disable=not watched(main_process))
