r"""Average a tuned model with the model it started from, weight by weight.

    python -m handseg.finetune.pretrain.average runs/lite_people runs/lite_scenes --share 0.6 \
        --output runs/lite

Fine-tuning on new scenes costs some of a model's earlier accuracy. Weights between the two often
keep most of both (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from handseg.errors import ModelError, reason
from handseg.runtime.files import move_all
from handseg.runtime.terminal import fail, results, running

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"


def average(tuned: Path, before: Path, share: float, output: Path) -> None:
    """Write the model `share` * `tuned` + (1 - `share`) * `before`, in float32.

    Args:
        tuned, before: model folders with the same architecture.
        share: 0..1.
        output: folder to write, with the settings of `tuned`; must not exist yet.

    Raises:
        ModelError: if weights are missing or cannot be read, their names or shapes differ, or
            `output` exists.
    """
    from safetensors.torch import save_file

    if output.exists():
        raise ModelError(f"output: {output} is there already")
    one, other = _load(tuned), _load(before)
    if {k: v.shape for k, v in one.items()} != {k: v.shape for k, v in other.items()}:
        raise ModelError(f"{tuned} and {before} are not of one architecture")
    mean = {
        name: share * tensor.float() + (1 - share) * other[name].float()
        if tensor.is_floating_point()
        else tensor
        for name, tensor in one.items()
    }
    output.mkdir(parents=True)
    with TemporaryDirectory(dir=output) as folder:
        fresh = Path(folder)
        settings = [file.name for file in tuned.glob("*.json")]
        for name in settings:
            shutil.copyfile(tuned / name, fresh / name)
        save_file(mean, fresh / WEIGHTS, metadata={"format": "pt"})
        move_all(fresh, output, (*settings, WEIGHTS))


def _load(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder / WEIGHTS} cannot be read: {reason(error)}") from error


def main(
    tuned: Annotated[Path, typer.Argument(help="Model folder.")],
    before: Annotated[Path, typer.Argument(help="The model folder that it was tuned from.")],
    output: Annotated[Path, typer.Option(help="Folder to write.")],
    share: Annotated[float, typer.Option(min=0, max=1, help="Of the tuned weights.")] = 0.6,
) -> None:
    """Average the weights of two models."""
    with running("finetune.pretrain.average"):
        try:
            average(tuned, before, share, output)
        except (ValueError, OSError) as error:
            fail(reason(error))
        results.print(f"Wrote {output}")


if __name__ == "__main__":
    typer.run(main)
