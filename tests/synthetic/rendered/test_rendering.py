"""Real renderings, if Blender is installed (`pip install ".[render]"`, Python 3.11)."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

COMMAND = [sys.executable, "-m", "handseg.synthetic.rendered"]
needs_blender = pytest.mark.skipif(
    importlib.util.find_spec("bpy") is None, reason="Blender (bpy) is not installed"
)


def run(*arguments):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=500, check=False
    )


@needs_blender
@pytest.mark.slow
class TestPictures:
    @pytest.fixture(scope="class")
    @staticmethod
    def folder(tmp_path_factory):
        folder = tmp_path_factory.mktemp("rendered") / "out"
        done = run(folder, "--count", 3, "--size", 96, "--scenes", "palm")
        assert done.returncode == 0, done.stderr
        assert "palm: 3 pictures" in done.stderr
        return folder

    def test_there_are_pictures_with_hands_and_their_truth(self, folder):
        for path in sorted((folder / "images").iterdir()):
            image = cv2.imread(str(path))
            mask, instances, classes = (
                cv2.imread(str(folder / name / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)
                for name in ("masks", "instances", "classes")
            )
            record = json.loads((folder / "truth" / f"{path.stem}.json").read_text())
            assert image.shape == (96, 96, 3)
            assert image.std() > 5
            assert set(np.unique(mask)) == {0, 255}
            assert instances.max() == len(record["hands"])
            assert ((instances > 0) == (mask > 0)).all()
            assert (classes[mask > 0] != 0).all()
            biggest = max(record["hands"], key=lambda hand: hand["pixels"])
            assert biggest["fingers_mm"]["ring"]["width"] > 10
            inside = np.array(biggest["landmarks"])[np.array(biggest["seen"])]
            x, y = np.round(inside).astype(int).T
            assert (mask[y, x] > 0).all()
        assert len(list((folder / "images").iterdir())) == 3

    def test_a_run_that_lost_a_picture_makes_the_same_one_again(self, folder):
        path = sorted((folder / "images").iterdir())[1]
        before = path.read_bytes()
        path.unlink()
        (folder / "truth" / f"{path.stem}.json").unlink()

        done = run(folder, "--count", 3, "--size", 96, "--scenes", "palm")

        assert done.returncode == 0, done.stderr
        again = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        first = cv2.imdecode(np.frombuffer(before, np.uint8), cv2.IMREAD_COLOR)
        # Threads of the denoiser round differently.
        assert np.abs(again.astype(int) - first).mean() < 1

    def test_another_run_in_the_same_folder_is_refused(self, folder):
        done = run(folder, "--count", 3, "--size", 96, "--scenes", "palm", "--seed", 9)

        assert done.returncode == 2
        assert "seed 0" in done.stderr
        assert "Traceback" not in done.stderr


TEXTURES = """
import json
import numpy as np
from handseg.synthetic.rendered.blender.stage import Stage
from handseg.synthetic.rendered.meshes import rounded_box
from handseg.synthetic.rendered.scene import Material, Part
from handseg.synthetic.rendered.scenes._common import views_around
from handseg.synthetic.rendered.take import Item, Take

stage, shown = Stage(samples=4), []
rng = np.random.default_rng(0)
views = views_around(np.zeros(3), rng, 1, distance=(0.5, 0.6), rise=(1.4, 0.01))
mesh = rounded_box((2, 2, 0.03), 0.004)
for number in range(9):
    texture = np.full((64, 64, 3), 20, np.uint8)
    texture[..., number % 3] = 230
    stage.set(Take((Item(Part(mesh, Material(texture=texture)), {}),), (), views))
    shown.append(int(stage.render(views[0], 32).color.mean((0, 1)).argmax()))
print(json.dumps(shown))
"""


@needs_blender
@pytest.mark.slow
def test_a_take_shows_its_own_textures_and_none_of_the_takes_before():
    done = subprocess.run(
        [sys.executable, "-c", TEXTURES], capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0, 1, 2] * 3


@needs_blender
@pytest.mark.slow
def test_an_interrupted_run_leaves_no_scratch_files(tmp_path):
    arguments = [str(tmp_path / "out"), "--count", "60", "--size", "96", "--scenes", "sign"]
    command = subprocess.Popen(
        [*COMMAND, *arguments], env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE
    )
    end = time.monotonic() + 200
    while not list(tmp_path.glob("out/truth/*.json")) and time.monotonic() < end:
        assert command.poll() is None
        time.sleep(0.1)
    assert list(tmp_path.glob("handseg-*"))

    command.send_signal(signal.SIGINT)

    assert b"Interrupted." in command.communicate(timeout=100)[1]
    assert command.returncode == 130
    assert not list(tmp_path.glob("handseg-*"))


UNREACHABLE = """
import sys
from pathlib import Path
from handseg.errors import RenderingError
from handseg.synthetic.rendered import worker
from handseg.synthetic.rendered.run import Settings, missing, open_folder

def draw_take(settings, take, real=worker.draw_take):
    if take == 0:
        raise RenderingError("take 0: no body could")
    return real(settings, take)

worker.draw_take = draw_take
folder, settings = Path(sys.argv[1]), Settings(4, 0, 64, ("sign",), "", False)
open_folder(folder, settings)
try:
    done = list(worker.render_takes(folder, settings, [0, 1], 1))
except RenderingError as error:
    print(f"{missing(folder, settings)} {error}")
"""


@needs_blender
@pytest.mark.slow
def test_a_take_that_no_body_can_do_costs_no_other(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", UNREACHABLE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[0] take 0: no body could"


MEMORY = """
import sys
from pathlib import Path
import numpy as np
from handseg.synthetic.rendered import worker
from handseg.synthetic.rendered.meshes import rounded_box
from handseg.synthetic.rendered.run import Settings, open_folder
from handseg.synthetic.rendered.scene import Material, Part
from handseg.synthetic.rendered.scenes._common import views_around
from handseg.synthetic.rendered.take import Item, Take

def draw_take(settings, take):
    rng = np.random.default_rng(take)
    texture = rng.integers(0, 256, (1024, 1024, 3), np.uint8)
    part = Part(rounded_box((2, 2, 0.03), 0.004), Material(texture=texture))
    views = views_around(np.zeros(3), rng, 3, distance=(0.5, 0.6), rise=(1.4, 0.01))
    return Take((Item(part, {}),), (), views), 0

def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

worker.draw_take, worker.TAKES_PER_STAGE = draw_take, 5
folder, settings = Path(sys.argv[1]), Settings(120, 0, 64, ("sign",), "", False)
open_folder(folder, settings)
used = [megabytes() for _ in worker.render_takes(folder, settings, range(40), 1)]
print(max(used[30:]) - max(used[:10]))
"""


@needs_blender
@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_takes(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) < 50


def test_without_blender_the_command_says_what_to_install(tmp_path):
    if importlib.util.find_spec("bpy") is not None:
        pytest.skip("Blender is installed")

    done = run(tmp_path / "out")

    assert done.returncode == 2
    assert "Python 3.11" in done.stderr or "pip install 'handseg[render]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@needs_blender
@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--scenes", "beach"), "got beach"), (("--count", "0"), "count must be at least 1, got 0")],
)
def test_bad_arguments_are_named(tmp_path, arguments, message):
    done = run(tmp_path / "out", *arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
