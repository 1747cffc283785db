"""Files that `handseg segment` leaves unchanged, and long names."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from red_hands import RedLandmarker, red_segmenter, save_photo
from typer.testing import CliRunner, Result

from handseg.cli import app
from handseg.segmenter import HandSegmenter

ONE_HAND = (80, 60, 40, 25)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(HandSegmenter, "from_pretrained", lambda *_, **__: red_segmenter())
    monkeypatch.setattr("handseg.segmenter.HandLandmarker", RedLandmarker)


def segment(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["segment", *arguments])


def draw_masks(*names: str) -> dict[Path, bytes]:
    """Save photos in gt/images and hand-drawn masks in gt/masks."""
    masks = {}
    for name in names:
        save_photo(Path(f"gt/images/{name}.png"), ONE_HAND)
        mask = Path(f"gt/masks/{name}.png")
        mask.parent.mkdir(exist_ok=True)
        Image.new("L", (160, 120), 255).save(mask)
        masks[mask] = mask.read_bytes()
    return masks


def contents(folder: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def retouch(path: Path) -> bytes:
    """Change a file as with an image editor, and return its content."""
    with Image.open(path) as picture:
        painted = picture.copy()
    painted.info.clear()
    painted.paste(0, (0, 0, 20, 20))
    painted.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("option", [["--mask"], ["--overlay", "--objects"], ["--json", "r.json"]])
def test_masks_that_somebody_drew_are_not_replaced(option: list[str]) -> None:
    masks = draw_masks("a", "b")

    done = segment("gt/images", "-o", "gt/masks", *option)

    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        f"Error: {Path('gt/masks/a.png').absolute()} and 1 more: already exists, and was not "
        "written by handseg; choose another --output, or replace existing files with --overwrite"
    ]
    assert contents("gt/masks") == masks


def test_they_are_named_where_nothing_is_left_to_write() -> None:
    masks = draw_masks("a")
    done = segment("gt/images", "-o", "gt/masks")
    assert done.exit_code == 0
    assert done.stderr.splitlines() == [
        f"Left as it is, not written by handseg: {Path('gt/masks/a.png').absolute()}"
    ]
    assert "0 done, 1 skipped" in done.stdout
    assert contents("gt/masks") == masks


def test_one_that_was_named_is_refused() -> None:
    masks = draw_masks("a")
    done = segment("gt/images", "-o", "gt/masks/a.png")
    assert done.exit_code == 2
    assert "a.png: already exists" in done.stderr
    assert contents("gt/masks") == masks


def test_nothing_is_written_among_them() -> None:
    masks = draw_masks("a", "b")
    missing = Path("gt/masks/b.png")
    missing.unlink()
    assert segment("gt/images", "-o", "gt/masks").exit_code == 2
    assert contents("gt/masks").keys() == masks.keys() - {missing}


def test_overwrite_replaces_them() -> None:
    masks = draw_masks("a")
    assert segment("gt/images", "-o", "gt/masks", "--overwrite").exit_code == 0
    assert contents("gt/masks") != masks


def test_a_retouched_cut_out_stays_when_more_is_wanted() -> None:
    save_photo(Path("in/a.png"), ONE_HAND)
    save_photo(Path("in/b.png"), ONE_HAND)
    segment("in", "-o", "out")
    plain = Path("out/b.png").read_bytes()
    retouched = retouch(Path("out/a.png"))

    done = segment("in", "-o", "out", "--mask", "--overlay")

    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines() == [
        f"Left as it is, not written by handseg: {Path('out/a.png').absolute()}"
    ]
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "a.png", "a_mask.png", "a_overlay.jpg", "b.png", "b_mask.png", "b_overlay.jpg",
    ]  # fmt: skip
    assert Path("out/a.png").read_bytes() == retouched
    assert Path("out/b.png").read_bytes() == plain


def test_only_what_is_missing_is_written() -> None:
    save_photo(Path("in/a.png"), ONE_HAND)
    segment("in", "-o", "out", "--mask", "--overlay", "--objects")
    before = contents("out")
    times = {path: path.stat().st_mtime_ns for path in before}
    Path("out/a_mask.png").unlink()

    segment("in", "-o", "out", "--mask", "--overlay", "--objects", "--background", "white")

    assert contents("out") == before
    changed = [path.name for path, time in times.items() if path.stat().st_mtime_ns != time]
    assert changed == ["a_mask.png"]


@pytest.mark.parametrize("letter", ["n", "ü", "手"])
def test_names_as_long_as_a_file_may_have(letter: str) -> None:
    room = 255 - len(".png")
    stem = letter * (room // len(letter.encode()))
    other = stem[:-1] + "x"
    for name in (stem, other):
        save_photo(Path(f"in/{name}.png"), ONE_HAND)
    options = "--mask", "--overlay", "--objects", "--json", "rows.json"

    first = segment("in", "-o", "out", *options)

    assert first.exit_code == 0, first.output
    assert "2 done" in first.stdout
    assert len(contents("out")) == 8
    second = segment("in", "-o", "out", *options)
    assert second.exit_code == 0, second.output
    assert "2 skipped" in second.stdout
