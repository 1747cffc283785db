"""Options that several commands have."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer


# Enumerations, as the values live in modules that take seconds to import.
class EdgeChoice(str, Enum):
    soft = "soft"
    hard = "hard"
    matte = "matte"


class HolesChoice(str, Enum):
    keep = "keep"
    fill = "fill"


ModelOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        help='"handseg-lite" (bundled with the package), a Hugging Face id or folder of a '
        "SAM-family model, an original segment-anything .pth, an adapter that names its model, or "
        "a baseline that `handseg finetune` trained.",
    ),
]
AdapterOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--adapter", metavar="DIR", help="PEFT adapter to put on top of the model."),
]
RecipeOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        metavar="FILE",
        help="Prompt recipe, YAML or JSON, in place of the one saved with the model.",
    ),
]
DeviceOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="cpu, cuda, cuda:1, mps; by default the CPU for handseg-lite and other models with "
        "ONNX graphs, and for the rest a GPU if there is one.",
    ),
]
MaxHandsOption: TypeAlias = Annotated[
    int,
    typer.Option("--max-hands", metavar="N", min=1, max=10, help="The most hands in a photo."),
]
ForearmOption: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--forearm/--no-forearm",
        help="Take in a bare forearm, or end at the wrist; by default as the model's recipe says.",
        show_default=False,
    ),
]
HolesOption: TypeAlias = Annotated[
    HolesChoice,
    typer.Option(
        "--holes",
        help="fill: coins, rings and watches on the hand belong to it; gaps between fingers stay.",
    ),
]
EdgeOption: TypeAlias = Annotated[
    EdgeChoice,
    typer.Option(
        "--edge",
        help="Of cut-outs and composites: soft, hard (each pixel in or out), or matte (as soft "
        "as the photo).",
    ),
]
