"""Options that several commands have."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from handseg.cli.help import HANDS, MODEL, RESULTS, RUN


# Enumerations, because the values are in modules that take seconds to import.
class EdgeChoice(str, Enum):
    soft = "soft"
    hard = "hard"
    matte = "matte"


class HolesChoice(str, Enum):
    keep = "keep"
    fill = "fill"


InputsArgument: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help='Photos, folders or patterns (including "**"); "-" is standard input.',
        show_default=False,
    ),
]
RecursiveOption: TypeAlias = Annotated[
    bool, typer.Option("--recursive", "-r", help="Include subfolders.", rich_help_panel=RUN)
]
ModelOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        help='"handseg-lite" (bundled with the package), a Hugging Face id or folder of a '
        "SAM-family model, an original segment-anything .pth, an adapter that names its model, or "
        "a baseline trained by `handseg finetune`.",
        rich_help_panel=MODEL,
    ),
]
AdapterOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--adapter",
        metavar="DIR",
        help="PEFT adapter for the model.",
        rich_help_panel=MODEL,
    ),
]
RecipeOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        metavar="FILE",
        help="Prompt recipe (YAML or JSON) to use instead of the one saved with the model.",
        rich_help_panel=MODEL,
    ),
]
DeviceOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="cpu, cuda, cuda:1 or mps. Default: the CPU for handseg-lite and other models with "
        "ONNX graphs; for all others a GPU if there is one.",
        rich_help_panel=MODEL,
    ),
]
JobsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        min=1,
        help="Number of photos to process at the same time. Default: one per core.",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
MaxHandsOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--max-hands",
        metavar="N",
        min=1,
        max=10,
        help="Maximum number of hands per photo.",
        rich_help_panel=HANDS,
    ),
]
FinderOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--finder/--no-finder",
        help="Use the hand finder to look again for hands that MediaPipe misses.",
        rich_help_panel=HANDS,
    ),
]
ForearmOption: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--forearm/--no-forearm",
        help="Include a bare forearm, or end at the wrist. Default: as in the model's recipe.",
        show_default=False,
        rich_help_panel=HANDS,
    ),
]
HolesOption: TypeAlias = Annotated[
    HolesChoice,
    typer.Option(
        "--holes",
        help="fill: include coins, rings and watches on the hand; gaps between fingers stay open.",
        rich_help_panel=HANDS,
    ),
]
EdgeOption: TypeAlias = Annotated[
    EdgeChoice,
    typer.Option(
        "--edge",
        help="Edge of cut-outs and composites: soft, hard (each pixel in or out), or matte (as "
        "soft as in the photo).",
        rich_help_panel=RESULTS,
    ),
]
RayOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--ray",
        help="Share the work among all CPUs of a Ray cluster, or of this machine where there is "
        "none.",
        rich_help_panel=RUN,
    ),
]
AddressOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="With --ray: the cluster's head; by default the one in RAY_ADDRESS, else Ray is "
        "started here.",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
MaskValueOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--mask-value",
        metavar="N|R,G,B",
        help="folder, hub, webdataset: value or colour of the hands in masks with several "
        "classes, such as 1 or 0,255,0.",
    ),
]
