from collections.abc import Callable
from pathlib import Path

import pytest
from red_hands import red_segmenter
from typer.testing import CliRunner, Result

from handseg.cli import app
from handseg.segmenter import HandSegmenter


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `handseg annotate` in an empty folder, with a segmenter that takes red for hands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HandSegmenter, "from_pretrained", lambda *_, **__: red_segmenter())

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["annotate", *map(str, arguments), "--device", "cpu"])

    return invoke
