from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as rle

from handseg.data import LabelledPhotos, list_photos, load_data
from handseg.data.loaders.coco import _draw

SHAPE = (40, 60)
SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]
"""A polygon over the pixels 10 to 29 in x and y."""


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    flat = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(np.r_[0, flat, 1 - flat[-1]]))
    return {"size": list(mask.shape), "counts": np.diff(np.r_[0, edges]).tolist()}


def compressed(mask: np.ndarray) -> dict[str, Any]:
    encoded = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_run_lengths_of_both_kinds_give_the_mask(mask: np.ndarray) -> None:
    for encoded in (run_lengths(mask), compressed(mask)):
        np.testing.assert_array_equal(_draw([encoded], mask.shape), mask)


def write(
    folder: Path, annotations: list[dict[str, Any]], names: tuple[str, ...] = ("hand",)
) -> Path:
    """Photos 1 and 2 of `SHAPE`, and a file of annotations of categories 0, 1, ...."""
    (folder / "images").mkdir(parents=True)
    for stem in ("one", "two"):
        Image.new("RGB", SHAPE[::-1], (200, 150, 120)).save(folder / "images" / f"{stem}.jpg")
    content = {
        "images": [
            {"id": index, "file_name": f"{stem}.jpg", "height": SHAPE[0], "width": SHAPE[1]}
            for index, stem in enumerate(("one", "two"), 1)
        ],
        "annotations": annotations,
        "categories": [{"id": index, "name": name} for index, name in enumerate(names)],
    }
    path = folder / "labels.json"
    path.write_text(json.dumps(content))
    return path


def entry(image: int, segmentation: Any, category: int = 0) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "segmentation": segmentation}


def test_hands_of_a_photo_are_one_mask_and_objects_another(tmp_path: Path) -> None:
    other = np.zeros(SHAPE, bool)
    other[5:8, 40:50] = True
    annotations = [
        entry(1, [SQUARE]),
        entry(1, run_lengths(other), 1),
        entry(1, compressed(other), 2),
        entry(1, [SQUARE], 3),
        entry(2, compressed(other), 1),
    ]
    names = ("hand", "left_Hand", "held object", "handbag")
    path = write(tmp_path, annotations, names)
    one, two = LabelledPhotos(load_data(path, "coco", cache_dir=tmp_path / "cache"))
    image, mask = one.load()
    expected = other.copy()
    expected[10:30, 10:30] = True
    assert image.shape[:2] == SHAPE
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(one.load_object_mask(), other)
    np.testing.assert_array_equal(two.load()[1], other)
    assert two.load_object_mask() is None
    assert (one.id, one.source) == ("one", "labels")


def test_categories_and_folders_may_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [entry(1, [SQUARE], 0)], ("palm", "cup"))
    (tmp_path / "a" / "images").rename(tmp_path / "photos")
    options: dict[str, Any] = {"categories": ["palm"], "images": tmp_path / "photos"}
    for source in (path, path.parent):
        dataset = load_data(source, "coco", cache_dir=tmp_path / "cache", **options)
        assert list(dataset["id"]) == ["one"]  # the other has no hand
    with pytest.raises(ValueError, match=r"no category .* got palm, cup"):
        load_data(path, "coco")
    with pytest.raises(ValueError, match="object_categories: no such category: mug"):
        load_data(path, "coco", **options, object_categories=["mug"])


def test_faulty_annotations_cost_their_photo_alone(tmp_path: Path) -> None:
    wrong = {"size": list(SHAPE), "counts": [5, 5]}
    path = write(tmp_path, [entry(1, wrong), entry(2, [SQUARE])])
    assert list(load_data(path, "coco", cache_dir=tmp_path / "cache")["id"]) == ["two"]
    one, _ = list_photos(path, "coco")
    with pytest.raises(ValueError, match=r"segmentation of one in .*do not add up"):
        one.labels(np.zeros((*SHAPE, 3), np.uint8))


@pytest.mark.parametrize(
    "segmentation",
    [[[1, 2]], {"size": [3, 3], "counts": "111"}, {"counts": [1]}, ["a"], 5],
)
def test_segmentations_that_are_none_are_errors(tmp_path: Path, segmentation: Any) -> None:
    one = list_photos(write(tmp_path, [entry(1, segmentation)]), "coco")[0]
    with pytest.raises(ValueError, match="segmentation of one"):
        one.labels(np.zeros((*SHAPE, 3), np.uint8))


def test_a_photo_of_another_size_gets_its_mask_resized(tmp_path: Path) -> None:
    one = list_photos(write(tmp_path, [entry(1, [SQUARE])]), "coco")[0]
    labels = one.labels(np.zeros((80, 120, 3), np.uint8))
    assert labels.repairs == ("mask of 60 x 40 px resized to 120 x 80",)
    assert labels.mask[22:58, 22:58].all()
    with pytest.raises(ValueError, match="the mask is 60 x 40 px"):
        one.labels(np.zeros((60, 40, 3), np.uint8))


def test_missing_photos_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, [entry(1, [SQUARE]), entry(2, [SQUARE])])
    (tmp_path / "images" / "two.jpg").unlink()
    assert list(load_data(path, "coco", cache_dir=tmp_path / "cache")["id"]) == ["one"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot read"),
        ("[]", "expected a list under 'images'"),
        ('{"images": [{"id": 1}]}', "'images' must have file_name, height, id, width"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        load_data(tmp_path, "coco")
    (tmp_path / "y.json").write_text(content)
    with pytest.raises(ValueError, match=r"expected one COCO file .* found 2"):
        load_data(tmp_path, "coco")
