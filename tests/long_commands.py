"""Every command that may run for hours, on little data, in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import yaml
from PIL import Image
from red_hands import save_photo
from tiny_models import save_tiny_model

from handseg.runtime.journal import Journal

RED = [sys.executable, str(Path(__file__).parent / "red_command.py")]
MODULE = [sys.executable, "-m"]


@dataclass(frozen=True)
class Command:
    """A long command.

    Attributes:
        words: words of the command line, without the output folder.
        done: returns the names of finished items in an output folder.
        picture: pattern of such an item's file, which must not be rewritten; None for none.
        journal: folder of the journal, in the output folder.
        code: exit code.
        exact: whether the pictures of two runs are bit-identical.
        environment: environment of the runs that are killed.
    """

    words: Callable[[Path], list[str]]
    done: Callable[[Path], set[str]]
    picture: str | None
    journal: str | None = None
    code: int = 0
    exact: bool = True
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, output: Path, **environment: str) -> subprocess.Popen[str]:
        fixed = {
            "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
            "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(output.parent / "arrow"),
        }  # fmt: skip
        return subprocess.Popen(
            self.words(output), env={**os.environ, **fixed, **environment}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def finish(self, output: Path) -> str:
        run = self.start(output)
        out, err = run.communicate(timeout=600)
        assert run.returncode == self.code, err
        assert "Traceback" not in err
        return out


def recorded(folder: str) -> Callable[[Path], set[str]]:
    return lambda output: {Path(key).stem for key in Journal(output / folder)}


def files(folder: str) -> Callable[[Path], set[str]]:
    """Return a function that lists the stems of complete files."""
    return lambda output: {path.stem for path in (output / folder).glob("[!.]*")}


def takes(output: Path) -> set[str]:
    """Return the pictures of complete takes: three views of a pose are rendered together."""
    names = files("truth")(output)
    views = Counter(name.rpartition("_")[0] for name in names)
    return {name for name in names if views[name.rpartition("_")[0]] == 3}


def make_inputs(root: Path, photo_folder: Path) -> None:
    """Write the inputs of each command into `root`."""
    for number in range(12):
        save_photo(root / "red" / f"p{number}.png", (40 + 8 * number, 60, 30, 20))
    (root / "red" / "bad.png").write_bytes(b"no photo")
    pairs = [(path, np.asarray(Image.open(path))) for path in sorted(photo_folder.rglob("*.[jp]*"))]
    for path, pixels in pairs:
        for number in range(10):
            copy = root / "pairs" / path.parent.name / f"{path.stem}_{number}.png"
            copy.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.roll(pixels, number, axis=1)).save(copy, compress_level=1)
    photos = sorted((photo_folder / "images").iterdir())
    names = ("massey_asl/{}/hand1_a", "massey_asl/{}/hand5_a", "rps_green/{}/r")
    for photo, name in zip(photos, names, strict=False):
        for kind, suffix in (("images", ".jpg"), ("masks", ".png")):
            copy = root / "sources" / "train" / f"{name.format(kind)}{suffix}"
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((photo_folder / kind / f"{photo.stem}{suffix}").read_bytes())
    ball = cv2.circle(np.zeros((60, 60, 4), np.uint8), (30, 30), 28, (0, 0, 255, 255), -1)
    for folder, names in (
        ("backgrounds", ("gnome_1.png", "plasma_1.png")),
        ("objects", ("medical-tooth.png", "food-fruit-kiwi.png")),
    ):
        (root / "sources" / folder).mkdir()
        for name in names:
            cv2.imwrite(str(root / "sources" / folder / name), ball)
    save_tiny_model("edgetam", root / "base")
    # With dropout, the state of torch's generator matters, and so does whether an epoch is the best
    # so far: both runs must agree on that, too.
    settings = {
        "data": {"source": str(photo_folder), "ratios": {"train": 0.5, "val": 0.25, "test": 0.25}},
        "model": str(root / "base"), "epochs": 4, "patience": 3, "batch_size": 1,
        "learning_rate": 1e-2, "report": False, "lora": {"dropout": 0.2},
        "prompts": {"second_pass": 0.8, "rounds": [2, 4]},
    }  # fmt: skip
    (root / "run.yaml").write_text(yaml.safe_dump(settings))


def segment(data: Path, jobs: str) -> Command:
    words = ["segment", str(data / "red"), "--mask", "--jobs", jobs]
    return Command(
        lambda output: [*RED, *words, "-o", str(output), "--json", str(output / "all.json")],
        recorded("all.json.journal"),
        "{}.png",
        "all.json.journal",
        code=1,  # because of the unreadable photo
        environment={"RED_DELAY": "0.1"},
    )


def annotate(data: Path) -> Command:
    words = ["annotate", str(data / "red"), "--sequence", "--review", "--device", "cpu"]
    return Command(
        lambda output: [*RED, *words, "-o", str(output)],
        recorded("run"),
        "masks/{}.png",
        "run",
        code=1,
        environment={"RED_DELAY": "0.1"},
    )


def prepare(data: Path) -> Command:
    words = ["prepare", str(data / "pairs"), "--no-landmarks", "--split", "60/40"]
    return Command(
        lambda output: [*MODULE, "handseg", *words, "-o", str(output)],
        recorded("run"),
        "masks/{}.png",
        "run",
    )


def pasted(data: Path) -> Command:
    words = ["handseg.synthetic.pasted.held_dataset", str(data / "sources")]
    counts = ["--count", "8", "--validation", "2"]
    return Command(
        lambda output: [*MODULE, *words, str(output), *counts], files("images"), "images/{}.jpg"
    )


def rendered(data: Path) -> Command:
    words = ["--count", "9", "--size", "96", "--scenes", "palm"]
    return Command(
        lambda output: [*MODULE, "handseg.synthetic.rendered", str(output), *words],
        takes,
        "images/{}.jpg",
        exact=False,  # Threads of Blender's denoiser round differently.
    )


def finetune(data: Path) -> Command:
    words = ["handseg.finetune", "--config", str(data / "run.yaml")]
    return Command(
        lambda output: [*MODULE, *words, "-o", str(output)],
        lambda output: {path.name for path in output.glob("checkpoint")},
        None,
    )


COMMANDS = {
    "segment, 1 job": lambda data: segment(data, "1"),
    "segment, 3 jobs": lambda data: segment(data, "3"),
    "annotate": annotate,
    "prepare": prepare,
    "pasted": pasted,
    "rendered": rendered,
    "finetune": finetune,
}
