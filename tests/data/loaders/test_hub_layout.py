from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from handseg.data import FEATURES, LabelledPhotos, list_photos, load_data


def picture(value: int, mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new(mode, size, value if mode == "L" else (value,) * 3).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def make(names: tuple[str, ...] = ("photo", "hand_mask"), **columns: list[Any]) -> datasets.Dataset:
    """Make three rows with a photo, grey 10, 20, 30, and a white mask."""
    pictures = {
        names[0]: [picture(value) for value in (10, 20, 30)],
        **{name: [picture(255, "L")] * 3 for name in names[1:]},
    }
    features = {name: datasets.Image() for name in names}
    for name, values in columns.items():
        kind = "int64" if isinstance(values[0], int) else "string"
        features[name] = datasets.Value(kind)
    return datasets.Dataset.from_dict({**pictures, **columns}, features=datasets.Features(features))


def saved(dataset: Any, folder: Path) -> Path:
    dataset.save_to_disk(str(folder / "saved"))
    return folder / "saved"


def test_a_saved_data_set_is_taken_as_it_is(tmp_path: Path) -> None:
    source = saved(make(), tmp_path)
    dataset = load_data(source, "hub")
    assert dataset.features == FEATURES
    rows = LabelledPhotos(dataset)
    assert [row.id for row in rows] == ["000000", "000001", "000002"]
    assert [row.load()[0][0, 0, 0] for row in rows] == [10, 20, 30]
    assert rows[1].load()[1].all()
    assert rows[1].load_object_mask() is None
    assert rows[1].source == "saved"
    assert rows[0].digest() != rows[1].digest()


def test_a_folder_of_parquet_files_is_taken(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    make(("image", "label"), person=["a", "b", "a"]).to_parquet(
        str(tmp_path / "data" / "train-00000.parquet")
    )
    dataset = load_data(
        tmp_path / "data", "hub", group_column="person", cache_dir=tmp_path / "cache"
    )
    assert list(dataset["group"]) == ["a", "b", "a"]
    assert LabelledPhotos(dataset)[2].load()[0][0, 0, 0] == 30


def test_columns_may_be_named(tmp_path: Path) -> None:
    rows = make(("a", "b"), name=["x", "y", "z"], burst=[7, 7, 8])
    options: dict[str, Any] = {"image_column": "a", "mask_column": "b"}
    source = saved(rows, tmp_path)
    dataset = load_data(source, "hub", **options, id_column="name", group_column="burst")
    assert list(dataset["id"]) == ["x", "y", "z"]
    assert list(dataset["group"]) == ["7", "7", "8"]
    held = load_data(source, "hub", image_column="a", mask_column="b", id_column="name")
    assert list(held["group"]) == ["x", "y", "z"]


def test_the_official_split_may_be_named(tmp_path: Path) -> None:
    rows = make(("a", "b"), part=["train", None, "test"])
    columns = {"image_column": "a", "mask_column": "b"}
    source = saved(rows, tmp_path)
    dataset = load_data(source, "hub", **columns, split_column="part")
    assert list(dataset["split"]) == ["train", None, "test"]
    with pytest.raises(ValueError, match="split_column: got 'x', the columns are"):
        load_data(source, "hub", **columns, split_column="x")


def test_a_split_column_may_hold_classes_but_no_numbers(tmp_path: Path) -> None:
    rows = make(("a", "b"), part=[0, 1, 1])
    columns = {"image_column": "a", "mask_column": "b", "split_column": "part"}
    with pytest.raises(ValueError, match=r"split_column 'part' must hold text, .*, got 0"):
        load_data(saved(rows, tmp_path / "numbers"), "hub", **columns)
    classes = rows.cast_column("part", datasets.ClassLabel(names=["train", "test"]))
    dataset = load_data(saved(classes, tmp_path / "classes"), "hub", **columns)
    assert list(dataset["split"]) == ["train", "test", "test"]


def test_a_row_without_a_group_is_its_own(tmp_path: Path) -> None:
    rows = make(("a", "b"), name=["x", "y", "z"], burst=["7", None, None])
    options = {"image_column": "a", "mask_column": "b", "group_column": "burst"}
    dataset = load_data(saved(rows, tmp_path), "hub", **options, id_column="name")
    assert list(dataset["group"]) == ["7", "y", "z"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"image_column: got None, the columns are a \(.*Image.*\), b .*, burst \(int64\)"),
        ({"image_column": "c"}, "image_column: got 'c', the columns are"),
        ({"image_column": "a", "mask_column": "a"}, "mask_column: got 'a', the columns are"),
        ({"image_column": "a", "id_column": "c"}, "id_column: got 'c', the columns are"),
        ({"image_column": "a", "id_column": "burst"}, "same value in several rows"),
        ({"image_column": "a", "group_column": "c"}, "group_column: got 'c'"),
        ({"columns": "a"}, "layout hub takes the options .*image_column"),
    ],
)
def test_wrong_columns_are_named_with_those_there_are(
    tmp_path: Path, options: dict, message: str
) -> None:
    source = saved(make(("a", "b"), burst=[7, 7, 8]), tmp_path)
    with pytest.raises(ValueError, match=message):
        load_data(source, "hub", **options)


def test_the_split_must_be_clear(tmp_path: Path) -> None:
    both = datasets.DatasetDict({"train": make(), "test": make().select([0])})
    source = saved(both, tmp_path)
    assert len(load_data(source, "hub", split="test")) == 1
    with pytest.raises(ValueError, match="split must be one of train, test"):
        load_data(source, "hub")
    with pytest.raises(ValueError, match="got 'val'"):
        load_data(source, "hub", split="val")


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot open the data set"):
        load_data(tmp_path, "hub", cache_dir=tmp_path / "cache")


