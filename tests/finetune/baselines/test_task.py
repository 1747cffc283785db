"""Runs of baselines: they learn, resume, report, and become models."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from red_hands import save_photo
from safetensors.numpy import load_file
from typer.testing import CliRunner

from handseg.api import load_segmenter
from handseg.cli import app
from handseg.data import Splits
from handseg.errors import TrainingError
from handseg.finetune import train as loop
from handseg.finetune.baselines.settings import BaselineConfig
from handseg.finetune.baselines.task import BaselineStep
from handseg.models.semantic.model import is_semantic
from handseg.models.semantic.networks import build_network
from handseg.runtime.config import load_yaml

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "finetune" / "baselines").glob("*.yaml"))


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "arrow"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty drawn photos of one red hand each; half have an object in their upper left."""
    root = tmp_path_factory.mktemp("baselines")
    rng = np.random.default_rng(0)
    for number in range(20):
        x, y = rng.integers(40, 120), rng.integers(40, 80)
        across, down = rng.integers(15, 40, 2)
        mask = save_photo(root / "images" / f"{number:02}.png", (x, y, across, down))
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "masks" / f"{number:02}.png")
        if number % 2:
            held = np.zeros(mask.shape, bool)
            held[:40, :50] = True
            (root / "object_masks").mkdir(exist_ok=True)
            Image.fromarray(held).save(root / "object_masks" / f"{number:02}.png")
    return root


@pytest.fixture
def settings(data: Path) -> dict[str, Any]:
    return {
        "data": {"source": str(data), "ratios": {"train": 0.6, "val": 0.2, "test": 0.2}},
        "network": {
            "architecture": "small_resnet",
            "encoder": None,
            "image_size": 64,
            "filters": 32,
        },
        "optimizer": "adam",
        "learning_rate": 5e-3,
        "weight_decay": 0.0,
        "epochs": 3,
        "batch_size": 4,
        "report": False,
    }


def run(settings: dict[str, Any], output: Path, **changes: Any) -> loop.State:
    return loop.train(loop.parse_settings(settings | changes, "test"), output)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_load_and_build(path: Path) -> None:
    config = load_yaml(BaselineConfig, path)
    network = build_network(config.network)
    assert sum(one.numel() for one in network.parameters()) > 100_000


def test_deeplab_with_resnet18_follows_its_recipe() -> None:
    config = load_yaml(BaselineConfig, ROOT / "finetune/baselines/deeplabv3plus_resnet18.yaml")
    rates = [config.learning_rate_at(step, 300) for step in (0, 99, 100, 199, 200, 299)]
    assert rates == pytest.approx([1, 1, 0.3, 0.3, 0.09, 0.09])
    assert (config.optimizer, config.momentum, config.weight_decay) == ("sgd", 0.9, 0.005)
    assert (config.epochs, config.batch_size, config.patience) == (30, 8, 4)
    assert config.data.ratios == {"train": 0.6, "val": 0.2, "test": 0.2}
    assert config.balance


@pytest.mark.slow
def test_it_learns_what_is_red_and_reports(settings: dict[str, Any], tmp_path: Path) -> None:
    state = run(settings, tmp_path / "run", epochs=24, balance=True, report=True)
    assert state.best > 0.85
    folder = tmp_path / "run"
    summary = json.loads((folder / "report/test/summary.json").read_text())
    found = summary["systems"]["small_resnet"]["none"]
    assert found["metrics"]["iou"]["mean"] > 0.8
    scores = found["evaluateSemanticSegmentation"]
    assert 0.9 < scores["data set"]["GlobalAccuracy"] <= 1
    assert found["confusion"]["hand"]["hand"] > 1000
    card = (folder / "README.md").read_text()
    assert f"| test | 4 | 0 | {found['metrics']['iou']['mean']:.4f} |" in card
    picture = np.asarray(Image.open(folder / "report/test/matches.png").convert("RGB"))
    white, green = ((picture == color).all(-1).sum() for color in ((255,) * 3, (0, 200, 60)))
    assert white > 10 * green > 0
    with load_segmenter(folder, device="cpu") as segmenter:
        mask = save_photo(tmp_path / "new.png", (70, 50, 30, 25))
        predicted = segmenter.segment(tmp_path / "new.png").mask
        assert (predicted & mask).sum() / (predicted | mask).sum() > 0.75


