"""The commands that train the networks which the package carries."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Annotated

import typer

from handseg.errors import reason
from handseg.runtime.terminal import FAILED, fail, running, say_stopped


def run_carried(name: str, settings: str, text: str) -> None:
    """Run the command `python -m handseg.finetune.<name>`, which trains as a YAML file says.

    Args:
        name: of the package.
        settings: the class of its settings, in its module `settings`.
        text: what it does, for `--help`.
    """

    def main(
        config: Annotated[Path, typer.Option(help="YAML, see finetune/*.yaml.")],
        data: Annotated[Path, typer.Option(help="Folder that its paths start at.")],
        output: Annotated[Path, typer.Option(help="Folder of the run, which becomes the model.")],
    ) -> None:
        with running(f"finetune.{name}", "pretrain"):
            from handseg.finetune.train import train
            from handseg.runtime.config import assign, from_mapping, read_yaml

            kind = getattr(importlib.import_module(f"handseg.finetune.{name}.settings"), settings)
            logging.basicConfig(level=logging.INFO, format="%(message)s")
            try:
                values = assign(read_yaml(config), {"data.root": str(data)})
                train(from_mapping(kind, values, str(config)), output)
            except ValueError as error:
                fail(reason(error))
            except OSError as error:
                say_stopped(output, error)
                raise typer.Exit(FAILED) from error

    main.__doc__ = text
    typer.run(main)
