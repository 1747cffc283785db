"""Real renderings, if Blender is installed (`pip install ".[render]"`, Python 3.11)."""

import importlib.util
import json
import subprocess
import sys

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
