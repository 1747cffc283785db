from __future__ import annotations

from pathlib import Path

from handseg.cli.json_file import JsonFile


def test_photos_that_are_tried_again_have_not_failed(tmp_path: Path) -> None:
    a, x = tmp_path / "a.jpg", tmp_path / "x.jpg"
    JsonFile(tmp_path / "rows.json").fail(x, "no memory")
    idle, first, second = (JsonFile(tmp_path / "rows.json") for _ in range(3))
    first.add(a, {"hands": []})
    assert not idle.has_all([a, x], worked=False)
    second.retry([x])
    assert not first.has_all([a, x], worked=True)
    second.fail(x, "no memory")
    assert second.has_all([a, x], worked=True)
