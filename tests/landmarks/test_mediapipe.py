from __future__ import annotations

import os

import pytest
from own_process import output_of, run_alone


def test_a_landmarker_loads_no_plots_sound_or_torch() -> None:
    code = """
import sys
import numpy as np
from handseg.landmarks import HandLandmarker
with HandLandmarker() as landmarker:
    landmarker.detect(np.zeros((64, 64, 3), np.uint8))
print([n for n in ("matplotlib", "sounddevice", "torch", "transformers") if n in sys.modules])
"""
    assert output_of(code) == "[]"


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
    assert output_of(code) == "AudioClassifier TextClassifier"


def test_an_import_of_their_own_comes_first() -> None:
    code = """
import mediapipe
from handseg.landmarks._mediapipe import import_mediapipe
print(import_mediapipe() is mediapipe)
"""
    assert output_of(code) == "True"


USES = {
    "closed": "with HandLandmarker() as one: one.detect(photo)",
    "not closed": "one = HandLandmarker(); one.detect(photo)",
    "freed": "HandLandmarker().detect(photo)",
    "closed at exit": "import atexit; one = HandLandmarker(); atexit.register(one.close)",
    "two at a time": """
from concurrent.futures import ThreadPoolExecutor
def work(_):
    with HandLandmarker() as one: one.detect(photo)
with ThreadPoolExecutor(2) as pool: list(pool.map(work, range(4)))
""",
}


@pytest.mark.parametrize("use", USES)
def test_nothing_is_written_to_stderr(use: str) -> None:
    begin = """
import numpy as np
from handseg import HandLandmarker
photo = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
"""
    assert output_of(begin + USES[use]) == ""


def test_what_is_no_chatter_is_written() -> None:
    code = """
import os, sys
from handseg.landmarks._mediapipe import without_chatter
with without_chatter():
    os.write(2, b"INFO: [environment.cc:36] Creating LiteRT environment with options\\n")
    os.write(2, b"INFO: INFO: [a.cc:1] one thread[b.cc:2] another thread\\n\\n")
    os.write(2, b"INFO: ERROR: [a.cc:1] in between\\n")
    with without_chatter():
        print("of Python", file=sys.stderr)
    os.write(2, b"E0000 00:00:1795896933.1 4680 graph.cc:9] an error\\n")
    os.write(2, b"W0000 00:00:1795896933.1 4680 graph.cc:9] a warning\\n")
    os.write(2, b"INFO:     Started server process\\n")
    os.write(2, b"no end of line")
print(", the rest", file=sys.stderr)
"""
    done = run_alone(code)
    assert done.stderr.splitlines() == [
        "INFO: ERROR: [a.cc:1] in between",
        "of Python",
        "E0000 00:00:1795896933.1 4680 graph.cc:9] an error",
        "INFO:     Started server process",
        "no end of line, the rest",
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="closes a file descriptor")
def test_a_process_without_stderr() -> None:
    code = """
import os, numpy as np
os.close(2)
from handseg import HandLandmarker
with HandLandmarker() as landmarker:
    print(landmarker.detect(np.zeros((64, 64, 3), np.uint8)))
"""
    assert output_of(code) == "[]"
