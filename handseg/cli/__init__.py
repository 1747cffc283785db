"""The `handseg` command: one module a subcommand.

None of them imports an image or model library before it runs, so that `--help` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from handseg import __version__
from handseg.cli.annotate import annotate
from handseg.cli.app import app as page
from handseg.cli.evaluate import evaluate
from handseg.cli.export import export
from handseg.cli.finetune import finetune
from handseg.cli.info import info
from handseg.cli.prepare import prepare
from handseg.cli.segment import segment

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(no_args_is_help=True)(segment)
app.command(no_args_is_help=True)(annotate)
app.command(no_args_is_help=True)(evaluate)
app.command(no_args_is_help=True)(export)
app.command(no_args_is_help=True)(prepare)
app.command(no_args_is_help=True)(finetune)
app.command("app")(page)
app.command()(info)


def main() -> None:
    """Entry point of `handseg` and `python -m handseg`."""
    app(prog_name="handseg")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"handseg {__version__}")
        raise typer.Exit


@app.callback()
def _handseg(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Cut hands out of photos: MediaPipe landmarks prompt a SAM-family model."""
