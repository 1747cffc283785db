"""Segmenters in processes forked after the parent has used them: no hang, same masks."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from own_process import output_of, run_alone

if "fork" not in multiprocessing.get_all_start_methods():
    pytest.skip("this system does not fork", allow_module_level=True)

BEGIN = """
import faulthandler, multiprocessing, os, sys, threading, warnings
from pathlib import Path
import numpy as np
from handseg import HandSegmenter, load_image, segment
warnings.filterwarnings("ignore", category=DeprecationWarning)  # of forks beside threads

forks = multiprocessing.get_context("fork")
photos = [load_image(path) for path in sorted(Path(sys.argv[1]).glob("*.jpg"))[:2]]

def pixels(segmenter, number):
    return int(segmenter(photos[number]).mask.sum())
"""


@pytest.fixture(scope="module")
def images(photo_folder: Path) -> Path:
    return photo_folder / "images"


def test_the_default_of_segment(images: Path) -> None:
    code = """
def count(number):
    return pixels(segment, number)

alone = [count(0), count(1)]
with forks.Pool(2) as pool:
    print(pool.map(count, [0, 1]) == alone, count(0) == alone[0])
"""
    assert output_of(BEGIN + code, images) == "True True"


def test_a_segmenter_and_one_that_shares_its_model(images: Path) -> None:
    code = """
one = HandSegmenter.from_pretrained()
other = one.share()
segmenters = [one, other]
alone = [pixels(one.segment, 0), pixels(other.segment, 1)]

def count(number):
    return pixels(segmenters[number].segment, number)

with one, other, forks.Pool(2) as pool:
    print(pool.map(count, [0, 1]) == alone)
"""
    assert output_of(BEGIN + code, images) == "True"


def test_a_child_that_ends_as_a_script_does(images: Path) -> None:
    code = """
segment(photos[0])
closed = HandSegmenter.from_pretrained()
with closed:
    closed.segment(photos[0])
for use in (True, False):
    if os.fork() == 0:
        if use:
            segment(photos[0])
        sys.exit(7)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert output_of(BEGIN + code, images).split() == ["7", "7"]


def test_threads_of_a_child(images: Path) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
alone = pixels(segment, 0)

def counts(number):
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda _: pixels(segment, 0), range(3)))

with forks.Pool(1) as pool:
    print(pool.map(counts, [0]) == [[alone] * 3])
"""
    assert output_of(BEGIN + code, images) == "True"


def test_a_closed_landmarker_stays_closed(images: Path) -> None:
    code = """
from handseg import HandLandmarker
with HandLandmarker() as landmarker:
    landmarker.detect(photos[0])

def detect(number):
    try:
        landmarker.detect(photos[0])
    except ValueError as error:
        return str(error)

with forks.Pool(1) as pool:
    print(pool.map(detect, [0]))
"""
    assert output_of(BEGIN + code, images) == "['the landmarker is closed']"


@pytest.mark.slow
def test_forks_while_threads_segment(images: Path) -> None:
    code = """
segmenter = HandSegmenter.from_pretrained()
alone = pixels(segmenter.segment, 0)
over = threading.Event()

def work():
    with segmenter.share() as own:
        while not over.is_set():
            own.segment(photos[1])

def children():
    for _ in range(8):
        with HandSegmenter.from_pretrained() as fresh:
            fresh.landmarker

def forked():
    faulthandler.dump_traceback_later(30, exit=True)  # tells where it hangs
    sys.exit(pixels(segmenter.segment, 0) != alone)

threads = [threading.Thread(target=work) for _ in range(2)]
threads.append(threading.Thread(target=children))
for thread in threads:
    thread.start()
try:
    for _ in range(6):
        child = forks.Process(target=forked)
        child.start()
        child.join(40)
        print(child.exitcode)
        child.kill()
finally:
    over.set()
"""
    done = run_alone(BEGIN + code, images, timeout=400)
    assert (done.returncode, done.stdout.split()) == (0, ["0"] * 6), done.stderr


@pytest.mark.parametrize("stage", ["predict", "held_objects"])
def test_a_fork_waits_for_opencv(images: Path, stage: str) -> None:
    code = """
import time
from handseg.pipeline import held_objects, predict

stage = {"predict": predict, "held_objects": held_objects}[sys.argv[2]]
segmenter = HandSegmenter.from_pretrained(backend="torch" if stage is held_objects else None)
follow_edges, began, ended = stage.follow_edges, threading.Event(), threading.Event()

def slowly(*arguments):
    began.set()
    time.sleep(1)
    found = follow_edges(*arguments)
    ended.set()
    return found

stage.follow_edges = slowly
options = {"objects": stage is held_objects}
thread = threading.Thread(target=segmenter.segment, args=photos[:1], kwargs=options)
thread.start()
began.wait()
child = forks.Process(target=os._exit, args=(0,))
child.start()
print(ended.is_set())
child.join()
thread.join()
"""
    assert output_of(BEGIN + code, images, stage) == "True"


def test_workers_of_a_data_loader(images: Path) -> None:
    code = """
import torch.utils.data

class Masks(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, number):
        return pixels(segment, number)

alone = [pixels(segment, 0), pixels(segment, 1)]
loader = torch.utils.data.DataLoader(Masks(), num_workers=2, multiprocessing_context="fork")
print([int(one) for one in loader] == alone)
"""
    pytest.importorskip("torch")
    assert output_of(BEGIN + code, images) == "True"


@pytest.mark.slow
def test_a_model_on_torch(images: Path) -> None:
    code = """
import torch
torch.set_num_threads(4)
segmenter = HandSegmenter.from_pretrained(backend="torch", device="cpu")

def count(number):
    return pixels(segmenter.segment, number)

alone = [count(0), count(1)]
with forks.Pool(2) as pool:
    # Sums in another order may move a pixel.
    print(np.allclose(pool.map(count, [0, 1]), alone, rtol=1e-3))
"""
    pytest.importorskip("transformers")
    done = run_alone(BEGIN + code, images, timeout=240)
    assert done.stdout.strip() == "True", done.stderr


def test_what_a_child_writes_to_stderr_is_seen(images: Path) -> None:
    code = """
from handseg.landmarks._mediapipe import without_chatter
with without_chatter():
    child = forks.Process(target=lambda: os.write(2, b"of the child"))
    child.start()
    child.join()
os.write(2, b", of the parent")
"""
    assert run_alone(BEGIN + code, images).stderr == "of the child, of the parent"
