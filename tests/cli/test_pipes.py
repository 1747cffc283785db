"""Photos through pipes, and one photo to one file."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handseg import segment
from handseg.io.images import load_image

COMMAND = [sys.executable, "-m", "handseg", "segment"]


@pytest.fixture(scope="module")
def photo(photo_folder):
    return sorted((photo_folder / "images").iterdir())[0]


@pytest.fixture(scope="module")
def expected(photo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    run([photo, "--output", folder])
    return pixels(folder / f"{photo.stem}.png")


def run(arguments, **options):
    options = {"check": True, "capture_output": True, "timeout": 120, **options}
    return subprocess.run([*COMMAND, *map(str, arguments)], **options)


def pixels(source):
    with Image.open(source) as image:
        assert image.mode == "RGBA"
        return np.asarray(image)


def feed(pipe: Path, content: bytes) -> threading.Thread:
    thread = threading.Thread(target=pipe.write_bytes, args=(content,), daemon=True)
    thread.start()
    return thread


@pytest.fixture
def pipe(tmp_path, photo):
    """A named pipe that yields the photo once; large enough for a preview to be searched for."""
    os.mkfifo(tmp_path / "pipe.jpg")
    feed(tmp_path / "pipe.jpg", photo.read_bytes())
    return tmp_path / "pipe.jpg"


def test_standard_input_and_output(photo, expected, tmp_path):
    done = run(["-", "--output", "-"], input=photo.read_bytes(), cwd=tmp_path)

    (tmp_path / "out.png").write_bytes(done.stdout)
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), expected)
    assert b"1 done" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_standard_input_gives_results_called_stdin(photo, expected, tmp_path):
    run(["-", "--output", tmp_path, "--mask"], input=photo.read_bytes(), cwd=tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["stdin.png", "stdin_mask.png"]
    np.testing.assert_array_equal(pixels(tmp_path / "stdin.png"), expected)


def test_a_named_pipe_is_read_once(pipe, expected, tmp_path):
    run([pipe, "--output", tmp_path / "out"])

    np.testing.assert_array_equal(pixels(tmp_path / "out" / "pipe.png"), expected)


def test_a_named_pipe_in_python(pipe, photo):
    np.testing.assert_array_equal(segment(pipe).mask, segment(load_image(photo)).mask)


def test_one_photo_to_one_file(photo, expected, tmp_path):
    run([photo, "--output", tmp_path / "cut" / "result.png", "--mask"])

    names = sorted(path.name for path in (tmp_path / "cut").iterdir())
    assert names == ["result.png", "result_mask.png"]
    np.testing.assert_array_equal(pixels(tmp_path / "cut" / "result.png"), expected)


def test_the_file_has_the_name_that_was_given(photo, expected, tmp_path):
    run([photo, "--output", tmp_path / "Hand.PNG"])

    assert [path.name for path in tmp_path.iterdir()] == ["Hand.PNG"]
    np.testing.assert_array_equal(pixels(tmp_path / "Hand.PNG"), expected)


@pytest.mark.parametrize("output", ["cut/hand.png", "cut"])
def test_another_photos_result_is_not_taken_for_this_ones(photo_folder, tmp_path, output):
    first, second = (path.read_bytes() for path in sorted((photo_folder / "images").iterdir())[:2])
    run(["-", "-o", output], input=first, cwd=tmp_path)
    (result,) = (tmp_path / "cut").iterdir()
    before = result.read_bytes()

    done = run(["-", "-o", output], check=False, input=second, cwd=tmp_path)

    assert done.returncode == 2
    assert f"{result.name}: already exists, and may show another photo" in done.stderr.decode()
    assert result.read_bytes() == before
    run(["-", "-o", output, "--overwrite"], input=second, cwd=tmp_path)
    assert result.read_bytes() != before


def test_a_file_is_not_where_the_photo_is(photo, tmp_path):
    own = tmp_path / "hand.png"
    own.write_bytes(photo.read_bytes())

    done = run([own, "--output", own], check=False, text=True)

    assert done.returncode == 2
    assert "would replace a photo" in done.stderr
    assert own.read_bytes() == photo.read_bytes()


@pytest.mark.parametrize(
    ("output", "more", "message"),
    [
        ("result.jpg", [], "must be a .png file"),
        ("result.png", ["second"], "there are 2 photos"),
        ("-", ["second"], "there are 2 photos"),
        ("-", ["--mask"], "leave out --mask"),
    ],
)
def test_what_cannot_be_is_said(photo_folder, photo, tmp_path, output, more, message):
    other = sorted((photo_folder / "images").iterdir())[1]
    more = [other if word == "second" else word for word in more]

    done = run([photo, *more, "--output", output], check=False, text=True, cwd=tmp_path)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_standard_input_that_is_no_image(tmp_path):
    done = run(["-", "--output", "-"], check=False, input=b"no image", cwd=tmp_path)

    assert done.returncode == 1
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr
