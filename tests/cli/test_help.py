"""Help texts of the commands."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from handseg.cli import app
from handseg.cli.help import unwrapped
from handseg.finetune.lora.lora import LoraSettings
from handseg.finetune.lora.settings import FinetuneConfig
from handseg.finetune.settings import DataSettings

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
WITH_INPUT = sorted(set(COMMANDS) - {"app", "info", "serve"})


def examples(name: str) -> list[str]:
    lines = (COMMANDS[name].help or "").splitlines()
    return [line.strip() for line in lines if line.startswith(" ")]


@pytest.mark.parametrize("name", WITH_INPUT)
def test_a_command_alone_tells_its_usage_in_ten_lines(name: str) -> None:
    result = CliRunner().invoke(app, [name])
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) <= 10
    assert lines[0].startswith(f"Usage: handseg {name} ") or lines[0].startswith("Usage: root ")
    assert lines[-1].endswith(f"{name} --help")
    assert any(line.strip().startswith(f"handseg {name} ") for line in lines)


@pytest.mark.parametrize("name", WITH_INPUT)
def test_examples_give_options_that_there_are(name: str) -> None:
    known = {flag for option in COMMANDS[name].params for flag in option.opts}
    for example in examples(name):
        assert example.startswith(f"handseg {name} ")
        assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", example)) <= known


@pytest.mark.parametrize("name", ["segment", "measure", "annotate"])
def test_options_stand_in_groups(name: str) -> None:
    text = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "120"}).stdout
    groups = re.findall(r"─ (\w[\w ]*) ─", text)
    assert groups[0] == "Arguments"
    assert {"Results", "Model", "Run"} <= set(groups)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_paragraph_of_a_help_text_is_broken_before_the_terminal_does(name: str) -> None:
    for one, other in pairwise(COMMANDS[name].help.splitlines()):
        flowing = all(line.strip() and not line.startswith(" ") for line in (one, other))
        assert not flowing, (one, other)


def test_a_photo_instead_of_a_command_is_pointed_to_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").touch()
    done = CliRunner().invoke(app, ["photo.jpg"], env={"COLUMNS": "120"})
    assert done.exit_code == 2
    assert "Did you mean 'handseg segment photo.jpg'?" in done.stderr
    for name in ("missing.jpg", "x" * 300):
        done = CliRunner().invoke(app, [name])
        assert done.exit_code == 2
        assert "No such command" in done.stderr
        assert "Did you mean" not in done.stderr


def test_paragraphs_are_joined_and_indented_lines_stay() -> None:
    text = inspect.cleandoc(
        """One line.

        Examples:
            handseg one
            handseg two

        A paragraph
        of two lines.
        """
    )
    assert unwrapped(text).splitlines() == [
        "One line.", "", "Examples:", "    handseg one", "    handseg two", "",
        "A paragraph of two lines.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("option", "default"),
    [
        ("--layout", DataSettings.layout),
        ("--model", FinetuneConfig.model),
        ("--epochs", FinetuneConfig.epochs),
        ("--batch-size", FinetuneConfig.batch_size),
        ("--learning-rate", FinetuneConfig.learning_rate),
        ("--rank", LoraSettings.rank),
        ("--cache", "--cache" if FinetuneConfig.cache else "--no-cache"),
        ("--seed", FinetuneConfig.seed),
    ],
)
def test_finetune_tells_its_defaults(option: str, default: object) -> None:
    (told,) = [one for one in COMMANDS["finetune"].params if option in one.opts]
    assert told.help.endswith(f"Default: {default}.")
