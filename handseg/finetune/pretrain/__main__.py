"""Train handseg-lite, also in several processes by `torchrun` and `accelerate launch`.

    python -m handseg.finetune.pretrain --config finetune/lite.yaml --data DATA --output runs/lite

The same command with the same output resumes from the last checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handseg.runtime.terminal import running


def main(
    config: Annotated[Path, typer.Option(help="YAML, see finetune/lite.yaml.")],
    data: Annotated[Path, typer.Option(help="Folder that its paths start at.")],
    output: Annotated[Path, typer.Option(help="Folder of the run, which becomes the model.")],
) -> None:
    """Train handseg-lite from ImageNet weights, or an earlier stage, on pasted hands."""
    with running("finetune.pretrain", "pretrain"):
        from handseg.finetune.carried import train_carried
        from handseg.finetune.pretrain.settings import PretrainConfig

        train_carried(PretrainConfig, config, data, output)


if __name__ == "__main__":
    typer.run(main)
