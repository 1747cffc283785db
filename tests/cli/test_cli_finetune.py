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
