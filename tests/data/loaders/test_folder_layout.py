from __future__ import annotations

import itertools
import logging
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from handseg.data import FEATURES, LabelledPhotos, list_photos, load_data
from handseg.data.arrow import to_dataset
from handseg.data.groups import write_groups
from handseg.data.image_mask import LabelledPhoto, find_pairs
from handseg.data.loaders.folder import FolderPhoto


@pytest.fixture
def folder(photo_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(photo_folder, tmp_path / "hands")
    return tmp_path / "hands"


def load(folder: Path, **options: object) -> LabelledPhotos:
    return LabelledPhotos(load_data(folder, cache_dir=folder.parent / "cache", **options))


def test_numbers_of_hands_are_read_and_part_of_the_digest(
    folder: Path, photo_masks: dict[str, np.ndarray]
) -> None:
    stem, mask = next(iter(photo_masks.items()))
    before = {row.id: row.digest() for row in load(folder)}
    (folder / "instances").mkdir()
    Image.fromarray(mask.astype(np.uint8) * 2).save(folder / "instances" / f"{stem}.png")
    rows = {row.id: row for row in load(folder)}
    np.testing.assert_array_equal(rows[stem].load_instances(), mask.astype(np.uint8) * 2)
    assert [name for name, row in rows.items() if row.digest() != before[name]] == [stem]
    assert all(row.load_instances() is None for name, row in rows.items() if name != stem)


def test_numbers_of_another_size_are_fitted_without_new_numbers(
    folder: Path, photo_masks: dict[str, np.ndarray]
) -> None:
    stem, mask = next(iter(photo_masks.items()))
    numbers = np.where(np.arange(mask.shape[1]) < mask.shape[1] // 2, 3, 7) * mask
    (folder / "instances").mkdir()
    Image.fromarray(numbers.astype(np.uint8)[::2, ::2]).save(folder / "instances" / f"{stem}.png")
    (candidate,) = [one for one in list_photos(folder) if one.id == stem]
    labels = candidate.labels(np.zeros((*mask.shape, 3), np.uint8))
    assert labels.instances.shape == mask.shape
    assert set(np.unique(labels.instances)) == {0, 3, 7}
    Image.new("L", (400, 100)).save(folder / "instances" / f"{stem}.png")
    with pytest.raises(ValueError, match=r"instances.*is \(100, 400\), but its photo"):
        candidate.labels(np.zeros((*mask.shape, 3), np.uint8))


def test_rows_name_the_files_and_are_read_when_asked(
    folder: Path, photos: dict[str, np.ndarray], photo_masks: dict[str, np.ndarray]
) -> None:
    dataset = load_data(folder, cache_dir=folder.parent / "cache")
    assert dataset.features == FEATURES
    assert {path.parent for path in folder.rglob("*")} <= {folder, *folder.iterdir()}
    rows = LabelledPhotos(dataset)
    assert [row.id for row in rows] == sorted(photos)
    assert {row.source for row in rows} == {"hands"}
    for row in rows:
        image, mask = row.load()
        np.testing.assert_array_equal(image, photos[row.id])
        np.testing.assert_array_equal(mask, photo_masks[row.id])
        assert row.group == row.id
        assert row.load_object_mask() is None
    as_protocol: LabelledPhoto = rows[0]
    assert as_protocol.id == "2_pic00174"


def test_photos_can_be_taken_by_index_and_slice_and_pickled(folder: Path) -> None:
    rows = load(folder)
    assert rows[-1].id == "3_pic00043"
    assert [row.id for row in rows[1:3]] == ["2_pic00212", "35_pic00033"]
    with pytest.raises(IndexError, match="there are 4 photos, got index 4"):
        rows[4]
    copy = pickle.loads(pickle.dumps(rows[2]))
    assert copy.load()[0].shape == (480, 640, 3)


def test_object_masks_are_read(folder: Path) -> None:
    (folder / "object_masks").mkdir()
    held = np.zeros((480, 640), np.uint8)
    held[:10] = 255
    Image.fromarray(held).save(folder / "object_masks" / "2_pic00212.png")
    rows = {row.id: row for row in load(folder)}
    np.testing.assert_array_equal(rows["2_pic00212"].load_object_mask(), held > 0)
    assert rows["2_pic00174"].load_object_mask() is None


def test_the_official_split_is_read(folder: Path) -> None:
    names = sorted(path.stem for path in (folder / "images").iterdir())
    lines = [f"{name},g,{'val' if name == '3_pic00043' else ''}" for name in names]
    (folder / "groups.csv").write_text("\n".join(["id,group,split", *lines]) + "\n")
    rows = {row.id: row for row in load(folder)}
    assert {name: row.split for name, row in rows.items()} == {
        name: "val" if name == "3_pic00043" else None for name in names
    }


def test_photos_without_a_mask_are_left_out_and_named_every_time(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "masks" / "2_pic00174.png").unlink()
    (folder / "images" / "3_pic00043.jpg").unlink()
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            rows = load(folder)
        assert [row.id for row in rows] == ["2_pic00212", "35_pic00033"]
        assert "2 of 4 photos are left out" in caplog.text


def test_nothing_that_can_be_used_is_an_error(folder: Path) -> None:
    for path in (folder / "masks").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="no photo has a mask that can be used"):
        load(folder)


def test_groups_come_from_a_file_or_a_pattern(folder: Path) -> None:
    assert [row.group for row in load(folder, group_pattern=r"^(\d+)_")] == ["2", "2", "35", "3"]
    write_groups({row.id: f"g{row.id[0]}" for row in load(folder)}, folder / "groups.csv")
    assert [row.group for row in load(folder)] == ["g2", "g2", "g3", "g3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "voc"}, "layout must be one of folder, .*, mix, got 'voc'"),
        ({"image_column": "x"}, "layout folder takes the options .*, got image_column"),
        ({"group_pattern": "("}, "no regular expression"),
        ({"group_pattern": "id"}, "must have one group in brackets, got 0"),
        ({"group_pattern": "(hand)"}, "does not match '2_pic00174'"),
        ({"group_pattern": "(x)", "groups": "y.csv"}, "exclude each other"),
        ({"groups": "missing.csv"}, "cannot read missing.csv"),
    ],
)
def test_wrong_options_are_named(folder: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(folder, **options)


def test_a_groups_file_must_have_every_id_and_its_columns(folder: Path) -> None:
    (folder / "groups.csv").write_text("id,group\n2_pic00174,a\n")
    with pytest.raises(ValueError, match="has no group for '2_pic00212'"):
        load(folder)
    (folder / "groups.csv").write_text("id,group\na,x\na,x\na,y\n")
    with pytest.raises(ValueError, match=r"groups\.csv has two groups for 'a': 'x' and 'y'"):
        load(folder)
    (folder / "groups.csv").write_text("name,person\n")
    with pytest.raises(ValueError, match="must have the columns id and group"):
        load(folder)


def test_spaces_around_a_group_do_not_make_another(folder: Path) -> None:
    ids = [row.id for row in load(folder)]
    spaces = itertools.cycle(("", " ", "  "))
    lines = [f"{name},{next(spaces)}anna{next(spaces)},train{next(spaces)}" for name in ids]
    (folder / "groups.csv").write_text("\n".join(["id,group,split", *lines]) + "\n")
    rows = load(folder)
    assert {(row.group, row.split) for row in rows} == {("anna", "train")}


def test_a_mask_that_does_not_fit_is_an_error_of_its_photo(folder: Path) -> None:
    rows = load(folder)
    Image.new("L", (10, 10), 255).save(folder / "masks" / "2_pic00174.png")
    with pytest.raises(ValueError, match=r"2_pic00174 is \(10, 10\), its photo \(480, 640\)"):
        rows[0].load()
    Image.new("L", (640, 480), 9).save(folder / "masks" / "2_pic00212.png")
    with pytest.raises(ValueError, match="2_pic00212 has values up to 9"):
        rows[1].load()
    (folder / "images" / "35_pic00033.jpg").write_bytes(b"\xff\xd8 damaged")
    with pytest.raises(ValueError, match=r"35_pic00033\.jpg"):
        rows[2].load()


def test_what_can_be_mended_without_doubt_is(folder: Path) -> None:
    Image.new("L", (640, 480), 1).save(folder / "masks" / "2_pic00174.png")
    Image.new("L", (320, 240), 255).save(folder / "masks" / "2_pic00212.png")
    Image.new("L", (320, 320), 255).save(folder / "masks" / "35_pic00033.png")
    image = np.zeros((480, 640, 3), np.uint8)
    ones, half, square, good = (photo for photo in list_photos(folder))
    assert ones.labels(image).mask.all()
    assert ones.labels(image).repairs == ("mask of zeros and ones scaled to 0 and 255",)
    assert half.labels(image).repairs == ("mask of 320 x 240 px resized to 640 x 480",)
    with pytest.raises(ValueError, match=r"35_pic00033\.png: the mask is 320 x 320"):
        square.labels(image)
    assert good.labels(image).repairs == ()


def test_one_class_of_several_is_named(
    folder: Path, photo_masks: dict[str, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    for stem, mask in photo_masks.items():
        classes = mask * np.uint8(1)
        classes[:9] = 2
        Image.fromarray(classes).save(folder / "masks" / f"{stem}.png")
    for value in (1, "1"):
        for row in load(folder, mask_value=value):
            np.testing.assert_array_equal(row.load()[1][9:], photo_masks[row.id][9:])
            assert not row.load()[1][:9].any()
        for candidate in list_photos(folder, mask_value=value):
            labels = candidate.labels(np.zeros((480, 640, 3), np.uint8))
            np.testing.assert_array_equal(labels.mask[9:], photo_masks[candidate.id][9:])
    with pytest.raises(ValueError, match="mask_value must be a number from 0 or a colour R,G,B"):
        load(folder, mask_value="red")
    with pytest.raises(ValueError, match=r"has the values 0, 1, 2"):
        load(folder)[0].load()
    Image.new("RGB", (640, 480), "red").save(folder / "masks" / "2_pic00174.png")
    assert len(load(folder, mask_value=1)) == 3
    assert "give R,G,B" in caplog.text


def test_masks_in_colour_and_cut_outs_are_read_alike_everywhere(
    folder: Path, photos: dict[str, np.ndarray], photo_masks: dict[str, np.ndarray]
) -> None:
    green = np.zeros((480, 640, 3), np.uint8)
    green[photo_masks["2_pic00174"]] = (0, 255, 0)
    Image.fromarray(green).save(folder / "masks" / "2_pic00174.png")
    cutout = np.dstack([photos["2_pic00212"], photo_masks["2_pic00212"] * np.uint8(255)])
    Image.fromarray(cutout).save(folder / "masks" / "2_pic00212.png")
    Image.fromarray(photo_masks["35_pic00033"] * np.uint16(1)).save(
        folder / "masks" / "35_pic00033.png"
    )
    for row, pair, candidate in zip(
        load(folder), find_pairs(folder), list_photos(folder), strict=True
    ):
        truth = photo_masks[row.id]
        np.testing.assert_array_equal(row.load()[1], truth)
        np.testing.assert_array_equal(pair.load()[1], truth)
        np.testing.assert_array_equal(candidate.labels(photos[row.id]).mask, truth)


def test_the_cache_follows_the_files(folder: Path) -> None:
    assert len(load(folder)) == 4
    cached = {path for path in (folder.parent / "cache").rglob("*.arrow")}
    assert len(load(folder)) == 4
    assert {path for path in (folder.parent / "cache").rglob("*.arrow")} == cached
    os.utime(folder / "masks" / "2_pic00174.png", (1, 1))
    load(folder)
    assert len({path for path in (folder.parent / "cache").rglob("*.arrow")}) == len(cached) + 1


def test_a_name_that_is_not_utf_8_is_told(folder: Path) -> None:
    for path in (folder / "images" / "2_pic00174.jpg", folder / "masks" / "2_pic00174.png"):
        path.rename(os.fsdecode(bytes(path.parent) + b"/h\xffnd" + path.suffix.encode()))
    with pytest.raises(ValueError, match=r"/images/h\\udcffnd.jpg' is not UTF-8: rename it, or"):
        load(folder)


def test_rows_do_not_depend_on_the_folder_one_works_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    rows = load(Path("hands"))
    monkeypatch.chdir("/")
    assert rows[0].load()[0].shape == (480, 640, 3)


def test_a_large_set_is_not_kept_in_memory(photo_folder: Path, tmp_path: Path) -> None:
    image = next((photo_folder / "images").iterdir())
    mask = photo_folder / "masks" / f"{image.stem}.png"
    candidates = [
        FolderPhoto(f"{index:05d}", "", "set", photo_folder, image, mask) for index in range(20_000)
    ]
    dataset = to_dataset(candidates, "", tmp_path)
    rows = LabelledPhotos(dataset)
    before = pa.total_allocated_bytes()
    assert sum(row.index for row in rows) == 20_000 * 19_999 // 2
    for row in rows[::1000]:
        row.load()
    assert dataset.cache_files  # mapped, not copied
    assert pa.total_allocated_bytes() - before < 2_000_000


def test_no_progress_bar_where_nobody_watches(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load(folder)
    assert capfd.readouterr().err == ""


def test_other_columns_are_refused(folder: Path) -> None:
    dataset = load_data(folder, cache_dir=folder.parent / "cache")
    with pytest.raises(ValueError, match="must have the columns image, mask"):
        LabelledPhotos(dataset.remove_columns("group"))
