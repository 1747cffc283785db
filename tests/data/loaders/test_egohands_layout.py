from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import loadmat, savemat
from skimage.measure import points_in_poly

from handseg.data import LabelledPhotos, Splits, list_photos, load_data
from handseg.data.loaders.egohands import draw

VIDEOS = (
    "CARDS_COURTYARD_B_T",  # test
    "CARDS_COURTYARD_T_B",  # train, the same game seen by the other player
    "CARDS_LIVINGROOM_S_H",  # val
    "PUZZLE_OFFICE_T_S",  # train
)
FRAMES = ("frame_0011", "frame_0036", "frame_0099")
FIELDS = ("myleft", "myright", "yourleft", "yourright")
NO_HAND = np.zeros((0, 0))


def box(x: int, y: int, width: int, height: int) -> np.ndarray:
    """Return a polygon around these pixels (from 0) in MATLAB's coordinates: the first centre is 1.

    Its corners are the pixels' outer corners.
    """
    left, top = x + 0.5, y + 0.5
    right, bottom = left + width, top + height
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def write_polygons(path: Path, frames: list[dict[str, Any]]) -> None:
    """Write a 1 x N struct array, as MATLAB saves it."""
    polygons = np.zeros((1, len(frames)), dtype=[(field, object) for field in FIELDS])
    for place, frame in enumerate(frames):
        for field in FIELDS:
            polygons[0, place][field] = frame.get(field, NO_HAND)
    savemat(path, {"polygons": polygons})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "egohands_data"
    for video in VIDEOS:
        folder = root / "_LABELLED_SAMPLES" / video
        folder.mkdir(parents=True)
        for name in FRAMES:
            Image.new("RGB", (128, 72), (50, 60, 70)).save(folder / f"{name}.jpg")
        write_polygons(
            folder / "polygons.mat",
            [
                {"myleft": box(10, 40, 20, 30), "yourleft": box(60, 5, 10, 12)},
                {"myright": box(90, 50, 20, 22)},
                {"myleft": box(100, 40, 40, 40), "yourright": box(0, 0, 5, 5)},
            ],
        )
    return root


def load(root: Path, **options: object) -> LabelledPhotos:
    return LabelledPhotos(load_data(root, "egohands", cache_dir=root.parent / "cache", **options))


