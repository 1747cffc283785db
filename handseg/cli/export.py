"""`handseg export`: write a model, with its adapter merged, for other programs."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from handseg.cli.options import AdapterOption, ModelOption
from handseg.errors import ModelError, reason
from handseg.runtime.extras import needing_extras
from handseg.runtime.files import write_folder_atomic
from handseg.runtime.terminal import FAILED, fail, running, say, say_failed

if TYPE_CHECKING:
    from handseg.pipeline.interface import Segmenter


class Format(str, Enum):
    """Format of the exported model; `segment-anything` is the original package."""

    ONNX = "onnx"
    TRANSFORMERS = "transformers"
    SEGMENT_ANYTHING = "segment-anything"


def export(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Folder to write, or .pth file for segment-anything; must not exist yet.",
            show_default=False,
        ),
    ],
    model: ModelOption = "handseg-lite",
    adapter: AdapterOption = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge the adapter into the model.")
    ] = False,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="transformers: a folder with config, safetensors, image processor and prompt "
            "recipe. onnx: a folder with encoder.onnx, decoder.onnx and prompt recipe, for ONNX "
            "Runtime. segment-anything: a .pth for the original package, only for SAM 1.",
        ),
    ] = Format.TRANSFORMERS,
) -> None:
    """Export a model, with its adapter merged, for other programs.

    Examples:
        handseg export --adapter runs/mine --format onnx --output mine_onnx

    Weights are written in float32. The folder works as a --model, with the adapter's prompt recipe.
    Existing files are never overwritten.

    Exit codes: 0 done; 1 writing failed; 2 wrong command line; 130 interrupted.
    """
    with running("export"):
        from handseg.api import load_segmenter
        from handseg.models.adapters import is_adapter

        if (adapter is not None or is_adapter(Path(model))) and not merge:
            fail("an adapter can only be exported merged into its model: add --merge")
        if form is Format.SEGMENT_ANYTHING and output.suffix != ".pth":
            fail(f"--output must be a .pth file for segment-anything, got {output}")
        if output.exists():
            fail(f"--output {output}: already exists")
        try:
            extra = "export" if form is Format.ONNX else "sam"
            with needing_extras("handseg export", extra):
                segmenter = load_segmenter(model, adapter, "cpu", backend="torch")
        except (ValueError, OSError) as error:
            fail(reason(error))
        try:
            _write(segmenter, form, output)
        except ValueError as error:
            fail(reason(error))
        except OSError as error:
            say_failed(str(output), reason(error))
            raise typer.Exit(FAILED) from error
        say(f"Wrote {output}", "green")


def _write(segmenter: Segmenter, form: Format, output: Path) -> None:
    from handseg.segmenter import HandSegmenter

    if form is Format.TRANSFORMERS:
        with write_folder_atomic(output) as folder:
            segmenter.save_pretrained(folder)
    elif not isinstance(segmenter, HandSegmenter):
        raise ModelError(f"--format {form.value} is for models of the SAM family")
    elif form is Format.SEGMENT_ANYTHING:
        from handseg.models.export.original import save_segment_anything

        save_segment_anything(segmenter.model, output)
    else:
        from handseg.models.export.onnx import export_onnx

        with write_folder_atomic(output) as folder:
            export_onnx(segmenter.model, folder)
            segmenter.recipe.save(folder)
