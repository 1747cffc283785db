"""`handseg finetune`: fine-tune a model on a folder of hand masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handseg.errors import reason
from handseg.runtime.terminal import FAILED, fail, running, say, say_stopped


def finetune(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder of the run, which becomes the adapter. Interrupted runs resume from it.",
            show_default=False,
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings in YAML, such as finetune/aitaca.yaml."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DIR", help="Photos and masks in the given --layout."),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--layout",
            metavar="NAME",
            help="folder, aitaca, coco, hub, freihand, ho3d, egohos, egohands, webdataset (tar "
            "files), or mix: a YAML file that lists several, such as finetune/mix.yaml. "
            "Default: folder.",
        ),
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option(
            "--splits",
            metavar="FILE|official",
            help="File written by `handseg prepare --split`, or official: the publisher's split. "
            "Default: 80 % for training, 10 % for validation, 10 % for testing.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help='"handseg-lite", or a Hugging Face id or folder of a SAM-family model. Default: '
            "handseg-lite.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", metavar="N", min=1, help="Passes over the photos. Default: 20."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size", metavar="N", min=1, help="Hands per step, on each device. Default: 8."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", metavar="X", help="Highest learning rate. Default: 0.001."),
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(
            "--rank",
            metavar="N",
            min=1,
            help="Rank of LoRA; the adapter's size grows with it. Default: 8.",
        ),
    ] = None,
    cache: Annotated[
        bool | None,
        typer.Option(
            "--cache/--no-cache",
            help="Whether to keep the frozen encoder's features on disk. Default: --cache.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            min=0,
            help="Seed of the split, the prompts, the augmentation and the order. Default: 0.",
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other setting, such as lora.placement=all; can be repeated. "
            "finetune/README.md lists them.",
        ),
    ] = None,
    push_to: Annotated[
        str | None,
        typer.Option("--push-to-hub", metavar="USER/NAME", help="Upload the adapter at the end."),
    ] = None,
) -> None:
    """Fine-tune a model on photos with hand masks, with LoRA.

    Examples:
        handseg finetune --data data/ --output runs/mine
        handseg finetune --config finetune/aitaca.yaml --set lora.rank=16 --output runs/aitaca

    The output folder becomes an adapter for `handseg segment --adapter`. It also holds the
    settings, the split, a report that compares base and adapter, TensorBoard logs and a checkpoint:
    to resume an interrupted run, give the same command again. On several devices, use
    `accelerate launch -m handseg.finetune` instead of `handseg finetune`.

    An option that is not given is taken from --config; the defaults are for what is in neither.

    Exit codes: 0 done; 1 the run failed; 2 wrong command line; 130 interrupted.
    """
    options = {
        "data.source": data,
        "data.layout": layout,
        "data.splits": None if splits is None else str(splits),
        "model": model,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "lora.rank": rank,
        "cache": cache,
        "seed": seed,
    }
    with running("finetune", "train"):
        from handseg.errors import HandsegError, RunMismatch
        from handseg.finetune.baselines.settings import BaselineConfig
        from handseg.finetune.train import parse_settings, train
        from handseg.runtime.config import assign, parse_assignments, read_yaml

        given = {key: value for key, value in options.items() if value is not None}
        try:
            values = {} if config is None else read_yaml(config)
            values = assign(values, given | parse_assignments(assignments or []))
            if not isinstance(values.get("data"), dict) or "source" not in values["data"]:
                fail("no training data: give --data DIR, or data.source in --config")
            settings = parse_settings(values, str(config or "settings"))
        except ValueError as error:
            fail(reason(error))
        import torch
        from accelerate import PartialState

        from handseg.finetune.lora.adapter import push_to_hub

        try:
            train(settings, output)
            if push_to is not None and PartialState().is_main_process:
                say(f"uploaded to {push_to_hub(output, push_to)}")
        except RunMismatch as error:
            fail(reason(error))
        except OSError as error:
            say_stopped(output, error)
            raise typer.Exit(FAILED) from error
        except torch.OutOfMemoryError as error:
            lower = f"batch_size (now {settings.batch_size})"
            if isinstance(settings, BaselineConfig):
                lower += f" or network.image_size (now {settings.network.image_size})"
            say(
                f"Failed: the GPU has too little memory: lower {lower}, and raise "
                f"gradient_accumulation in return: {reason(error)}",
                "red",
            )
            raise typer.Exit(FAILED) from error
        except (HandsegError, ValueError) as error:
            say(f"Failed: {reason(error)}", "red")
            raise typer.Exit(FAILED) from error


def main() -> None:
    """`python -m handseg.finetune`."""
    typer.run(finetune)
