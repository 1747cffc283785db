import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
import yaml
from processes import wait_for
from safetensors.numpy import load_file
from typer.testing import CliRunner, Result

from handseg.finetune.pretrain.__main__ import main
from handseg.finetune.pretrain.lite import build_lite, set_image_size

EPOCHS = 2


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, photo_folder: Path) -> Path:
    """A folder with data, a random initial model and settings for two epochs of two steps."""
    import torch

    root = tmp_path_factory.mktemp("pretrain")
    torch.manual_seed(0)
    build_lite(64).save_pretrained(root / "init")
    (root / "objects").mkdir()
    coin = np.zeros((40, 40, 4), np.uint8)
    cv2.circle(coin, (20, 20), 18, (80, 150, 200, 255), -1)
    cv2.imwrite(str(root / "objects" / "coin.png"), coin)
    (root / "photos").symlink_to(photo_folder)
    config = {
        "data": {
            "cutouts": {"photos": 1.0},
            "scenes": {"photos": 1.0},
            "backgrounds": ["photos/images"],
            "objects": "objects",
            "held_out": ["photos/" + sorted(photo_folder.glob("images/*"))[0].stem],
        },
        "init": str(root / "init"),
        "image_size": 64,
        "epochs": EPOCHS,
        "epoch_samples": 4,
        "batch_size": 2,
        "warmup": 0.25,
        "mixed_precision": "no",
        "workers": 0,
        "validation_samples": 2,
    }
    (root / "run.yaml").write_text(yaml.safe_dump(config))
    return root


def command(root: Path, output: str, *launcher: str) -> list[str]:
    # fmt: off
    return [
        sys.executable, *launcher, "-m", "handseg.finetune.pretrain",
        "--config", str(root / "run.yaml"), "--data", str(root), "--output", str(root / output),
    ]
    # fmt: on


def run_here(arguments: list[str]) -> Result:
    """Run a `command` in this process, where the slow imports are already done."""
    pretrain = typer.Typer()
    pretrain.command()(main)
    return CliRunner().invoke(pretrain, arguments[arguments.index("--config") :])


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "ACCELERATE_USE_CPU": "true",
    }


@pytest.mark.slow
def test_killed_run_goes_on_to_the_same_weights(run_folder: Path) -> None:
    whole = run_here(command(run_folder, "whole"))
    assert whole.exit_code == 0, whole.stderr[-2000:]
    assert f"epoch {EPOCHS} step 4 loss" in whole.stdout

    with subprocess.Popen(
        command(run_folder, "killed"), env=environment(), stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        for line in first.stdout:
            if line.startswith("epoch 1 "):
                break
        wait_for(run_folder / "killed" / "checkpoint", first)
        first.send_signal(signal.SIGKILL)

    second = subprocess.run(
        command(run_folder, "killed"),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 0, second.stderr[-2000:]
    assert "going on after 2 steps" in second.stdout
    one, other = (
        load_file(run_folder / name / "model.safetensors") for name in ("whole", "killed")
    )
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        np.testing.assert_array_equal(tensor, other[name], err_msg=name)
    start = load_file(run_folder / "init" / "model.safetensors")
    assert any(not np.array_equal(tensor, start[name]) for name, tensor in one.items())


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_accumulation(
    run_folder: Path, tmp_path: Path
) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    result = subprocess.run(
        command(run_folder, "two", *launcher),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.count(f"epoch {EPOCHS} ") == 1
    settings = yaml.safe_load((run_folder / "run.yaml").read_text()) | {"gradient_accumulation": 2}
    (tmp_path / "alone.yaml").write_text(yaml.safe_dump(settings))
    arguments = command(run_folder, "one")
    arguments[arguments.index("--config") + 1] = str(tmp_path / "alone.yaml")
    assert run_here(arguments).exit_code == 0
    two, one = (load_file(run_folder / name / "model.safetensors") for name in ("two", "one"))
    for name, tensor in two.items():
        np.testing.assert_allclose(tensor, one[name], rtol=0, atol=1e-5, err_msg=name)


def test_wrong_configuration_is_one_line(run_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text((run_folder / "run.yaml").read_text() + "step_count: 3\n")
    arguments = command(run_folder, "none")
    arguments[arguments.index("--config") + 1] = str(broken)
    result = run_here(arguments)
    assert result.exit_code == 2
    assert "unknown keys step_count" in result.stderr
    assert "Traceback" not in result.stderr


def test_model_takes_another_input_size() -> None:
    import torch

    model = build_lite(64).eval()
    set_image_size(model, 96)
    with torch.inference_mode():
        output = model(
            pixel_values=torch.zeros(1, 3, 96, 96),
            input_boxes=torch.tensor([[[10.0, 10, 80, 80]]]),
            multimask_output=False,
        )
    assert output.pred_masks.shape[-2:] == (24, 24)
    with pytest.raises(ValueError, match="multiple of 32"):
        set_image_size(model, 100)
