from __future__ import annotations

from pathlib import Path

import pytest
import torch
import typer
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from handseg.finetune.pretrain.average import WEIGHTS, main

FLOAT, COUNT = "layer.weight", "layer.count"


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    for name, value in (("tuned", 1.0), ("before", 0.0)):
        (tmp_path / name).mkdir()
        tensors = {FLOAT: torch.full((2, 3), value, dtype=torch.float16), COUNT: torch.tensor(7)}
        save_file(tensors, tmp_path / name / WEIGHTS)
        (tmp_path / name / "config.json").write_text(f'"{name}"')
    return tmp_path / "tuned", tmp_path / "before"


def run(*arguments: object):  # type: ignore[no-untyped-def]
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_weights_lie_between_and_settings_are_the_tuned_models(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "mean"
    assert run(*models, "--share", 0.6, "--output", output).exit_code == 0
    tensors = load_file(output / WEIGHTS)
    torch.testing.assert_close(tensors[FLOAT], torch.full((2, 3), 0.6))
    assert tensors[COUNT] == 7
    assert (output / "config.json").read_text() == '"tuned"'
    assert {file.name for file in output.iterdir()} == {"config.json", WEIGHTS}
    assert (output / WEIGHTS).stat().st_mode == (models[0] / "config.json").stat().st_mode
    again = run(*models, "--output", output)
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_models_that_do_not_fit_are_refused(models: tuple[Path, Path], tmp_path: Path) -> None:
    save_file({FLOAT: torch.zeros(2, 2)}, models[1] / WEIGHTS)
    other = run(*models, "--output", tmp_path / "mean")
    assert (other.exit_code, "not of one architecture" in other.stderr) == (2, True)
    nothing = run(models[0], tmp_path / "none", "--output", tmp_path / "mean")
    assert (nothing.exit_code, "none" in nothing.stderr) == (2, True)
    (models[1] / WEIGHTS).write_bytes(b"no weights")
    broken = run(*models, "--output", tmp_path / "mean")
    assert (broken.exit_code, "cannot be read" in broken.stderr) == (2, True)
    assert not (tmp_path / "mean").exists()
