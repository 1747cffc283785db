from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.numpy import load_file
from tiny_models import save_tiny_model
from typer.testing import CliRunner

from handseg.cli import app
from handseg.data import Splits
from handseg.errors import RunMismatch, TrainingError
from handseg.evaluation.metrics import compare_masks
from handseg.finetune import train as loop
from handseg.finetune.lora import task as tuning
from handseg.finetune.lora.settings import FinetuneConfig
from handseg.io.images import load_image
from handseg.prompts import PromptRecipe
from handseg.runtime.config import from_mapping
from handseg.segmenter import HandSegmenter

ROOT = Path(__file__).parents[2]
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, photo_folder: Path) -> dict[str, Any]:
    """Settings for three epochs of a tiny model on two photos, with a third for validation."""
    root = tmp_path_factory.mktemp("train")
    save_tiny_model("edgetam", root / "base")
    return {
        "data": {"source": str(photo_folder), "ratios": {"train": 0.5, "val": 0.25, "test": 0.25}},
        "model": str(root / "base"),
        "epochs": 3,
        "batch_size": 1,
        "learning_rate": 1e-2,
        "report": False,
    }


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep Arrow files of the tests in the tests' folder."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "arrow"))


def run(settings: dict[str, Any], output: Path, **changes: Any) -> loop.State:
    return loop.train(from_mapping(FinetuneConfig, settings | changes, "test"), output)


def command(settings: dict[str, Any], folder: Path, output: str, *launcher: str) -> list[str]:
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    # fmt: off
    return [
        sys.executable, *launcher, "-m", "handseg.finetune",
        "--config", str(folder / "run.yaml"), "--output", str(folder / output),
    ]
    # fmt: on


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(folder / "arrow"),
        "ACCELERATE_USE_CPU": "true",
    }


