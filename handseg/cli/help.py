"""Help texts of the commands: `--help`, and a short usage without arguments."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

RESULTS, HANDS, MODEL, RUN = "Results", "Hands", "Model", "Run"
"""Option groups that several commands have."""


def add_command(
    app: typer.Typer, function: Callable[..., Any], name: str | None = None, brief: bool = True
) -> None:
    """Add the command `function` with its docstring as help.

    The terminal wraps its paragraphs; indented lines, such as examples, stay unchanged.

    Args:
        app: the app to add it to.
        function: the function that it runs.
        name: name of the command; the function's by default.
        brief: without arguments, print usage, the docstring's first line and its examples.
    """
    text = unwrapped(inspect.getdoc(function) or "")
    app.command(name, help=text, cls=_BriefCommand if brief else None)(function)


def unwrapped(text: str) -> str:
    """Join each paragraph of `text` into one line; indented lines stay unchanged."""
    lines: list[str] = []
    for line in text.splitlines():
        flows = line.strip() and not line.startswith(" ")
        if flows and lines and lines[-1] and not lines[-1].startswith(" "):
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    return "\n".join(lines)


class Commands(TyperGroup):
    """The commands; a file or folder given instead of one is pointed to `segment`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        there = os.path.exists(args[0])  # noqa: PTH110 - may be too long a name
        if there and args[0] not in self.commands:
            ctx.fail(f"No such command {args[0]!r}. Did you mean 'handseg segment {args[0]}'?")
        return super().resolve_command(ctx, args)


class _BriefCommand(TyperCommand):
    """A command that prints a few lines of usage when called without arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args or ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        lines = (self.help or "").splitlines()
        examples = [line for line in lines if line.startswith(" ")]
        usage = ctx.get_usage().strip()
        told = [usage, "", lines[0], "", *examples, "", f"All options: {ctx.command_path} --help"]
        typer.echo("\n".join(told), err=True)
        raise typer.Exit(2)