def pixels(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((72, 128), bool)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = True
    return mask


def test_polygons_become_masks_of_all_hands(root: Path) -> None:
    rows = load(root)
    assert [row.id for row in rows] == [f"{video}/{name}" for video in VIDEOS for name in FRAMES]
    for row in rows[:3], rows[9:]:
        for shown, left, right in zip(
            row,
            (pixels((10, 40, 20, 30), (60, 5, 10, 12)), pixels(), pixels((100, 40, 40, 40))),
            (pixels(), pixels((90, 50, 20, 22)), pixels((0, 0, 5, 5))),
            strict=True,
        ):
            np.testing.assert_array_equal(shown.load()[1], left | right)
            assert shown.load_object_mask() is None


def test_the_official_split_is_by_video_and_a_game_may_be_kept_together(root: Path) -> None:
    dataset = load_data(root, "egohands", cache_dir=root.parent / "cache")
    splits = Splits.official(dataset)
    assert {part: len(ids) for part, ids in splits.parts.items()} == {
        "train": 6, "val": 3, "test": 3,
    }  # fmt: skip
    assert set(splits.groups.values()) == set(VIDEOS)
    by_game = load_data(root, "egohands", cache_dir=root.parent / "cache", group_by="game")
    assert set(by_game["group"]) == {
        "CARDS_COURTYARD_B_T", "CARDS_LIVINGROOM_H_S", "PUZZLE_OFFICE_S_T",
    }  # fmt: skip
    with pytest.raises(ValueError, match="tears groups apart"):
        Splits.official(by_game)
    with pytest.raises(ValueError, match="group_by must be one of video, game, got 'person'"):
        load(root, group_by="person")


def test_other_videos_are_in_no_official_part(root: Path) -> None:
    folder = root / "_LABELLED_SAMPLES"
    (folder / "PUZZLE_OFFICE_T_S").rename(folder / "mine")
    assert [row.split for row in load(root)[9:]] == [None] * 3
    with pytest.raises(ValueError, match="needs names such as CARDS_OFFICE_B_S, got 'mine'"):
        load(root, group_by="game")


def test_faulty_videos_are_named_and_left_out(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    places = [root / "_LABELLED_SAMPLES" / video for video in VIDEOS]
    (places[0] / f"{FRAMES[1]}.jpg").unlink()
    (places[1] / "polygons.mat").unlink()
    write_polygons(places[2] / "polygons.mat", [{}, {"myleft": box(3, 3, 9, 9)}, {}])
    with caplog.at_level(logging.WARNING):
        rows = load(root)
    assert rows[0].id == f"{VIDEOS[2]}/{FRAMES[1]}"
    assert len(rows) == 4
    for words in (
        "has polygons of 3 frames, but there are 2 photos beside it",
        f"left out: {VIDEOS[1]}/{FRAMES[0]}: cannot read",
        f"polygons.mat shows no hand in {FRAMES[0]}.jpg",
        "7 of 11 photos are left out",
    ):
        assert words in caplog.text


@pytest.mark.parametrize(
    ("polygons", "message"),
    [
        ({"polygons": np.zeros((1, 3))}, "must hold a struct array polygons with myleft"),
        ({"other": 1}, "must hold a struct array polygons"),
        ([{"myleft": np.zeros((3, 3))}] * 3, r"myleft of frame 1 must be finite \(N, 2\) x, y"),
        ([{"myleft": np.full((3, 2), np.nan)}] * 3, "must be finite"),
        ([{"yourright": "text"}] * 3, "yourright of frame 1 must be numbers"),
        ([{"myright": {"a": 1.0}}] * 3, "myright of frame 1 must be numbers"),
        (b"no MATLAB file", "cannot read .*polygons.mat as a MATLAB file"),
    ],
)
def test_other_contents_are_refused(root: Path, polygons: Any, message: str) -> None:
    path = root / "_LABELLED_SAMPLES" / VIDEOS[0] / "polygons.mat"
    if isinstance(polygons, bytes):
        path.write_bytes(polygons)
    elif isinstance(polygons, dict):
        savemat(path, polygons)
    else:
        write_polygons(path, polygons)
    with pytest.raises(ValueError, match=message):
        list_photos(root, "egohands")[0].labels(np.zeros((72, 128, 3), np.uint8))


def test_handles_of_functions_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SciPy cannot write them; it reads them as arrays of its classes."""
    from scipy.io.matlab import MatlabFunction, MatlabOpaque

    for kind in (MatlabFunction, MatlabOpaque):
        handle = kind(np.zeros((1, 1), dtype=[("s0", object), ("s1", object)]))
        monkeypatch.setattr("scipy.io.loadmat", lambda *_, made=handle, **__: {"polygons": made})
        with pytest.raises(ValueError, match="must hold a struct array polygons"):
            list_photos(root, "egohands")[0].labels(np.zeros((72, 128, 3), np.uint8))


def test_the_copy_is_laid_out_as_matlab_does(root: Path) -> None:
    path = root / "_LABELLED_SAMPLES" / VIDEOS[0] / "polygons.mat"
    assert path.read_bytes().startswith(b"MATLAB 5.0 MAT-file")
    polygons = loadmat(path)["polygons"]
    assert polygons.shape == (1, len(FRAMES))
    assert polygons.dtype.names == FIELDS
    assert polygons[0, 0]["myleft"].shape == (4, 2)


def test_what_is_no_egohands_is_refused(root: Path) -> None:
    assert len(load(root / "_LABELLED_SAMPLES")) == 12
    with pytest.raises(ValueError, match="no photo in the layout egohands"):
        load(root / "_LABELLED_SAMPLES" / VIDEOS[0])


@settings(max_examples=80, deadline=None)
@given(
    middle=st.tuples(st.floats(-10, 80), st.floats(-10, 60)),
    radii=st.lists(st.floats(0.5, 40), min_size=3, max_size=12),
)
def test_a_drawn_polygon_holds_the_pixels_whose_middle_it_does(
    middle: tuple[float, float], radii: list[float]
) -> None:
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    points = np.array(middle) + np.array(radii)[:, None] * np.stack(
        [np.cos(angles), np.sin(angles)], 1
    )
    drawn = draw([points, NO_HAND.reshape(0, 2), points[:2]], (50, 70))
    rows, columns = np.mgrid[1:51, 1:71]
    middles = np.stack([columns.ravel(), rows.ravel()], 1)
    inside = points_in_poly(middles, points).reshape(50, 70)
    edges = np.roll(points, -1, 0) - points
    along = ((middles[:, None] - points) * edges).sum(-1) / np.maximum((edges**2).sum(-1), 1e-9)
    nearest = points + along.clip(0, 1)[..., None] * edges
    distance = np.linalg.norm(middles[:, None] - nearest, axis=-1).min(1).reshape(50, 70)
    assert not ((drawn != inside) & (distance > 1)).any()
