from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import ExifTags, Image
from pycocotools import mask as rle

from handseg.data import Candidate, LabelledPhotos, list_photos, load_data
from handseg.data.loaders.coco import _draw
from handseg.data.loaders.photo_file import upright_shape
from handseg.io.images import load_image

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
    """Write photos 1 and 2 of `SHAPE`, and an annotation file with categories 0, 1, ...."""
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


def test_several_hands_of_a_photo_are_told_apart(tmp_path: Path) -> None:
    other = [40, 10, 50, 10, 50, 20, 40, 20]
    annotations = [
        {"image_id": 1, "category_id": 0, "segmentation": [SQUARE]},
        {"image_id": 1, "category_id": 0, "segmentation": [other]},
        {"image_id": 2, "category_id": 0, "segmentation": [SQUARE]},
    ]
    source = write(tmp_path, annotations)
    one, two = LabelledPhotos(load_data(source, "coco", cache_dir=tmp_path / "cache"))
    expected = np.zeros(SHAPE, np.uint8)
    expected[10:30, 10:30], expected[10:20, 40:50] = 1, 2
    np.testing.assert_array_equal(one.load_instances(), expected)
    np.testing.assert_array_equal(one.load()[1], expected > 0)
    assert two.load_instances() is None
    large = list_photos(source, "coco")[0].labels(np.zeros((80, 120, 3), np.uint8)).instances
    np.testing.assert_array_equal(large[::2, ::2], expected)


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


def change(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def masks(path: Path, **options: Any) -> dict[str, np.ndarray]:
    cache = path.parent / "cache"
    rows = LabelledPhotos(load_data(path, "coco", cache_dir=cache, **options))
    return {row.id: row.load()[1] for row in rows}


SQUARE_MASK = np.zeros(SHAPE, bool)
SQUARE_MASK[10:30, 10:30] = True


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("images/{}.jpg", "images/{}"),
        ("images\\{}.jpg", "images/{}"),
        ("C:\\me\\images\\{}.jpg", "C:/me/images/{}"),
        ("{}.jpg", "{}"),
        (
            "../../label-studio/data/media/upload/1/{}.jpg",
            "../../label-studio/data/media/upload/1/{}",
        ),
        ("images/5f0e12ab-{}.jpg", "images/5f0e12ab-{}"),
        ("../../label-studio/data/5f0e12ab-{}.jpg", "../../label-studio/data/5f0e12ab-{}"),
        ("/data/upload/7/5f0e12ab-{}.jpg", "/data/upload/7/5f0e12ab-{}"),
    ],
)
@pytest.mark.parametrize("place", ["images", "beside", "elsewhere"])
def test_photos_are_found_as_tools_name_them(
    tmp_path: Path, form: str, name: str, place: str
) -> None:
    path = write(tmp_path / "set", [entry(1, [SQUARE]), entry(2, [SQUARE])])
    options: dict[str, Any] = {}
    if place == "beside":
        for file in (path.parent / "images").iterdir():
            file.rename(path.parent / file.name)
        (path.parent / "images").rmdir()
    if place == "elsewhere":
        options["images"] = (path.parent / "images").rename(tmp_path / "photos")

    def rename(content: dict[str, Any]) -> None:
        for image in content["images"]:
            image["file_name"] = form.format(image["file_name"][:-4])

    change(path, rename)
    found = masks(path, **options)
    assert list(found) == [name.format("one"), name.format("two")]
    for mask in found.values():
        np.testing.assert_array_equal(mask, SQUARE_MASK)


def test_a_photo_is_not_taken_for_two(tmp_path: Path) -> None:
    path = write(tmp_path, [entry(1, [SQUARE]), entry(2, [SQUARE])])

    def rename(content: dict[str, Any]) -> None:
        for folder, image in zip("ab", content["images"], strict=True):
            image["file_name"] = f"{folder}/one.jpg"

    change(path, rename)
    with pytest.raises(ValueError, match="no photo has a mask"):
        masks(path)
    (tmp_path / "images" / "a").mkdir()
    (tmp_path / "images" / "one.jpg").rename(tmp_path / "images" / "a" / "one.jpg")
    assert list(masks(path)) == ["a/one"]


