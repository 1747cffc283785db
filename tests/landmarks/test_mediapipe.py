from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    """What `code` prints in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_landmarker_loads_no_plots_sound_or_torch() -> None:
    code = """
import sys
import numpy as np
from handseg.landmarks import HandLandmarker
with HandLandmarker() as landmarker:
    landmarker.detect(np.zeros((64, 64, 3), np.uint8))
print([n for n in ("matplotlib", "sounddevice", "torch", "transformers") if n in sys.modules])
"""
    assert run(code) == "[]"


def test_what_was_put_off_is_there_for_others() -> None:
    code = """
import sys
before = list(sys.meta_path)
from handseg.landmarks._mediapipe import import_mediapipe
mediapipe = import_mediapipe()
assert sys.meta_path == before
assert import_mediapipe() is mediapipe is sys.modules["mediapipe"]
import mediapipe.tasks.python.audio.core
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.vision import drawing_styles, drawing_utils
assert vision.drawing_utils is drawing_utils
assert "matplotlib" not in sys.modules
drawing_utils.draw_landmarks, drawing_styles.get_default_hand_landmarks_style
assert "matplotlib" in sys.modules
import matplotlib.pyplot
print(mediapipe.tasks.audio.AudioClassifier.__name__, mediapipe.tasks.text.TextClassifier.__name__)
"""
    assert run(code) == "AudioClassifier TextClassifier"


def test_an_import_of_their_own_comes_first() -> None:
    code = """
import mediapipe
from handseg.landmarks._mediapipe import import_mediapipe
print(import_mediapipe() is mediapipe)
"""
    assert run(code) == "True"
