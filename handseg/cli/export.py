"""`handseg export`: a model, with its adapter merged into it, for other programs."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from handseg.cli.common import FAILED, fail, running, say, say_failed
from handseg.cli.options import AdapterOption, ModelOption
from handseg.errors import reason
from handseg.runtime.extras import needing_extras

if TYPE_CHECKING:
    from handseg.segmenter import HandSegmenter


class Format(str, Enum):
    """What is written; `segment-anything` is the original package."""

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
            help="Folder to write, or .pth file for segment-anything; must not be there yet.",
            show_default=False,
        ),
    ],
    model: ModelOption = "handseg-lite",
    adapter: AdapterOption = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Add the adapter's weights to the model's.")
    ] = False,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="transformers: a folder with config, safetensors, image processor and prompt "
            "recipe. onnx: a folder with encoder.onnx, decoder.onnx and prompt recipe, for ONNX "
            "Runtime. segment-anything: a .pth that the original package loads, of SAM 1 only.",
        ),
    ] = Format.TRANSFORMERS,
) -> None:
    """Write a model, with its adapter merged into it, for other programs.

    The weights are written in float32. The folder can be a --model again, with the adapter's
    prompt recipe. Nothing that is there already is overwritten.

    Exit codes: 0 written; 1 it could not be written; 2 the command cannot run as it was given;
    130 interrupted.
    """
    with running("export"):
        from handseg.models.adapters import is_adapter
        from handseg.segmenter import HandSegmenter

        if (adapter is not None or is_adapter(Path(model))) and not merge:
            fail("an adapter is exported with its model only: add --merge")
        if form is Format.SEGMENT_ANYTHING and output.suffix != ".pth":
            fail(f"--output must be a .pth file for segment-anything, got {output}")
        if output.exists():
            fail(f"--output {output}: is there already")
        try:
            extra = "export" if form is Format.ONNX else "sam"
            with needing_extras("handseg export", extra):
                segmenter = HandSegmenter.from_pretrained(model, adapter, "cpu", backend="torch")
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


def _write(segmenter: HandSegmenter, form: Format, output: Path) -> None:
    if form is Format.SEGMENT_ANYTHING:
        from handseg.models.export.original import save_segment_anything

        save_segment_anything(segmenter.model, output)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=output.parent, prefix=".exporting-") as temporary:
        whole = Path(temporary) / output.name
        if form is Format.ONNX:
            from handseg.models.export.onnx import export_onnx

            whole.mkdir()
            export_onnx(segmenter.model, whole)
            segmenter.recipe.save(whole)
        else:
            segmenter.save_pretrained(whole)
        whole.rename(output)
