"""Train the hand finder, also in several processes by `torchrun` and `accelerate launch`.

    python -m handseg.finetune.finder --config finetune/finder.yaml --data DATA --output runs/finder

The same command with the same output resumes from the last checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handseg.runtime.terminal import running


def main(
    config: Annotated[Path, typer.Option(help="YAML, see finetune/finder.yaml.")],
    data: Annotated[Path, typer.Option(help="Folder that its paths start at.")],
    output: Annotated[Path, typer.Option(help="Folder of the run, which becomes the finder.")],
) -> None:
    """Train the hand finder on rendered people, photos with boxes and pasted hands."""
    with running("finetune.finder", "pretrain"):
        from handseg.finetune.carried import train_carried
        from handseg.finetune.finder.settings import FinderConfig

        train_carried(FinderConfig, config, data, output)


if __name__ == "__main__":
    typer.run(main)
