"""The `handseg` command: one module per subcommand.

None of them imports an image or model library before it runs, so that `--help` is fast.
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
from handseg.cli.help import Commands, add_command
from handseg.cli.info import info
from handseg.cli.measure import measure
from handseg.cli.prepare import prepare
from handseg.cli.segment import segment
from handseg.cli.serve import serve

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
add_command(app, segment)
add_command(app, measure)
add_command(app, annotate)
add_command(app, evaluate)
add_command(app, export)
add_command(app, prepare)
add_command(app, finetune)
add_command(app, page, "app", brief=False)
add_command(app, serve, brief=False)
add_command(app, info, brief=False)


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
    """Cut hands out of photos, with MediaPipe landmarks and a SAM-family model."""