class Killed(Exception):
    pass


def test_a_stopped_run_goes_on_to_the_same_weights(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Momentum, batch statistics, dropout and augmentation all have state to resume.
    settings = settings | {
        "optimizer": "sgd",
        "augmentation": {"flip": 0.5, "rotation": 20, "brightness": [0.7, 1.3]},
    }
    run(settings, tmp_path / "whole")
    real, calls = BaselineStep.forward, []

    def forward(self: Any, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 8:  # in the third epoch of three steps each
            raise Killed
        return real(self, *arguments)

    monkeypatch.setattr(BaselineStep, "forward", forward)
    with pytest.raises(Killed):
        run(settings, tmp_path / "killed")
    monkeypatch.setattr(BaselineStep, "forward", real)
    run(settings, tmp_path / "killed")
    assert len(calls) == 8
    for name in ("model.safetensors", "checkpoint/learnt.safetensors"):
        whole, killed = (load_file(tmp_path / one / name) for one in ("whole", "killed"))
        assert any("running_mean" in key for key in whole)
        for key, values in whole.items():
            np.testing.assert_array_equal(values, killed[key], err_msg=f"{name}: {key}")


def test_stage_two_goes_on_from_stage_one(settings: dict[str, Any], tmp_path: Path) -> None:
    network = settings["network"] | {"classes": ["hand", "object"]}
    run(settings, tmp_path / "one", network=network, epochs=1)
    first = load_file(tmp_path / "one/model.safetensors")
    run(
        settings,
        tmp_path / "two",
        network=network,
        epochs=1,
        learning_rate=1e-12,
        start=str(tmp_path / "one"),
    )
    second = load_file(tmp_path / "two/model.safetensors")
    for key, values in first.items():
        if "running" not in key and "num_batches" not in key:
            np.testing.assert_allclose(second[key], values, atol=1e-6, err_msg=key)
    with pytest.raises(TrainingError, match=r"start: .*one has classes .*'object'.*this run"):
        run(settings, tmp_path / "three", start=str(tmp_path / "one"))
    with pytest.raises(TrainingError, match="holds no network"):
        run(settings, tmp_path / "four", start=str(tmp_path))


def test_photos_without_object_masks_teach_nothing_of_objects(
    settings: dict[str, Any], tmp_path: Path, data: Path
) -> None:
    import shutil

    hands = tmp_path / "hands"
    for part in ("images", "masks"):
        shutil.copytree(data / part, hands / part)
    network = settings["network"] | {"classes": ["hand", "object"]}
    source = settings["data"] | {"source": str(hands)}
    run(settings, tmp_path / "run", network=network, data=source, epochs=2)
    head = load_file(tmp_path / "run/model.safetensors")["head.bias"]
    import torch
    from accelerate.utils import set_seed

    set_seed(0)
    config = load_yaml(BaselineConfig, tmp_path / "run/config.yaml")
    start = build_network(config.network).head.bias.detach()
    assert head[1] == pytest.approx(float(start[1]), abs=1e-7)
    assert abs(head[0] - float(start[0])) > 1e-4
    assert torch.isfinite(start).all()


@pytest.mark.parametrize("broken", [("18",), ("18", "19")])
def test_photos_that_cannot_be_read_are_left_out_of_the_report(
    broken: tuple[str, ...], settings: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "data")
    names = [f"{number:02}" for number in range(20)]
    parts = {"train": tuple(names[:14]), "val": tuple(names[14:18]), "test": ("18", "19")}
    Splits(parts, {name: name for name in names}).save(tmp_path / "splits.json")
    for name in broken:
        file = tmp_path / "data" / "images" / f"{name}.png"
        file.write_bytes(file.read_bytes()[:100])
    source = {"source": str(tmp_path / "data"), "splits": str(tmp_path / "splits.json")}
    run(settings, tmp_path / "run", data=source, epochs=1, report=True)
    card = (tmp_path / "run" / "README.md").read_text()
    assert "| val | 4 |" in card
    assert ("| test | 1 |" in card) == (len(broken) == 1)
    parts_shown = {path.name for path in (tmp_path / "run" / "report").iterdir()}
    assert parts_shown == ({"val", "test"} if len(broken) == 1 else {"val"})


def test_only_what_may_learn_changes(settings: dict[str, Any], tmp_path: Path) -> None:
    network = {"architecture": "unet", "encoder": "resnet18", "image_size": 64}
    changes = {"network": network, "encoder_weights": None, "encoder_learns": "last", "epochs": 1}
    run(settings, tmp_path / "run", **changes)
    from accelerate.utils import set_seed

    set_seed(0)
    config = load_yaml(BaselineConfig, tmp_path / "run/config.yaml")
    start = {
        key: value.numpy() for key, value in build_network(config.network).state_dict().items()
    }
    after = load_file(tmp_path / "run/model.safetensors")
    changed = {key for key, value in after.items() if not np.array_equal(value, start[key])}
    assert any(key.startswith("encoder.layer4") for key in changed)
    assert any(key.startswith("decoder") for key in changed)
    kept = {key for key in after if key.startswith("encoder") and "layer4" not in key}
    assert kept
    # The statistics of its batch norms do not change either.
    assert not kept & changed


def test_a_baseline_from_the_command_line(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings | {"epochs": 1}))
    arguments = ["finetune", "--config", str(tmp_path / "run.yaml"), "--output"]
    result = CliRunner().invoke(app, [*arguments, str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert is_semantic(tmp_path / "run")
    wrong = CliRunner().invoke(app, [*arguments, str(tmp_path / "other"), "--rank", "4"])
    assert wrong.exit_code == 2
    assert "unknown keys lora" in wrong.output

    source = settings["data"]["source"]
    result = CliRunner().invoke(
        app, ["segment", f"{source}/images", "--output", str(tmp_path / "out"), "--mask",
              "--model", str(tmp_path / "run")],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "out").rglob("*_mask.png"))) == 20
    result = CliRunner().invoke(
        app, ["evaluate", source, "--output", str(tmp_path / "report"),
              "--model", str(tmp_path / "run"), "--model", "handseg-lite"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    with (tmp_path / "report/per_photo.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sources = {(row["system"], row["prompts"]) for row in rows}
    assert sources == {
        (str(tmp_path / "run"), "none"),
        ("handseg-lite", "mediapipe"),
        ("handseg-lite", "mask"),
    }


@pytest.mark.parametrize("empty", [20, 3])
def test_empty_masks_are_said_and_nothing_else_is_no_data(
    settings: dict[str, Any], data: Path, tmp_path: Path, empty: int
) -> None:
    folder = shutil.copytree(data, tmp_path / "data")
    for mask in sorted((folder / "masks").iterdir())[:empty]:
        Image.fromarray(np.zeros((120, 160), np.uint8)).save(mask)
    settings |= {"epochs": 1, "data": settings["data"] | {"source": str(folder)}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    command = ["finetune", "--config", tmp_path / "run.yaml", "--output", tmp_path / "run"]
    done = CliRunner().invoke(app, list(map(str, command)))
    if empty == 20:
        assert done.exit_code == 1
        reason = f"Failed: {folder}: no mask of the part 'train' shows a hand (12 photos)"
        assert reason in done.output.splitlines()
    else:
        assert done.exit_code == 0
        counts = re.findall(r"^(?:train|val): \d+ photos, (\d+) without a hand$", done.output, re.M)
        assert 0 < sum(map(int, counts)) <= empty


def test_a_recipe_or_an_adapter_goes_with_no_baseline(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    run(settings, tmp_path / "run", epochs=1)
    photo = tmp_path / "photo.png"
    save_photo(photo)
    result = CliRunner().invoke(
        app, ["segment", str(photo), "--output", str(tmp_path / "o"), "--model",
              str(tmp_path / "run"), "--adapter", str(tmp_path)],
    )  # fmt: skip
    assert result.exit_code == 2
    assert "takes no prompts and no adapter" in result.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "lion"}, "optimizer must be one of adamw, adam, sgd"),
        ({"momentum": 1.0}, "momentum must be below 1, got 1"),
        ({"encoder_learns": "some"}, "encoder_learns must be one of all, last, none"),
        ({"encoder_learns": "last"}, "encoder_learns must be all with small_resnet"),
        ({"max_grad_norm": 0.0}, "max_grad_norm must be above 0"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loop.parse_settings(settings | changes, "test")