def finished(arguments: list[str], folder: Path) -> str:
    result = subprocess.run(
        arguments, env=environment(folder), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def assert_same(one: Path, other: Path, tolerance: float = 0.0) -> None:
    weights = load_file(one / WEIGHTS), load_file(other / WEIGHTS)
    assert weights[0].keys() == weights[1].keys()
    for name, values in weights[0].items():
        np.testing.assert_allclose(values, weights[1][name], rtol=0, atol=tolerance, err_msg=name)
    assert any(values.any() for name, values in weights[0].items() if "lora_B" in name)


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_accumulation(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Three photos for validation: one of the two processes must repeat a photo.
    data = settings["data"] | {"ratios": {"train": 0.25, "val": 0.75}}
    settings = settings | {"data": data}
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    two = finished(command(settings, tmp_path, "two", *launcher), tmp_path)
    assert "2 process(es) on cpu" in two
    assert two.count("epoch 3 ") == 1
    run(settings, tmp_path / "one", gradient_accumulation=2)
    one = capsys.readouterr().out
    assert "1 process(es) on cpu" in one
    assert_same(tmp_path / "two", tmp_path / "one", tolerance=1e-5)

    def scores(output: str) -> list[str]:
        return re.findall(r"validation IoU (\S+)", output)

    assert len(scores(two)) == 2
    assert scores(two) == scores(one)


def test_a_run_learns_its_photos_convention(
    photo_folder: Path,
    photos: dict[str, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The bundled model learns from one photo that masks are drawn 4 px too generous."""
    import cv2

    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for stem in ("a", "b"):
        source = photo_folder / "images" / "35_pic00033.jpg"
        (tmp_path / "data" / "images" / f"{stem}.jpg").write_bytes(source.read_bytes())
        mask = load_image(photo_folder / "masks" / "35_pic00033.png")[..., 0]
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
        cv2.imwrite(str(tmp_path / "data" / "masks" / f"{stem}.png"), mask)
    settings = {
        "data": {"source": str(tmp_path / "data"), "ratios": {"train": 0.5, "val": 0.5}},
        "recipe": {"forearm": 0.2},
        "lora": {"modules_to_save": ["upscaling", "hypernetworks"]},
        "epochs": 20,
        "batch_size": 1,
        "augmentation": {"views": 1},
        "learning_rate": 1e-3,
    }
    state = run(settings, tmp_path / "run")
    assert state.history[-1]["loss"] < 0.7 * state.history[0]["loss"]
    truth = load_image(tmp_path / "data" / "masks" / "a.png")[..., 0] > 127
    scores = []
    for adapter in (None, tmp_path / "run"):
        with HandSegmenter.from_pretrained(adapter=adapter, device="cpu") as segmenter:
            result = segmenter.segment(photos["35_pic00033"])
            scores.append(compare_masks(result.mask, truth).iou)
    assert scores[1] > scores[0] + 0.04
    assert (tmp_path / "run" / "report" / "val" / "report.html").is_file()
    card = (tmp_path / "run" / "README.md").read_text()
    assert "val, tuned" in card
    assert f"{scores[1]:.4f}" in card
    assert (tmp_path / "run" / WEIGHTS).stat().st_size < 2e6
    said = capsys.readouterr().out
    assert f"through segment(): IoU {scores[0]:.3f} -> {scores[1]:.3f}, boundary F" in said
    assert said.endswith(f"Next: handseg segment PHOTO --model {tmp_path / 'run'}\n")
    assert "worse" not in said


def test_a_run_says_that_its_masks_show_arms_which_are_cut_off(
    settings: dict[str, Any],
    photo_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As if all of the photo were an arm; it is said before and after training."""
    shutil.copytree(photo_folder, tmp_path / "data")
    for file in (tmp_path / "data" / "masks").iterdir():
        Image.fromarray(np.full((480, 640), 255, np.uint8)).save(file)
    data = settings["data"] | {"source": str(tmp_path / "data")}
    run(settings, tmp_path / "run", data=data, epochs=1)
    warning = "training masks reach past the wrist"
    assert capsys.readouterr().out.count(warning) == 2
    run(settings, tmp_path / "arm", data=data, epochs=1, recipe={"forearm": 2.0})
    assert warning not in capsys.readouterr().out


def test_a_run_learns_what_hands_hold(
    settings: dict[str, Any], photo_folder: Path, tmp_path: Path
) -> None:
    """Photos with something in the hand and photos with nothing; the report is of objects."""
    data = tmp_path / "data"
    shutil.copytree(photo_folder, data)
    (data / "object_masks").mkdir()
    for index, file in enumerate(sorted((data / "masks").iterdir())):
        hand = load_image(file)[..., 0] > 127
        held = np.zeros_like(hand)
        if index % 2:
            rows, columns = np.nonzero(hand)
            held[rows.min() : rows.min() + 40, columns.min() : columns.min() + 40] = True
            held &= ~hand
        Image.fromarray(held).save(data / "object_masks" / file.name)
    stems = [file.stem for file in sorted((data / "images").iterdir())]
    parts = {"train": stems[:2], "val": stems[2:]}
    Splits({part: tuple(ids) for part, ids in parts.items()}, {stem: stem for stem in stems}).save(
        tmp_path / "splits.json"
    )
    changes = {
        "data": {
            "source": str(data),
            "splits": str(tmp_path / "splits.json"),
            "target": "object",
        },
        "recipe": {"positives": ["grip"], "negatives": ["palm"], "box_reach": 0.5},
        "report": True,
    }
    state = run(settings, tmp_path / "run", **changes)
    assert state.step == 6
    assert all(np.isfinite(row["loss"]) for row in state.history)
    recipe = PromptRecipe.load(tmp_path / "run")
    assert recipe.positives == ("grip",)
    assert recipe.outline == 0
    report = json.loads((tmp_path / "run" / "report" / "val" / "objects.json").read_text())
    assert report["summary"]["photos"] == 2
    assert report["summary"]["held"] == 1
    assert not report["failures"]
    card = (tmp_path / "run" / "README.md").read_text()
    assert "what hands hold" in card
    assert "object_adapter=" in card
    assert "false objects" in card
    with HandSegmenter.from_pretrained(
        settings["model"], object_adapter=tmp_path / "run", device="cpu"
    ) as segmenter:
        assert segmenter.segment(data / "images" / f"{stems[0]}.jpg", objects=True)


def test_objects_need_their_masks(
    settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = settings["data"] | {"target": "object"}
    with pytest.raises(TrainingError, match="no photo of the part 'train' can be used"):
        run(settings, tmp_path / "run", data=data)
    assert "has no object mask" in caplog.text


def test_a_finished_run_is_not_done_again(settings: dict[str, Any], tmp_path: Path) -> None:
    first = run(settings, tmp_path / "run")
    before = (tmp_path / "run" / WEIGHTS).read_bytes()
    again = run(settings, tmp_path / "run")
    assert again == first
    assert (tmp_path / "run" / WEIGHTS).read_bytes() == before
    (tmp_path / "plain").touch()
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {path.stat().st_mode for path in files} == {(tmp_path / "plain").stat().st_mode}


def test_without_a_cache_it_learns_the_same(settings: dict[str, Any], tmp_path: Path) -> None:
    cached = run(settings, tmp_path / "cached")
    direct = run(settings, tmp_path / "direct", cache=False)
    assert not list((tmp_path / "direct").rglob("features-*"))
    for one, other in zip(cached.history, direct.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=0.02)


@pytest.mark.slow
def test_workers_start_although_opencv_has_threads(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    # OpenCV finds the clicks in the training process, which then forks for validation.
    settings = settings | {"cache": False, "workers": 1, "epochs": 2, "prompts": {"second_pass": 1}}
    result = subprocess.run(
        command(settings, tmp_path, "run"), env=environment(tmp_path), check=False, timeout=300
    )
    assert result.returncode == 0


def test_runs_share_a_cache_that_fits_both(settings: dict[str, Any], tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    run(settings, tmp_path / "one", cache_dir=cache)
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("features-*")}
    assert files
    run(settings, tmp_path / "other", cache_dir=cache, lora={"rank": 2})
    assert files == {
        file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("features-*")
    }
    with pytest.raises(TrainingError, match=r"other settings: recipe\.box_reach .*, now 0\.2"):
        run(settings, tmp_path / "third", cache_dir=cache, recipe={"box_reach": 0.2})


@pytest.mark.parametrize("placement", ["decoder+neck", "all"])
def test_an_encoder_that_learns_needs_its_pictures(
    settings: dict[str, Any], tmp_path: Path, placement: str
) -> None:
    with pytest.raises(ValueError, match="cache must be false"):
        run(settings, tmp_path / "cached", lora={"placement": placement})
    run(settings, tmp_path / "run", lora={"placement": placement}, cache=False, epochs=1)
    weights = load_file(tmp_path / "run" / WEIGHTS)
    assert any(values.any() for name, values in weights.items() if "vision_encoder" in name)


def test_patience_stops_a_run_that_learns_nothing(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes: dict[str, Any] = {"learning_rate": 1e-12, "patience": 1, "epochs": 9}
    state = run(settings, tmp_path / "run", **changes)
    assert len(state.history) == 2
    assert "stopped early" in capsys.readouterr().out
    assert run(settings, tmp_path / "run", **changes) == state


@pytest.mark.parametrize(
    "name", ["adapter_model.safetensors", "config.json", "config.yaml", "README.md"]
)
def test_a_folder_of_something_else_is_refused(
    name: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    own = tmp_path / "run" / name
    own.parent.mkdir()
    own.write_text("of somebody")
    with pytest.raises(RunMismatch, match=f"holds other files, as {name}"):
        run(settings, tmp_path / "run", epochs=1)
    assert list(own.parent.iterdir()) == [own]
    assert own.read_text() == "of somebody"


def test_another_run_in_the_same_folder_is_refused(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    run(settings, tmp_path / "run", epochs=1)
    match = r"other settings: learning_rate 0\.01, now 0\.5; seed 0, now 3"
    with pytest.raises(RunMismatch, match=match):
        run(settings, tmp_path / "run", epochs=1, learning_rate=0.5, seed=3)


def test_a_run_that_failed_before_its_first_epoch_blocks_no_other(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    output = tmp_path / "run"
    with pytest.raises(ValueError, match="nowhere"):
        run(settings, output, model=str(tmp_path / "nowhere"))
    with pytest.raises(TrainingError, match="loss is nan at step"):
        run(settings, output, learning_rate=1e30, seed=1)
    assert (output / "splits.json").is_file()
    state = run(settings, output)
    assert [row["epoch"] for row in state.history] == [1, 2, 3]
    assert Splits.load(output / "splits.json").seed == 0
    assert yaml.safe_load((output / "config.yaml").read_text())["learning_rate"] == 0.01


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_stops_the_run_and_what_was_good_stays(
    what: str, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., torch.Tensor] = tuning.PromptedStep.forward
    calls = []

    def forward(self: Any, *arguments: Any) -> torch.Tensor:
        calls.append(1)
        loss = real(self, *arguments)
        if len(calls) < 4:
            return loss
        if what == "loss":
            return loss * float("nan")
        loss.register_hook(lambda gradient: gradient * float("nan"))
        return loss

    monkeypatch.setattr(tuning.PromptedStep, "forward", forward)
    with pytest.raises(TrainingError, match=rf"the {what} is nan at step 3.*learning_rate"):
        run(settings, tmp_path / "run")
    folder = tmp_path / "run"
    for file in (folder / WEIGHTS, folder / "checkpoint" / "learnt.safetensors"):
        assert all(np.isfinite(values).all() for values in load_file(file).values())
    state = torch.load(folder / "checkpoint" / "custom_checkpoint_0.pkl", weights_only=True)
    assert state["step"] == 2


def test_a_damaged_checkpoint_is_named(settings: dict[str, Any], tmp_path: Path) -> None:
    run(settings, tmp_path / "run", epochs=1)
    learnt = tmp_path / "run" / "checkpoint" / "learnt.safetensors"
    learnt.write_bytes(learnt.read_bytes()[:100])
    with pytest.raises(TrainingError, match=r"checkpoint cannot be read: .*remove it"):
        run(settings, tmp_path / "run", epochs=1)


def test_a_full_disk_keeps_the_last_checkpoint(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate import Accelerator

    real = Accelerator.save_state
    saved = []

    def save_state(self: Any, folder: str) -> None:
        saved.append(folder)
        if len(saved) == 2:
            Path(folder).mkdir()
            raise OSError(28, "No space left on device")
        real(self, folder)

    monkeypatch.setattr(Accelerator, "save_state", save_state)
    with pytest.raises(TrainingError, match="last good one is kept") as caught:
        run(settings, tmp_path / "run")
    assert "No space left" in str(caught.value)
    assert not (tmp_path / "run" / "checkpoint_new").exists()
    monkeypatch.setattr(Accelerator, "save_state", real)
    state = run(settings, tmp_path / "run")
    assert [row["epoch"] for row in state.history] == [1, 2, 3]


def test_an_unreadable_photo_is_left_out_and_said(
    settings: dict[str, Any],
    tmp_path: Path,
    photo_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for file in (photo_folder / name).iterdir():
            (tmp_path / "data" / name / file.name).write_bytes(file.read_bytes())
    data = {"source": str(tmp_path / "data"), "ratios": {"train": 0.75, "val": 0.25}}
    broken = sorted((tmp_path / "data" / "images").iterdir())
    for file in broken[:1]:
        file.write_bytes(file.read_bytes()[:2000])
    run(settings, tmp_path / "run", data=data, epochs=1, seed=1)
    assert "1 left out, as they cannot be read" in capsys.readouterr().out


def test_a_part_without_a_photo_that_can_be_read_is_left_out_of_the_report(
    settings: dict[str, Any], photo_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "data"
    shutil.copytree(photo_folder, data)
    *others, broken = sorted((data / "images").iterdir())
    broken.write_bytes(broken.read_bytes()[:2000])
    first, second, third = (file.stem for file in others)
    parts = {"train": (first, second), "val": (third,), "test": (broken.stem,)}
    Splits(parts, {file.stem: file.stem for file in (*others, broken)}).save(
        tmp_path / "splits.json"
    )
    changes = {"source": str(data), "splits": str(tmp_path / "splits.json")}
    run(settings, tmp_path / "run", data=changes, epochs=1, report=True)
    card = (tmp_path / "run" / "README.md").read_text()
    assert "| val, tuned | 1 |" in card
    assert "| test" not in card
    assert [path.name for path in (tmp_path / "run" / "report").iterdir()] == ["val"]
    (said,) = [record.getMessage() for record in caplog.records if "no report" in record.message]
    assert said.startswith(f"no report of the part 'test': {broken.stem}: ")


def test_settings_come_from_file_options_and_assignments(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    result = CliRunner().invoke(
        app,
        ["finetune", "--config", str(tmp_path / "run.yaml"), "--output", str(tmp_path / "run"),
         "--epochs", "1", "--rank", "2", "--set", "lora.alpha=3", "--set", "loss.boundary=1e0"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    resolved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert resolved["epochs"] == 1
    assert resolved["lora"] == resolved["lora"] | {"rank": 2, "alpha": 3.0}
    assert resolved["loss"]["boundary"] == 1.0
    assert resolved["batch_size"] == 1
    assert re.search(r"[\d,]+ of [\d,]+ weights are trainable \(\d+\.\d\d%\)", result.output)
