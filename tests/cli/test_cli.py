"""How commands start and end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from red_hands import GREEN, draw_photo, red_segmenter, save_photo
from typer.testing import CliRunner
from written_files import ONE_HAND, Run, files_in, overlap, read_mask

import handseg
from handseg.cli import app
from handseg.models import bundled
from handseg.prompts import PromptRecipe
from handseg.segmenter import HandSegmenter


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["segment", "--help"], ["annotate", "--help"], ["evaluate", "-h"], ["--version"]],
)
def test_help_imports_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from handseg.cli import main\n"
        "try: main()\n"
        "finally: print('loaded:', *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.partition("loaded:")[2].split())
    assert "handseg.cli.segment" in loaded
    assert not loaded & {
        "cv2", "huggingface_hub", "mediapipe", "numpy", "peft", "PIL", "torch", "transformers",
    }  # fmt: skip


def test_version_is_printed_by_the_module_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "handseg", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"handseg {handseg.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["missing.jpg"], "missing.jpg"),
        (["in", "no*where.jpg"], "no*where.jpg"),
        (["empty"], "empty"),
        (["."], "--recursive includes its subfolders"),
        (["in/a.png", "out.png"], "use --output out.png"),
        (["in", "--background", "blu"], "blu"),
        (["in", "--background", "text.txt"], "text.txt"),
        (["in", "--output", "in"], "in"),
        (["in", "--output", "text.txt"], "text.txt"),
        (["in", "--json", "text.txt"], "text.txt"),
        (["in", "--json", "empty"], "empty"),
        (["in", "--json", "numbers.json"], "numbers.json"),
        (["in", "--device", "toaster"], "must be cpu, cuda, cuda:1 or mps, got 'toaster'"),
        (["in", "--device", "vulkan"], "does not support it"),
        (["in", "--max-hands", "0"], "--max-hands"),
        (["in", "--bogus"], "--bogus"),
        ([], "INPUT"),
        (["https://example.com/a.jpg"], "curl -s 'https://example.com/a.jpg' | handseg segment -"),
        (["clip.mp4"], "handseg annotate clip.mp4"),
    ],
)
def test_command_that_cannot_run_says_why_and_ends_with_2(
    run: Run, arguments: list[str], named: str
) -> None:
    save_photo(Path("in/a.png"), ONE_HAND)
    save_photo(Path("in/sub/a.png"), ONE_HAND)
    Path("empty").mkdir()
    Path("text.txt").write_text("[not JSON")
    Path("clip.mp4").write_bytes(b"frames")
    Path("numbers.json").write_text("[1, 2]")
    before = files_in(Path())
    done = run("segment", *arguments)
    assert done.exit_code == 2
    assert named in done.output
    assert "Traceback" not in done.output
    assert files_in(Path()) == before


def test_model_that_cannot_be_loaded_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_photo(Path("a.png"), ONE_HAND)
    Path("folder").mkdir()
    done = CliRunner().invoke(app, ["segment", "a.png", "--model", "folder", "--json", "a.json"])
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: folder: ")
    assert done.stdout == ""
    assert not Path("a.json").exists()
    done = CliRunner().invoke(app, ["evaluate", "folder"])
    assert done.exit_code == 2


def test_options_of_the_model_reach_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_photo(Path("a.png"), ONE_HAND)
    given: list[Any] = []

    def from_pretrained(name: str, **options: Any) -> HandSegmenter:
        given.append((name, options))
        return red_segmenter()

    monkeypatch.setattr(HandSegmenter, "from_pretrained", from_pretrained)
    options = ["--model", "some/model", "--adapter", "lora", "--recipe", "r.yaml"]
    assert run("segment", "a.png", *options, "--device", "cpu").exit_code == 0
    ((name, values),) = given
    assert name == "some/model"
    assert values["adapter"] == Path("lora")
    assert values["recipe"] == Path("r.yaml")
    assert values["device"] == "cpu"


def test_info_says_what_is_installed_and_that_weights_are_missing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "LITE_FOLDER", tmp_path / "nothing")
    done = run("info")
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines["handseg"].endswith(handseg.__version__)
    assert "cpu" in done.stdout
    for name in ("python", "torch", "transformers", "mediapipe", "opencv"):
        assert any(sign.isdigit() for sign in lines[name]), name
    assert str(tmp_path / "nothing") in lines["weights"]


def test_info_describes_the_bundled_weights(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import save_file

    values = {
        "layer.weight": np.zeros((1000, 30), np.float16),
        "norm.running_mean": np.zeros(7000, np.float16),
    }
    save_file(values, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"prompt_encoder_config": {"image_size": 448}}')
    PromptRecipe(box_reach=0.21).save(tmp_path)
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-sa-4.0\n---\n")
    monkeypatch.setattr(bundled, "LITE_FOLDER", tmp_path)
    done = run("info")
    assert done.exit_code == 0, done.output
    for expected in ("0.03 million", "448 px", "box_reach=0.21", str(tmp_path), "cc-by-sa-4.0"):
        assert expected in done.stdout


def test_info_survives_weights_that_cannot_be_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"cut off")
    monkeypatch.setattr(bundled, "LITE_FOLDER", tmp_path)
    done = run("info")
    assert done.exit_code == 0, done.output
    assert "cannot be read" in done.stdout


@pytest.mark.slow
def test_command_with_the_bundled_weights(photo_folder: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "handseg", "segment", str(photo_folder / "images"),
         "--mask", "--json", "all.json", "--device", "cpu"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    photos = sorted((photo_folder / "images").iterdir())
    rows = json.loads((tmp_path / "all.json").read_text())
    assert [Path(row["file"]).name for row in rows] == [photo.name for photo in photos]
    assert all(row["hands"] for row in rows)
    for photo in photos:
        truth = read_mask(next((photo_folder / "masks").glob(f"{photo.stem}.*")))
        mask = read_mask(tmp_path / "handseg_out" / f"{photo.stem}_mask.png")
        assert overlap(mask, truth) > 0.8, photo.name


def test_drawn_photos_are_what_the_tests_take_them_for() -> None:
    image, mask = draw_photo(ONE_HAND)
    assert (image[~mask] == GREEN).all()
    assert 0.95 < mask.sum() / (np.pi * 40 * 25) < 1.06
