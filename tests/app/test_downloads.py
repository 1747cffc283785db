from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from red_hands import RedLandmarker, draw_photo, red_segmenter
from typer.testing import CliRunner

from handseg.app import downloads
from handseg.cli import app
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter

HAND = (80, 60, 40, 25)
IMAGE, _ = draw_photo(HAND)


@pytest.fixture(scope="module")
def result() -> HandSegmentation:
    return red_segmenter().segment(IMAGE)


def unzip(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len({name.casefold() for name in names}) == len(names)
        return {name: archive.read(name) for name in names}


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def resolution(data: bytes) -> int:
    across, down = Image.open(io.BytesIO(data)).info["dpi"]
    assert across == down
    return round(across)


def test_zip_holds_what_the_command_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(IMAGE).save(tmp_path / name, dpi=(300, 300))
    monkeypatch.setattr(HandSegmenter, "from_pretrained", lambda *_, **__: red_segmenter())
    monkeypatch.setattr("handseg.segmenter.HandLandmarker", RedLandmarker)  # for a second job
    monkeypatch.chdir(tmp_path)
    arguments = "segment a.png b.png --output out --mask --overlay --json out/hands.json"
    assert CliRunner().invoke(app, arguments.split()).exit_code == 0

    result = red_segmenter().segment(tmp_path / "a.png")
    files = unzip(downloads.to_zip([("a.png", result), ("b.png", result)], None, "soft"))
    assert set(files) == {path.name for path in (tmp_path / "out").iterdir()}
    for name, data in files.items():
        written = (tmp_path / "out" / name).read_bytes()
        if name.endswith(".json"):
            assert json.loads(data) == json.loads(written)
        else:
            np.testing.assert_array_equal(pixels(data), pixels(written))
            assert [resolution(one) for one in (data, written)] == [300, 300]


@pytest.mark.parametrize(
    "names",
    [
        ["a.png", "a_mask.png"],
        ["a_mask.png", "a.png"],
        ["IMG_1.JPG", "img_1.jpg", "IMG_1.png"],
        ["a.png", "a.jpg", "a_2.png"],
        ["hands.jpg", "a.jpg"],
        ["", ".png", "..", "photo.jpg"],
    ],
)
def test_no_file_in_the_zip_replaces_another(result: HandSegmentation, names: list[str]) -> None:
    files = unzip(downloads.to_zip([(name, result) for name in names], None, "soft"))
    assert len(files) == 3 * len(names) + 1
    assert [row["file"] for row in json.loads(files["hands.json"])] == names
    assert sum(pixels(data).ndim == 2 for name, data in files.items() if "json" not in name) == len(
        names
    )


@given(st.lists(st.text("aA_2/\\.", max_size=8), max_size=6))
def test_stems_in_the_zip_are_free_for_any_names(names: list[str]) -> None:
    taken: set[str] = set()
    stems = [downloads._free_name(name, taken) for name in names]
    made = [f"{stem}{end}".casefold() for stem in stems for end in (".png", "_mask.png")]
    assert len(set(made)) == len(made)
    assert not any("/" in stem or "\\" in stem for stem in stems)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("photo.jpg", "photo"),
        ("my.photo.tar.png", "my.photo.tar"),
        ("C:\\Users\\me\\photo.jpg", "photo"),
        ("../../etc/passwd.png", "passwd"),
        ("", "photo"),
    ],
)
def test_stem_of_an_upload(name: str, stem: str) -> None:
    assert downloads.stem_of(name) == stem


def test_zip_without_photos() -> None:
    assert json.loads(unzip(downloads.to_zip([], None, "soft"))["hands.json"]) == []


def test_edge_and_background(result: HandSegmentation) -> None:
    soft = np.asarray(downloads.picture(result, None, "soft"))
    hard = np.asarray(downloads.picture(result, None, "hard"))
    assert len(np.unique(soft[..., 3])) > 2
    np.testing.assert_array_equal(hard[..., 3], np.where(result.mask, 255, 0))
    red = downloads.picture(result, "#0000ff", "hard")
    assert red.mode == "RGB"
    assert (np.asarray(red)[~result.mask] == (0, 0, 255)).all()
    laid = np.asarray(downloads.picture(result, IMAGE[::-1], "hard"))
    np.testing.assert_array_equal(laid[~result.mask], IMAGE[::-1][~result.mask])
    np.testing.assert_array_equal(laid[result.mask], IMAGE[result.mask])


def test_cropped_to_the_hand(result: HandSegmentation) -> None:
    for background in (None, "#0000ff"):
        whole = downloads.picture(result, background, "soft")
        cropped = downloads.picture(result, background, "soft", crop=True)
        (hand,) = result
        x, y = hand.offset
        height, width = hand.patch.shape
        assert cropped.size == (width, height)
        np.testing.assert_array_equal(cropped, whole.crop((x, y, x + width, y + height)))


def test_json_of_a_photo_without_hands() -> None:
    empty = HandSegmentation(IMAGE)
    (row,) = json.loads(downloads.to_json([downloads.numbers("a.jpg", empty)]))
    assert row == {"file": "a.jpg", "width": 160, "height": 120, "hands": []}