def test_a_split_of_a_set_without_splits_is_refused(tmp_path: Path) -> None:
    source = saved(make(), tmp_path)
    with pytest.raises(ValueError, match=r"/saved has no splits, got split 'test'"):
        load_data(source, "hub", split="test")


def test_columns_without_pictures_are_named(tmp_path: Path) -> None:
    source = saved(make(("a", "b"), burst=[7, 7, 8]), tmp_path)
    with pytest.raises(ValueError, match=r"'burst' \(int64\) holds no pictures for mask"):
        load_data(source, "hub", image_column="a", mask_column="burst")


@pytest.mark.parametrize("column", ["photo", "hand_mask"])
def test_rows_without_a_photo_or_mask_are_left_out(
    column: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = make().to_dict()
    rows[column][1] = None
    features = datasets.Features({"photo": datasets.Image(), "hand_mask": datasets.Image()})
    source = saved(datasets.Dataset.from_dict(rows, features=features), tmp_path)
    assert list(load_data(source, "hub")["id"]) == ["000000", "000002"]
    assert "1 of 3 photos are left out" in caplog.text
    rows[column] = [None] * 3
    source = saved(datasets.Dataset.from_dict(rows, features=features), tmp_path / "none")
    with pytest.raises(ValueError, match="no photo has a mask that can be used"):
        load_data(source, "hub")


def test_candidates_without_a_photo_or_mask_say_so(tmp_path: Path) -> None:
    rows = make().to_dict()
    rows["photo"][0] = rows["hand_mask"][1] = None
    features = datasets.Features({"photo": datasets.Image(), "hand_mask": datasets.Image()})
    source = saved(datasets.Dataset.from_dict(rows, features=features), tmp_path)
    candidates = list_photos(source, "hub")
    with pytest.raises(ValueError, match="000000 has no photo"):
        _ = candidates[0].photo
    assert len(candidates) == 3
    with pytest.raises(ValueError, match="000001 has no mask"):
        candidates[1].labels(np.zeros((40, 60, 3), np.uint8))


def test_candidates_give_photos_and_mended_masks(tmp_path: Path) -> None:
    rows = make().to_dict()
    rows["hand_mask"] = [picture(1, "L"), picture(255, "L", (120, 80)), picture(9, "L")]
    features = datasets.Features({"photo": datasets.Image(), "hand_mask": datasets.Image()})
    source = saved(datasets.Dataset.from_dict(rows, features=features), tmp_path)
    image = np.zeros((40, 60, 3), np.uint8)
    ones, large, grey = list_photos(source, "hub")
    assert isinstance(ones.photo, bytes)
    assert ones.labels(image).mask.all()
    assert "zeros and ones" in ones.labels(image).repairs[0]
    assert "resized" in large.labels(image).repairs[0]
    with pytest.raises(ValueError, match="its mask has values up to 9"):
        grey.labels(image)


def test_a_candidate_tells_that_its_pictures_have_changed(tmp_path: Path) -> None:
    def stamps(rows: datasets.Dataset, name: str) -> list[str]:
        source = saved(rows, tmp_path / name)
        (tmp_path / f"{name}.yaml").write_text(f"sets: [{{source: {source}, layout: hub}}]")
        mixed = list_photos(tmp_path / f"{name}.yaml", "mix")
        return [one.stamp() for one in (*list_photos(source, "hub"), *mixed)]

    before, masks = make(), [picture(255, "L"), picture(255, "L"), picture(0, "L")]
    same = stamps(before, "one")
    assert stamps(before, "two") == same
    after = before.remove_columns("hand_mask")
    after = after.add_column("hand_mask", masks, feature=datasets.Image())
    changed = stamps(after, "three")
    assert [one == other for one, other in zip(same, changed, strict=True)] == [
        True,
        True,
        False,
    ] * 2


def test_a_candidate_tells_that_its_files_have_changed(tmp_path: Path) -> None:
    for name, value in (("photo", 10), ("mask", 255)):
        Image.new("L", (6, 4), value).save(tmp_path / f"{name}.png")
    files = {"file_name": "photo.png", "mask_file_name": "mask.png"}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(files))
    (row,) = list_photos(tmp_path, "hub")
    before = row.stamp()
    Image.new("L", (6, 4), 1).save(tmp_path / "mask.png", compress_level=0)
    assert row.stamp() != before


def test_one_class_of_several_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    classes = np.zeros((40, 60), np.uint8)
    classes[5:20, 5:20], classes[25:35, 5:20] = 1, 2
    buffer = io.BytesIO()
    Image.fromarray(classes).save(buffer, "PNG")
    rows = make().to_dict()
    mask = {"bytes": buffer.getvalue(), "path": None}
    rows["hand_mask"] = [mask, {"bytes": b"damaged", "path": None}, mask]
    features = datasets.Features({"photo": datasets.Image(), "hand_mask": datasets.Image()})
    source = saved(datasets.Dataset.from_dict(rows, features=features), tmp_path)
    loaded = LabelledPhotos(load_data(source, "hub", mask_value=2, cache_dir=tmp_path / "cache"))
    assert [row.id for row in loaded] == ["000000", "000002"]
    for row in loaded:
        np.testing.assert_array_equal(row.load()[1], classes == 2)
    assert "left out: 000001: " in caplog.text
    one, damaged, _ = list_photos(source, "hub", mask_value="1")
    np.testing.assert_array_equal(one.labels(np.zeros((40, 60, 3), np.uint8)).mask, classes == 1)
    with pytest.raises(ValueError, match="000001 has no mask"):
        damaged.labels(np.zeros((40, 60, 3), np.uint8))
