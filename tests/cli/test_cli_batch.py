"""`handseg segment --batch`: several photos through the model together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from processes import tree
from red_hands import save_photo
from typer.testing import CliRunner
from written_files import Run

from handseg.cli import app
from handseg.models.bundled import LITE_FOLDER
from handseg.models.sam.transformers import TransformersMaskModel
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter


def save_photos(count: int) -> None:
    for number in range(count):
        save_photo(Path(f"in/{number}.png"), (40 + 8 * number, 60, 30, 20))


def watch(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the stems of the photos in each batch from now on."""
    asked: list[list[str]] = []
    segment_batch = HandSegmenter.segment_batch

    def watched(self: HandSegmenter, images: Any, **options: Any) -> list[HandSegmentation]:
        asked.append([image.stem for image in images])
        return segment_batch(self, images, **options)

    monkeypatch.setattr(HandSegmenter, "segment_batch", watched)
    return asked


def test_a_job_takes_so_many_photos_at_a_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photos(7)
    options = ("segment", "in", "--mask", "--objects", "--max-hands", "1")
    run(*options, "-o", "one", "--json", "one/all.json")
    asked = watch(monkeypatch)
    done = run(*options, "-o", "out", "--json", "out/all.json", "--batch", "3", "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert "7 done" in done.stdout
    assert asked == [["0", "1", "2"], ["3", "4", "5"]]
    assert tree(Path("out")) == tree(Path("one"))


def test_with_jobs_and_shards(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photos(8)
    run("segment", "in", "-o", "one", "--shard-size", "5")
    asked = watch(monkeypatch)
    options = ("--shard-size", "5", "--batch", "2", "--jobs", "2")
    assert run("segment", "in", "-o", "out", *options).exit_code == 0
    assert sorted(asked) == [["0", "1"], ["2", "3"], ["5", "6"]]
    assert tree(Path("out")) == tree(Path("one"))


def test_a_bad_photo_costs_no_other_of_its_batch(run: Run) -> None:
    save_photos(4)
    Path("in/1.png").write_bytes(b"no photo")
    run("segment", "in", "-o", "one")
    done = run("segment", "in", "-o", "out", "--batch", "4")
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Failed: in/1.png is not an image")
    assert "3 done, 1 failed" in done.stdout
    assert tree(Path("out")) == tree(Path("one"))


def test_not_with_ray(run: Run) -> None:
    save_photos(1)
    done = run("segment", "in", "--ray", "--batch", "4")
    assert done.exit_code == 2
    assert done.stderr == "Error: --ray does photos one by one: leave out --batch\n"


@pytest.mark.slow
def test_torch_gives_the_masks_of_photos_one_by_one(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU; a GPU may round otherwise."""
    shutil.copytree(LITE_FOLDER, tmp_path / "model", ignore=shutil.ignore_patterns("*.onnx"))
    for path in (photo_folder / "images").iterdir():
        image = Image.open(path)
        image.save(tmp_path / f"{path.stem}.png")
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / f"{path.stem}_flip.png")
    encoded = []
    encode = TransformersMaskModel.encode

    def counted(self: TransformersMaskModel, crops: np.ndarray) -> Any:
        encoded.append(len(crops))
        return encode(self, crops)

    monkeypatch.setattr(TransformersMaskModel, "encode", counted)
    options = ["--model", str(tmp_path / "model"), "--device", "cpu", "--mask", "--jobs", "1"]
    for name, batch in (("one", "1"), ("out", "8")):
        arguments = [str(tmp_path / "*.png"), "-o", str(tmp_path / name), "--batch", batch]
        done = CliRunner().invoke(app, ["segment", *arguments, *options])
        assert done.exit_code == 0, done.output
    assert encoded == [1] * 8 + [8]
    for path in (tmp_path / "one").iterdir():
        other = tmp_path / "out" / path.name
        difference = np.abs(np.asarray(Image.open(path), int) - np.asarray(Image.open(other), int))
        # Equal where this was written; other processors may round batches differently.
        assert np.count_nonzero(difference > 2) <= 1e-4 * difference.size, path.name
