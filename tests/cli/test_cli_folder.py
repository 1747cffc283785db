"""Folders of many photos: in parallel, killed and resumed, shared by processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from red_hands import RedLandmarker, red_segmenter, save_photo
from typer.testing import CliRunner, Result

from handseg.cli import app
from handseg.results import HandSegmentation
from handseg.runtime.journal import Journal
from handseg.segmenter import HandSegmenter

ONE_HAND = (80, 60, 40, 25)
COMMAND = [sys.executable, str(Path(__file__).parents[1] / "red_command.py"), "segment"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def segment(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """Run the command in this process, with a segmenter that takes red for hands."""
    monkeypatch.setattr(HandSegmenter, "from_pretrained", lambda *_, **__: red_segmenter())
    monkeypatch.setattr("handseg.segmenter.HandLandmarker", RedLandmarker)
    return CliRunner().invoke(app, ["segment", *arguments])


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def save_photos(count: int) -> list[str]:
    """Save photos of a hand, each at a different place, in the folder "in"; return their paths."""
    for number in range(count):
        save_photo(Path(f"in/{number:03}.png"), (60 + number, 60, 40, 25))
    return [f"in/{number:03}.png" for number in range(count)]


def journalled(folder: Path) -> list[str]:
    """Return the photos with rows in a journal."""
    return [row["file"] for row in Journal(folder).values()]


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def rows_of(file: str) -> list[str]:
    return [row["file"] for row in json.loads(Path(file).read_text())]


# Several at a time


def test_jobs_write_what_one_job_writes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photos(12)
    for jobs in ("1", "4"):
        done = segment(monkeypatch, "in", "-o", jobs, "--json", f"{jobs}.json", "--jobs", jobs)
        assert done.exit_code == 0, done.output
        assert "12 done" in done.stdout
        assert "photos per second" in done.stdout
    assert Path("1.json").read_text() == Path("4.json").read_text()
    for picture in Path("1").iterdir():
        np.testing.assert_array_equal(Image.open(picture), Image.open(Path("4", picture.name)))


def test_jobs_work_at_the_same_time_each_with_a_landmarker_of_its_own(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photos(9)
    together = threading.Barrier(3)
    original = HandSegmenter.segment
    landmarkers, closed = set(), []

    def meet(self: HandSegmenter, image: Any, **options: Any) -> HandSegmentation:
        landmarkers.add(self.landmarker)
        together.wait(timeout=60)
        return original(self, image, **options)

    monkeypatch.setattr(HandSegmenter, "segment", meet)
    monkeypatch.setattr(HandSegmenter, "close", lambda self: closed.append(self))
    done = segment(monkeypatch, "in", "--jobs", "3")
    assert done.exit_code == 0, done.output
    assert len(landmarkers) == 3
    assert len(set(closed)) == 3


def test_messages_come_in_the_order_of_the_photos(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        save_photo(Path(f"in/{number}.png"))
    Path("in/3.png").write_bytes(b"this is no photo")
    original = HandSegmenter.segment

    def later_ones_are_quicker(self: HandSegmenter, image: Any, **options: Any) -> HandSegmentation:
        time.sleep(0.02 * (8 - int(image.stem)))
        return original(self, image, **options)

    monkeypatch.setattr(HandSegmenter, "segment", later_ones_are_quicker)
    done = segment(monkeypatch, "in", "--jobs", "4")
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert [line.split("in/")[1][0] for line in lines] == list("01234567")
    assert lines[3].startswith("Failed: in/3.png")
    assert "7 done (7 without a hand), 1 failed" in done.stdout


def test_full_disk_ends_all_jobs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photos(40)
    asked = []

    def no_space(image: Any, path: Path, *_: Any) -> None:
        asked.append(path)
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("handseg.cli.pictures.save_image", no_space)
    done = segment(monkeypatch, "in", "--jobs", "4")
    assert done.exit_code == 1
    assert done.stderr.count("No space left on device") == 1
    assert "What was done is kept" in done.stderr
    assert len(asked) < 20


# Interrupted and killed


def test_ctrl_c_finishes_what_is_begun_and_no_more(here: Path) -> None:
    save_photos(40)
    run = start("in", "--json", "all.json", "--jobs", "2", RED_DELAY="0.2", RED_LOG="begun")
    wait_until(lambda: len(journalled(Path("all.json.journal"))) >= 4)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert "Interrupted" in err
    begun = Path("begun").read_text().split()
    assert sorted(begun) == rows_of("all.json")
    assert f"{len(begun)} done" in out
    assert len(begun) < 20
    assert {path.name for path in Path("handseg_out").iterdir()} == {
        Path(photo).name for photo in begun
    }


def test_two_runs_with_one_json_file_lose_no_row(here: Path) -> None:
    save_photos(8)
    Path("in/a").mkdir()
    for number in range(4):
        Path(f"in/00{number}.png").rename(f"in/a/00{number}.png")
    runs = [
        start(folder, "-o", f"out_{name}", "--json", "all.json", "--jobs", "1", RED_DELAY=delay)
        for folder, name, delay in (("in/a", "a", "0.05"), ("in", "b", "0.4"))
    ]
    for run in runs:
        _, err = run.communicate(timeout=120)
        assert run.returncode == 0, err
    names = [f"in/00{number}.png" for number in range(4, 8)]
    names += [f"in/a/00{number}.png" for number in range(4)]
    assert sorted(rows_of("all.json")) == names
    assert not Path("all.json.journal").exists()


def test_row_after_half_a_line_is_kept(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photos(2)
    assert segment(monkeypatch, "in/000.png", "--json", "all.json").exit_code == 0
    (row,) = json.loads(Path("all.json").read_text())
    Path("all.json").unlink()
    Path("all.json.journal").mkdir()
    Path("all.json.journal/000001.jsonl").write_text(json.dumps(["in/000.png", row])[:50])
    assert "2 done" in segment(monkeypatch, "in", "--json", "all.json").stdout
    assert rows_of("all.json") == ["in/000.png", "in/001.png"]


def test_rows_of_a_file_that_was_formatted_anew_are_kept(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photos(2)
    assert segment(monkeypatch, "in/000.png", "--json", "all.json").exit_code == 0
    Path("all.json").write_text(json.dumps(json.loads(Path("all.json").read_text()), indent=2))
    assert "1 done, 1 skipped" in segment(monkeypatch, "in", "--json", "all.json").stdout
    assert rows_of("all.json") == ["in/000.png", "in/001.png"]


# Several processes


def test_processes_of_a_launcher_share_the_photos(here: Path) -> None:
    photos = save_photos(15)
    options = ("in", "--json", "all.json", "--jobs", "2")
    world = {"WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "3", "RED_LOG": "begun"}
    runs = [
        start(*options, RANK=str(number), LOCAL_RANK=str(number), **world) for number in range(3)
    ]
    for number, run in enumerate(runs):
        out, err = run.communicate(timeout=120)
        assert run.returncode == 0, err
        assert f"Process {number + 1} of 3: 5 done" in out
    assert sorted(Path("begun").read_text().split()) == photos
    assert rows_of("all.json") == photos
    assert {path.name for path in here.iterdir()} == {"in", "handseg_out", "all.json", "begun"}


def test_process_of_a_launcher_does_not_end_the_others_by_its_exit_code(here: Path) -> None:
    save_photos(2)
    Path("in/000.png").write_bytes(b"this is no photo")
    run = start("in", RANK="0", WORLD_SIZE="2", LOCAL_RANK="0", LOCAL_WORLD_SIZE="2")
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0
    assert "1 failed" in out
    assert "in/000.png" in err


@pytest.mark.parametrize(
    ("device", "visible"), [("cuda", "3"), (None, "3"), ("cpu", "2,3"), ("cuda:0", "2,3")]
)
def test_process_of_a_launcher_has_a_gpu_of_its_own(
    device: str | None, visible: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photos(2)
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    monkeypatch.setattr("handseg.cli.common._check_device", lambda device: None)
    done = segment(monkeypatch, "in", *(["--device", device] if device else []))
    assert done.exit_code == 0, done.output
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


@pytest.mark.slow
def test_torchrun_shares_the_photos(here: Path) -> None:
    photos = save_photos(7)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, *COMMAND[1:], "in", "--json", "all.json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Process 1 of 2: 4 done" in done.stdout
    assert "Process 2 of 2: 3 done" in done.stdout
    assert rows_of("all.json") == photos
