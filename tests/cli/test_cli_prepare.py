from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from aitaca import build_aitaca
from PIL import Image
from typer.testing import CliRunner, Result

from handseg.cli import app
from handseg.data import Splits
from handseg.runtime.journal import Journal

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder with the pairs `pairs`."""
    shutil.copytree(photo_folder, tmp_path / "pairs")
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["prepare", *arguments])

    return invoke


def test_prepare_says_what_it_did_and_goes_on(run: Run) -> None:
    Path("pairs/masks/3_pic00043.png").unlink()
    done = run("pairs", "--output", "out", "--split", "60/20/20", "--seed", "4")
    assert done.exit_code == 0, done.output
    assert "4 pairs: 3 kept, 0 repaired, 1 rejected. In out, split into" in done.stdout
    assert done.stderr == ""
    assert Path("out/report.jpg").is_file()
    assert Splits.load("out/splits.json").seed == 4
    again = run("pairs", "--output", "out")
    assert again.exit_code == 0
    assert "4 pairs (4 of them before)" in again.stdout


def test_options_reach_the_checks_and_the_loader(run: Run, photo_folder: Path) -> None:
    build_aitaca(Path("set"), photo_folder, 4, faults=False)
    done = run("set", "-o", "out", "--layout", "aitaca", "--max-coverage", "0.1", "--no-landmarks")
    assert done.exit_code == 0, done.output
    assert "mask fills the frame" in done.stdout
    assert "4 pairs: 3 kept, 0 repaired, 1 rejected" in done.stdout
    with Path("out/report.csv").open(newline="") as file:
        assert {row["landmarks_on_mask"] for row in csv.DictReader(file)} == {""}
    done = run("pairs", "-o", "grouped", "--no-landmarks", "--group-pattern", r"^(\d+)_")
    assert done.exit_code == 0, done.output
    assert "2_pic00212,2\n" in Path("grouped/groups.csv").read_text().replace("\r", "")
    done = run("pairs", "-o", "same", "--no-landmarks", "--option", r"group_pattern=^(\d+)_")
    assert done.exit_code == 0, done.output
    assert Path("same/groups.csv").read_text() == Path("grouped/groups.csv").read_text()


def test_the_hands_class_is_named(run: Run, photo_masks: dict[str, np.ndarray]) -> None:
    for stem, mask in photo_masks.items():
        classes = mask[..., None] * np.uint8([0, 255, 0])
        classes[:9] = (255, 0, 0)
        Image.fromarray(classes).save(f"pairs/masks/{stem}.png")
    done = run("pairs", "-o", "both", "--no-landmarks")
    assert done.exit_code == 1
    assert "4 pairs: 0 kept, 0 repaired, 4 rejected" in done.stdout
    assert "0,255,0; 255,0,0: name the hand's with mask_value (--mask-value)" in (
        Path("both/report.csv").read_text()
    )
    done = run("pairs", "-o", "hands", "--no-landmarks", "--mask-value", "0,255,0")
    assert done.exit_code == 0, done.output
    for stem, mask in photo_masks.items():
        written = np.array(Image.open(f"hands/masks/{stem}.png"))
        np.testing.assert_array_equal(written[9:], mask[9:] * np.uint8(255))
        assert not written[:9].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pairs", "--mask-value", "red"], "mask_value must be a number from 0 or a colour R,G,B"),
        (["pairs", "--layout", "aitaca", "--mask-value", "1"], "layout aitaca takes the options"),
        (["missing"], "expected the folder"),
        (["pairs", "--layout", "voc"], "layout must be one of folder, aitaca, coco, hub"),
        (["pairs", "--image-column", "x"], "layout folder takes the options"),
        (["pairs", "--option", "test=both"], "layout folder takes the options"),
        (["pairs", "--option", "seed=1"], "--option cannot set seed"),
        (["pairs", "--option", "x"], "expected key=value"),
        (["pairs", "--option", "group_pattern=5"], "group_pattern must be text, got 5"),
        (["pairs", "--option", "groups=5"], "groups must be text, got 5"),
        (["pairs", "--layout", "coco", "--option", "images=5"], "images must be text, got 5"),
        (
            ["pairs", "--layout", "coco", "--option", "categories=hand"],
            "categories must be a list, got 'hand'",
        ),
        (
            ["pairs", "--layout", "coco", "--option", "categories=5"],
            "categories must be a list, got 5",
        ),
        (
            ["pairs", "--layout", "coco", "--option", "categories=[hand, 5]"],
            "categories must be text, got 5",
        ),
        (
            ["pairs", "--layout", "egohos", "--option", "second_order=maybe"],
            "second_order must be true or false, got 'maybe'",
        ),
        (["pairs", "--split", "50/20"], "a split must be two or three positive numbers"),
        (["pairs", "--speck", "2"], "speck must be in 0..1, got 2.0"),
        (["pairs", "--group-pattern", "("], "is no regular expression"),
        (["pairs", "--layout", "coco"], "expected one COCO file (*.json)"),
    ],
)
def test_what_cannot_run_is_said_in_a_line(run: Run, arguments: list[str], message: str) -> None:
    done = run(*arguments, "--output", "out")
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert not Path("out").exists()


def test_nothing_left_is_a_failure(run: Run) -> None:
    done = run("pairs", "-o", "out", "--no-landmarks", "--max-coverage", "0.001")
    assert done.exit_code == 1
    assert "4 pairs: 0 kept, 0 repaired, 4 rejected" in done.stdout
    assert "No pair can be used." in done.stderr


def test_where_nothing_can_be_written_the_run_ends(run: Run) -> None:
    Path("file").write_text("")
    done = run("pairs", "-o", "file/out", "--no-landmarks")
    assert done.exit_code in (1, 2)
    assert "file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_the_run_and_it_goes_on(photo_folder: Path, tmp_path: Path) -> None:
    build_aitaca(tmp_path / "set", photo_folder, 14, faults=False)
    command = [sys.executable, "-m", "handseg", "prepare", str(tmp_path / "set")]
    command += ["--layout", "aitaca", "--output", str(tmp_path / "out")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    deadline = time.monotonic() + 60
    while len(Journal(tmp_path / "out" / "run")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=30)
    assert process.returncode == 130, messages
    assert messages == "Interrupted.\n"
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "14 pairs (" in done.stdout
    assert "14 kept" in done.stdout
    assert not [path for path in (tmp_path / "out").rglob(".*")]
