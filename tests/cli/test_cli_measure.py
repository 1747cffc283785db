"""`handseg measure` on drawn hands: table, files, exit codes and messages on bad input."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measured_scenes import WIDTHS_MM, Camera, draw_hand
from PIL import Image
from red_hands import LEFT, red_segmenter, save_photo
from typer.testing import CliRunner, Result

from handseg.cli import app
from handseg.errors import ModelError
from handseg.io.images import load_image
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter

Run = Callable[..., Result]
RED_COMMAND = Path(__file__).parents[1] / "red_command.py"
COIN = draw_hand(Camera(), ((10.0, -5.0, 25.75),))
BARE = draw_hand(Camera())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder with a photo with a coin, `photos/a.png`, and one without."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name, scene in (("a", COIN), ("b", BARE)):
        Image.fromarray(scene.image).save(tmp_path / "photos" / f"{name}.png")

    def segment(self: HandSegmenter, image: Any, **_: Any) -> HandSegmentation:
        pixels = load_image(image)
        for scene in (COIN, BARE):
            if np.array_equal(scene.image, pixels):
                return scene
        return HandSegmentation(pixels, ())

    monkeypatch.setattr(HandSegmenter, "from_pretrained", lambda *_, **__: red_segmenter())
    monkeypatch.setattr(HandSegmenter, "segment", segment)
    return lambda *arguments: CliRunner().invoke(app, ["measure", *map(str, arguments)])


def test_prints_a_table(run: Run) -> None:
    result = run("photos/a.png", "--scale", "2 Euros")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("photos/a.png: 0.")
    assert lines[1].split()[:3] == ["finger", "width", "mm"]
    index = next(line for line in lines if line.strip().startswith("index"))
    assert float(index.split()[1]) == pytest.approx(WIDTHS_MM["index"], rel=0.03)
    assert not Path("handseg_out").exists()


def test_goes_on_after_a_photo_that_cannot_be_measured(run: Run) -> None:
    Image.new("RGB", (90, 80)).save("photos/c.png")
    Path("photos/d.jpg").write_text("no photo")
    result = run("photos", "--scale", "25.75mm", "--json", "m.json", "--csv", "m.csv", "--overlay")
    assert result.exit_code == 1
    assert "Failed: photos/b.png: no complete coin is found" in result.stderr
    assert "Failed: photos/c.png: no hand is found" in result.stderr
    assert "photos/d.jpg" in result.stderr
    assert "1 done, 3 failed" in result.stdout
    (row,) = json.loads(Path("m.json").read_text())
    assert row["file"] == "photos/a.png"
    ring = next(finger for finger in row["fingers"] if finger["finger"] == "ring")
    assert ring["width_low_mm"] < WIDTHS_MM["ring"] < ring["width_high_mm"]
    assert ring["ring_eu"] == round(ring["ring_circumference_mm"])
    assert row["coins"][0]["on_hand"] is True
    with Path("m.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["finger"] for line in table] == ["thumb", "index", "middle", "ring", "little"]
    assert float(table[3]["width_mm"]) == ring["width_mm"]
    assert [path.name for path in Path("handseg_out").iterdir()] == ["a_measured.jpg"]
    assert load_image("handseg_out/a_measured.jpg").shape == (900, 900, 3)


def with_two_hands() -> HandSegmentation:
    (hand,) = COIN.hands
    assert hand.landmarks is not None
    return HandSegmentation(COIN.image, (hand, replace(hand, landmarks=hand.landmarks * 0.2)))


def with_a_coin_that_is_cut() -> HandSegmentation:
    return draw_hand(Camera(side=600), ((-182.0, 20.0, 25.75),), height=-6)


def with_a_coin_under_a_finger() -> HandSegmentation:
    image = COIN.image.copy()
    image[200:700, 476:530] = image[520, 420]  # Skin, from the coin's centre on.
    return replace(COIN, image=image)


@pytest.mark.parametrize(
    ("make", "scale", "said"),
    [
        (with_two_hands, ("--mm-per-px", "0.4"), "2 hands are found"),
        (with_a_coin_that_is_cut, ("--scale", "2 euro"), "coin is cut|no complete coin"),
        (with_a_coin_under_a_finger, ("--scale", "2 euro"), "no complete coin is found"),
    ],
)
def test_says_in_a_line_why_a_photo_cannot_be_measured(
    make: Callable[[], HandSegmentation],
    scale: tuple[str, str],
    said: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = make()
    monkeypatch.setattr(HandSegmenter, "segment", lambda *_, **__: scene)
    result = run("photos/a.png", *scale)
    assert result.exit_code == 1
    assert re.fullmatch(f"Failed: photos/a.png: .*({said}).*\\n", result.stderr), result.stderr


def test_a_known_scale_needs_no_coin(run: Run) -> None:
    result = run("photos/b.png", "--mm-per-px", 370 / 900)
    assert result.exit_code == 0
    assert result.stdout.startswith("photos/b.png: 0.4111 mm a pixel")


def test_a_loose_ring_and_a_calibration_change_the_sizes(run: Run) -> None:
    def rings(*options: str) -> np.ndarray:
        assert run("photos/a.png", "--scale", "2 euro", "--csv", "m.csv", *options).exit_code == 0
        with Path("m.csv").open(newline="") as file:
            return np.array([float(line["ring_diameter_mm"]) for line in csv.DictReader(file)])

    fitted = rings()
    np.testing.assert_allclose(rings("--fit", "loose"), fitted + 0.4, atol=0.011)
    Path("pairs.csv").write_text("width_mm,diameter_mm\n15,14\n17,16\n19,18\n")
    widths = fitted * np.pi / 3.11
    np.testing.assert_allclose(rings("--calibrate", "pairs.csv"), widths - 1, atol=0.02)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--scale", "2 eurp"], "--scale '2 eurp' is not a known coin; did you mean '2 euro'"),
        ([], "give either --scale"),
        (["--scale", "card", "--mm-per-px", "1"], "give either --scale"),
        (["--mm-per-px", "-1"], "--mm-per-px must be a positive number, got -1"),
        (["--scale", "card", "--calibrate", "none.csv"], "--calibrate"),
        (["--scale", "card", "--csv", "nowhere/m.csv"], "--csv nowhere/m.csv: the folder does"),
    ],
)
def test_says_how_it_is_misused(run: Run, options: list[str], said: str) -> None:
    result = run("photos/a.png", *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_too_few_pairs(run: Run) -> None:
    Path("pairs.csv").write_text("15,14\n17,16\n")
    result = run("photos/a.png", "--scale", "2 euro", "--calibrate", "pairs.csv")
    assert result.exit_code == 2
    assert "--calibrate pairs.csv: a calibration needs at least 3 pairs, got 2" in result.stderr


def test_a_table_of_somebody_elses_is_not_replaced_and_its_own_is(run: Run) -> None:
    pairs = "width_mm,diameter_mm\n15,14\n17,16\n19,18\n"
    Path("pairs.csv").write_text(pairs)
    options = ("photos/a.png", "--scale", "2 euro", "--calibrate", "pairs.csv", "--csv")
    result = run(*options, "pairs.csv")
    assert result.exit_code == 2
    assert (
        "--csv pairs.csv: already exists, and was not written by handseg measure" in result.stderr
    )
    assert Path("pairs.csv").read_text() == pairs
    for _ in range(2):
        assert run(*options, "m.csv").exit_code == 0
    assert len(Path("m.csv").read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("method", "error", "code"),
    [
        ("from_pretrained", ModelError("model: no such folder: nowhere"), 2),
        ("from_pretrained", KeyboardInterrupt(), 130),
        ("segment", KeyboardInterrupt(), 130),
    ],
)
def test_a_run_that_measured_nothing_leaves_an_earlier_table(
    method: str, error: BaseException, code: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("photos/a.png", "--scale", "2 euro", "--csv", "m.csv")
    assert run(*options).exit_code == 0
    earlier = Path("m.csv").read_bytes()

    def stop(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(HandSegmenter, method, stop)
    result = run(*options)
    assert result.exit_code == code
    assert result.stderr.count("\n") == 1
    assert Path("m.csv").read_bytes() == earlier


def test_a_table_that_cannot_be_written_costs_no_entries(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def segment(*_: Any, **__: Any) -> HandSegmentation:
        Path("m.csv").mkdir()  # Since the command started.
        return COIN

    monkeypatch.setattr(HandSegmenter, "segment", segment)
    result = run("photos/a.png", "--scale", "2 euro", "--csv", "m.csv", "--json", "m.json")
    assert result.exit_code == 1
    assert result.stderr == "Failed: cannot write to m.csv: it exists and is not a file\n"
    assert [row["file"] for row in json.loads(Path("m.json").read_text())] == ["photos/a.png"]


def test_a_picture_of_somebody_elses_is_not_replaced(run: Run) -> None:
    Path("out").mkdir()
    Image.new("RGB", (9, 9)).save("out/a_measured.jpg")
    result = run("photos/a.png", "--scale", "2 euro", "--overlay", "--output", "out")
    assert result.exit_code == 2
    assert "not written by handseg" in result.stderr
    assert load_image("out/a_measured.jpg").shape == (9, 9, 3)


@pytest.mark.parametrize(
    ("encoding", "name", "shown"),
    [
        ("ascii", "手.png", r"\u624b.png"),
        # A name of bytes that are not UTF-8.
        ("utf-8", os.fsdecode(b"\xff.png"), r"\udcff.png"),
    ],
)
def test_a_name_that_cannot_be_encoded_is_escaped(
    encoding: str, name: str, shown: str, tmp_path: Path
) -> None:
    save_photo(tmp_path / "b.png", LEFT)
    shutil.copy(tmp_path / "b.png", tmp_path / name)
    options = ["--mm-per-px", "0.1", "--csv", "m.csv"]
    done = subprocess.run(
        [sys.executable, RED_COMMAND, "measure", name, "b.png", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.stderr.decode() == ""
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert [line for line in lines if "mm a pixel" in line] == [
        f"{shown}: 0.1 mm a pixel",
        "b.png: 0.1 mm a pixel",
    ]
    with (tmp_path / "m.csv").open(encoding="utf-8", newline="") as file:
        files = [row["file"] for row in csv.DictReader(file)]
    assert files == 5 * [name if encoding == "ascii" else shown] + 5 * ["b.png"]
