"""The command line with a segmenter that takes red for hands."""

from __future__ import annotations

from pathlib import Path

import pytest
from red_hands import RedLandmarker, red_segmenter
from typer.testing import CliRunner, Result
from written_files import Run

from handseg.cli import app
from handseg.segmenter import HandSegmenter


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in an empty folder, with a segmenter that takes red for hands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HandSegmenter, "from_pretrained", lambda *_, **__: red_segmenter())
    monkeypatch.setattr("handseg.segmenter.HandLandmarker", RedLandmarker)

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke
