"""Shared by the commands that train the bundled networks."""

from __future__ import annotations

import logging
from pathlib import Path

import typer

from handseg.errors import reason
from handseg.finetune.settings import RunSettings
from handseg.finetune.train import train
from handseg.runtime.config import assign, from_mapping, read_yaml
from handseg.runtime.terminal import FAILED, fail, say_stopped


def train_carried(kind: type[RunSettings], config: Path, data: Path, output: Path) -> None:
    """Train with the settings in the YAML file `config`, whose paths are below `data`.

    Args:
        kind: class of the settings.
        config: settings file.
        data: data folder.
        output: folder of the run.

    Raises:
        typer.Exit: after the error has been printed.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        values = assign(read_yaml(config), {"data.root": str(data)})
        train(from_mapping(kind, values, str(config)), output)
    except ValueError as error:
        fail(reason(error))
    except OSError as error:
        say_stopped(output, error)
        raise typer.Exit(FAILED) from error
