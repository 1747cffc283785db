"""Messages of `handseg finetune` on wrong usage."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from handseg.cli import app


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--set", "lora.rnk=2"], 2, ["unknown keys rnk", "rank"]),
        (["--set", "epochs"], 2, ["key=value"]),
        (["--set", "schedule=linear"], 2, ["schedule", "cosine"]),
        (["--set", "batch_size=many"], 2, ["batch_size", "whole number"]),
        (["--config", "none.yaml"], 2, ["none.yaml"]),
        (["--config", f"{300 * 'n'}.yaml"], 2, ["nnn.yaml"]),
        (["--config", "/proc/self/mem"], 2, ["cannot read /proc/self/mem"]),
        (["--set", "data.options={group_pattern: 5}"], 1, ["group_pattern must be text, got 5"]),
        (["--layout", "zip"], 1, ["layout"]),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], code: int, words: list[str], photo_folder: Path, tmp_path: Path
) -> None:
    result = CliRunner().invoke(
        app,
        ["finetune", "--data", str(photo_folder), "--output", str(tmp_path / "r"), *arguments],
    )
    assert result.exit_code == code
    assert isinstance(result.exception, SystemExit)
    for word in words:
        assert word in result.output


def test_data_must_be_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["finetune", "--output", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "--data" in result.output


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["--batch-size", "16"], "batch_size (now 16)"),
        (
            ["--set", "network.image_size=512"],
            "batch_size (now 8) or network.image_size (now 512)",
        ),
    ],
)
def test_what_to_lower_if_the_gpu_is_too_small(
    arguments: list[str], settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def train(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("handseg.finetune.train.train", train)
    result = CliRunner().invoke(
        app, ["finetune", "--data", "data", "--output", str(tmp_path / "run"), *arguments]
    )
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    (line,) = result.output.splitlines()
    assert f"lower {settings}" in line
    assert "Tried to allocate 2.00 GiB" in line