def test_an_annotation_without_an_area_costs_itself_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nothing: list[Any] = [[], None, [[]], [[1, 2, 30, 40]], [[1, 2, 3, 4, 5]], ["a"]]
    path = write(tmp_path, [entry(1, one) for one in [*nothing, [SQUARE, [5, 5]]]])
    np.testing.assert_array_equal(masks(path)["one"], SQUARE_MASK)
    assert "labels.json: 2 annotations have no segmentation and are left out" in caplog.text
    assert "one: 4 annotations without an area left out" in caplog.text
    labels = list_photos(path, "coco")[0].labels(np.zeros((*SHAPE, 3), np.uint8))
    assert labels.repairs == ("4 annotations without an area left out",)


def test_a_polygon_need_not_be_in_a_list(tmp_path: Path) -> None:
    path = write(tmp_path, [entry(1, SQUARE)])
    np.testing.assert_array_equal(masks(path)["one"], SQUARE_MASK)


def test_ids_may_be_text_or_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, [{**entry(1, [SQUARE]), "image_id": "1", "category_id": "0"}])
    assert list(masks(path)) == ["one"]

    def as_text(content: dict[str, Any]) -> None:
        content["categories"][0]["id"] = "0"
        content["images"][0]["id"] = 1.0
        content["annotations"][0]["category_id"] = 0

    change(path, as_text)
    assert list(masks(path)) == ["one"]


@pytest.mark.parametrize("value", [None, 0, -3, "", "wide", float("nan"), 10**12])
def test_a_size_that_is_not_told_is_the_photos(tmp_path: Path, value: Any) -> None:
    path = write(tmp_path, [entry(1, [SQUARE])])
    change(path, lambda content: content["images"][0].update(width=value))
    np.testing.assert_array_equal(masks(path)["one"], SQUARE_MASK)
    labels = list_photos(path, "coco")[0].labels(np.zeros((*SHAPE, 3), np.uint8))
    np.testing.assert_array_equal(labels.mask, SQUARE_MASK)
    assert labels.repairs == ()


def test_a_hidden_file_is_no_annotation_file(tmp_path: Path) -> None:
    write(tmp_path / "a", [entry(1, [SQUARE])])
    (tmp_path / "a" / "._labels.json").write_bytes(b"what macOS adds on some disks")
    assert len(list_photos(tmp_path / "a", "coco")) == 2


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = write(tmp_path, [entry(1, [SQUARE])])
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert list(masks(path)) == ["one"]


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_images_without_a_name_are_refused(tmp_path: Path, value: Any) -> None:
    path = write(tmp_path, [entry(1, [SQUARE])])
    change(path, lambda content: content["images"][1].update(file_name=value))
    with pytest.raises(ValueError, match=r"labels\.json lists an image without a name"):
        list_photos(path, "coco")


@pytest.mark.parametrize("field", ["id", "file_name"])
def test_images_that_cannot_be_told_apart_are_refused(tmp_path: Path, field: str) -> None:
    path = write(tmp_path, [entry(1, [SQUARE])])
    first = json.loads(path.read_text())["images"][0]
    change(path, lambda content: content["images"][1].update({field: first[field]}))
    with pytest.raises(ValueError, match=r"labels\.json lists two (images with the id 1|photos)"):
        list_photos(path, "coco")


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["images", "annotations", "categories"]),
    st.sampled_from(
        ["id", "file_name", "height", "width", "image_id", "category_id", "segmentation", "name"]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=8,
    ),
)
def test_whatever_a_field_holds_no_other_error_comes(list_of: str, field: str, value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), [entry(1, [SQUARE]), entry(2, [SQUARE])])
        change(path, lambda content: content[list_of][0].update({field: value}))
        photos: Sequence[Candidate] = ()
        with contextlib.suppress(ValueError):
            photos = list_photos(path, "coco")
        for photo in photos:
            for read in (lambda one: one.labels(np.zeros((*SHAPE, 3), np.uint8)), type(photo).row):
                with contextlib.suppress(ValueError):
                    read(photo)


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


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_shape_of_a_turned_photo_is_that_of_its_pixels(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"photo{suffix}"
    Image.new("RGB", (40, 24)).save(path, exif=exif)
    assert upright_shape(path) == load_image(path).shape[:2]
