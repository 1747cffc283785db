from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from red_hands import save_photo
from typer.testing import CliRunner, Result

from handseg.annotate import finish
from handseg.cli import app
from handseg.models.semantic.config import NetworkConfig
from handseg.models.semantic.model import SemanticModel
from handseg.models.semantic.networks import build_network
from handseg.segmenter import HandSegmenter

Run = Callable[..., Result]
HAND, OTHER = (50, 60, 30, 20), (125, 60, 20, 25)


def test_what_failed_is_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        save_photo(Path(f"in/{name}.png"), HAND)
    run("in", "-o", "expected")

    def no_memory(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA out of\nmemory")

    with monkeypatch.context() as patch:
        patch.setattr(HandSegmenter, "segment", no_memory)
        done = run("in", "-o", "out")
        assert done.exit_code == 1
        assert done.stderr.splitlines()[0] == "Failed: in/a.png: RuntimeError: CUDA out of memory"
    done = run("in", "-o", "out")
    assert (done.exit_code, done.stderr) == (0, "")
    assert Path("out/coco.json").read_bytes() == Path("expected/coco.json").read_bytes()


def test_a_run_that_is_done_loads_no_model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photo(Path("in/a.png"), HAND)
    run("in", "-o", "out")
    content = Path("out/coco.json").read_bytes()
    Path("out/coco.json").unlink()
    monkeypatch.setattr(HandSegmenter, "from_pretrained", None)
    done = run("in", "-o", "out")
    assert done.exit_code == 0, done.output
    assert "1 done, 1 of them before" in done.stdout
    assert Path("out/coco.json").read_bytes() == content


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--max-hands", "1"], "max_hands"),
        (["--forearm"], "forearm"),
        (["--objects"], "objects False, now True"),
        (["--review"], "review False, now True"),
        (["--sequence"], "sequence"),
        (["--recipe", "recipe.json"], "recipe"),
        (["--model", "other"], "model"),
    ],
)
def test_other_settings_are_refused(run: Run, options: list[str], named: str) -> None:
    save_photo(Path("in/a.png"), HAND)
    Path("recipe.json").write_text("{}")
    run("in", "-o", "out")
    done = run("in", "-o", "out", *options)
    assert done.exit_code == 2
    assert f"holds a run with other settings: {named}" in done.stderr
    assert "Traceback" not in done.output


def test_other_photos_are_refused(run: Run) -> None:
    save_photo(Path("in/a.png"), HAND)
    run("in", "-o", "out")
    save_photo(Path("in/a.png"), OTHER)
    Path("in/a.png").write_bytes(Path("in/a.png").read_bytes() + b"0")
    done = run("in", "-o", "out")
    assert done.exit_code == 2
    assert "other settings: input." in done.stderr
    assert Path("out/run/settings.json").is_file()


def test_a_model_that_changes_in_its_folder_is_another(run: Run) -> None:
    save_photo(Path("in/a.png"), HAND)
    Path("lora").mkdir()
    Path("lora/weights").write_text("1")
    run("in", "-o", "out", "--adapter", "lora")
    assert run("in", "-o", "out", "--adapter", "lora").exit_code == 0
    Path("lora/weights").write_text("2")
    assert "other settings: adapter" in run("in", "-o", "out", "--adapter", "lora").stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["missing"], "missing"),
        (["missing.mp4"], "missing.mp4"),
        (["text.mp4"], "text.mp4"),
        (["empty"], "empty"),
        (["in", "--output", "in"], "in the output folder in"),
        (["in", "--output", "text.mp4"], "text.mp4 is not a folder"),
        (["in", "--camera", "camera.json"], "--camera is for sequences"),
        (["in", "--sequence", "--camera", "text.mp4"], "text.mp4"),
        (["in", "--sequence", "--camera", "camera.json"], "camera.json is for 10 x 10 px"),
    ],
)
def test_command_that_cannot_run_says_why_and_writes_nothing(
    run: Run, arguments: list[str], named: str
) -> None:
    save_photo(Path("in/a.png"), HAND)
    Path("empty").mkdir()
    Path("text.mp4").write_text("text")
    matrix = [[200, 0, 80], [0, 200, 60], [0, 0, 1]]
    Path("camera.json").write_text(json.dumps({"K": matrix, "width": 10, "height": 10}))
    before = sorted(Path().rglob("*"))
    if "--output" not in arguments:
        arguments = [*arguments, "--output", "out"]
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert named in " ".join(done.stderr.split())
    assert "Traceback" not in done.output
    assert sorted(Path().rglob("*")) == before


def test_a_process_that_retries_a_failure_ends_the_run(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photo(Path("in/a.png"), HAND)
    Path("in/b.png").write_bytes(b"no photo")

    def start(rank: int) -> Any:
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        return run("in", "-o", "out")

    assert "Process 2 of 2: its photos are done." in start(1).stderr
    with monkeypatch.context() as patched:
        patched.setattr(finish, "merge", interrupted)
        assert start(0).exit_code == 130
    # "a" is done, and "b" failed in a run that was interrupted before its end.
    assert "Process 1 of 2: its photos are done." in start(0).stderr
    assert not Path("out/coco.json").exists()
    done = start(1)
    assert "1 done, 1 failed" in done.stdout
    assert len(COCO("out/coco.json").loadImgs([1])) == 1


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_model_that_cannot_be_loaded_leaves_the_folder_free(tmp_path: Path) -> None:
    save_photo(tmp_path / "in/a.png", HAND)
    (tmp_path / "model").mkdir()
    arguments = ["annotate", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(
        app, [*arguments, "--model", str(tmp_path / "model"), "--device", "cpu"]
    )
    assert done.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_full_disk_ends_the_run_and_the_photo_is_not_done(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        save_photo(Path(f"in/{name}.png"), HAND)

    def no_space(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "out/masks/a.png")

    with monkeypatch.context() as patch:
        patch.setattr("handseg.annotate.worker.save_image", no_space)
        done = run("in", "-o", "out")
    assert done.exit_code == 1
    assert "No space left on device" in done.stderr
    assert "What was done is kept" in done.stderr
    assert "2 done" in run("in", "-o", "out").stdout


def test_ctrl_c_ends_the_run_and_the_next_one_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        save_photo(Path(f"in/{name}.png"), HAND)
    segment = HandSegmenter.segment
    asked: list[Any] = []

    def press_ctrl_c(self: HandSegmenter, image: Any, **options: Any) -> Any:
        asked.append(image)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return segment(self, image, **options)

    monkeypatch.setattr(HandSegmenter, "segment", press_ctrl_c)
    done = run("in", "-o", "out")
    assert (done.exit_code, done.stderr) == (130, "Interrupted.\n")
    assert not Path("out/coco.json").exists()
    assert "3 done, 1 of them before" in run("in", "-o", "out").stdout


def test_a_model_that_knows_no_objects_is_refused_before_any_photo(tmp_path: Path) -> None:
    save_photo(tmp_path / "in" / "a.png", (50, 50, 30, 20))
    config = NetworkConfig("small_resnet", None, image_size=32, filters=8)
    SemanticModel(build_network(config), config).save_pretrained(tmp_path / "model")
    arguments = ["annotate", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--objects"]
    result = CliRunner().invoke(app, [*arguments, "--model", str(tmp_path / "model")])
    assert result.exit_code == 2
    assert "objects: this model labels only hand" in result.output
    assert not (tmp_path / "out" / "images").exists()
