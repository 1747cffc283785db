"""The guide's examples work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from handseg.segmenter import HandSegmenter

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "server.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def photo(photo_folder: Path) -> bytes:
    return (photo_folder / "images" / "2_pic00174.jpg").read_bytes()


def blocks(kind: str) -> list[str]:
    return [text for found, text in FENCE.findall(GUIDE.read_text("utf-8")) if found == kind]


def test_commands_are_understood(
    visit: Callable[..., TestClient], segmenter: HandSegmenter, photo: bytes
) -> None:
    client = visit(segmenter)
    commands = [line for line in "".join(blocks("")).splitlines() if line.startswith("curl ")]
    assert len(commands) == 6
    for command in commands:
        (address,) = [word for word in shlex.split(command) if word.startswith(ADDRESS)]
        answer = client.post(address.removeprefix(ADDRESS), files={"photo": photo})
        # The photo has no coin.
        assert answer.is_success or "no complete coin is found" in answer.text, (
            command,
            answer.text,
        )
        assert ("-o " in command) == (answer.headers["content-type"] == "image/png")


def test_python_runs(
    server: Any,
    photo: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(photo)
    (text,) = blocks("python")
    assert ADDRESS in text
    names: dict[str, Any] = {}
    exec(text.replace(ADDRESS, server.url), names)
    names["server"].close()
    assert Path("hand.png").read_bytes().startswith(b"\x89PNG")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("right [")
    assert [line.split()[0] for line in lines[1:]] == ["thumb", "index", "middle", "ring", "little"]
