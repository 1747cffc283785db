from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from color_profiles import display_p3
from PIL import Image
from prepared_folders import rows

from handseg.data import LabelledPhotos, Splits, load_data
from handseg.io.images import load_image
from handseg.prepare.run import prepare


def test_pairs_of_a_folder_lack_photos_or_masks(pairs: Path, tmp_path: Path) -> None:
    (pairs / "images" / "a.png").unlink()
    (pairs / "masks" / "b.png").unlink()
    prepare(pairs, tmp_path / "out")
    table = rows(tmp_path / "out")
    assert table["a"]["reasons"] == "no photo: no photo a in images"
    assert table["b"]["reasons"] == "no mask: no mask b in masks"
    assert table["3_pic00043"]["status"] == "kept"


def test_odd_photos_are_brought_to_rgb(pairs: Path, tmp_path: Path) -> None:
    photo = Image.open(pairs / "images" / "a.png")
    photo.convert("RGBA").save(pairs / "images" / "a.png")
    (pairs / "images" / "3_pic00043.jpg").unlink()
    Image.open(pairs / "images" / "b.png").convert("CMYK").save(pairs / "images" / "3_pic00043.jpg")
    Image.open(pairs / "images" / "b.png").save(pairs / "images" / "b.tif")
    (pairs / "images" / "b.png").unlink()
    prepare(pairs, tmp_path / "out")
    table, images = rows(tmp_path / "out"), tmp_path / "out" / "images"
    assert table["a"]["reasons"] == "photo brought to RGB: it is PNG RGBA"
    assert table["3_pic00043"]["reasons"] == "photo brought to RGB: it is JPEG CMYK"
    assert table["b"]["reasons"] == "photo brought to RGB: it is TIFF RGB"
    for name in ("a.png", "3_pic00043.jpg", "b.png"):
        with Image.open(images / name) as image:
            assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(Image.open(images / "a.png")), np.asarray(photo))


def test_photos_that_other_programs_read_otherwise_are_written_anew(
    pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images, masks = pairs / "images", pairs / "masks"
    for file in [*images.iterdir(), *masks.iterdir()]:
        if file.stem != "a":
            file.unlink()
    photo = Image.open(images / "a.png").convert("RGB")
    photo.save(images / "p3.jpg", quality=95, icc_profile=display_p3(), dpi=(300, 300))
    photo.save(images / "cut.jpg", quality=95)
    (images / "cut.jpg").write_bytes((images / "cut.jpg").read_bytes()[:-40])
    photo.save(images / "two.webp", save_all=True, append_images=[photo.rotate(180)], lossless=True)
    for stem in ("p3", "cut", "two"):
        shutil.copy(masks / "a.png", masks / f"{stem}.png")
    prepare(pairs, tmp_path / "out")
    table = rows(tmp_path / "out")
    written = tmp_path / "out" / "images"
    for name, reason in (
        ("p3.jpg", "photo brought to sRGB: it has another colour profile"),
        ("cut.jpg", "photo completed: its file is cut short"),
        ("two.png", "photo brought out of a file of several: the first of 2"),
    ):
        assert table[name.partition(".")[0]]["reasons"] == reason
        with Image.open(written / name) as image:
            image.load()
            assert "icc_profile" not in image.info
            assert getattr(image, "n_frames", 1) == 1
            assert ("dpi" in image.info) == (name == "p3.jpg")
    assert [record.getMessage().partition(" ")[2] for record in caplog.records] == [
        "is cut short: 96% of its rows are there, the rest is grey or coarse",
        "has 2 frames or pages: only the first is used",
    ]
    source = load_image(images / "p3.jpg").astype(int)
    assert np.abs(load_image(written / "p3.jpg") - source).mean() < 1
    assert np.abs(np.asarray(photo) - source).mean() > 2


def test_content_gives_a_copied_photo_its_suffix(pairs: Path, tmp_path: Path) -> None:
    (pairs / "images" / "a.png").rename(pairs / "images" / "a.jpg")
    prepare(pairs, tmp_path / "out")
    copy = tmp_path / "out" / "images" / "a.png"
    assert copy.read_bytes() == (pairs / "images" / "a.jpg").read_bytes()


def test_the_first_of_equal_photos_that_can_be_used_is_kept(pairs: Path, tmp_path: Path) -> None:
    for stem in ("x", "y"):
        shutil.copy(pairs / "images" / "a.png", pairs / "images" / f"{stem}.png")
        shutil.copy(pairs / "masks" / "a.png", pairs / "masks" / f"{stem}.png")
    (pairs / "masks" / "a.png").unlink()
    prepare(pairs, tmp_path / "out")
    table = rows(tmp_path / "out")
    assert [table[name]["status"] for name in "axy"] == ["rejected", "kept", "rejected"]
    assert table["y"]["reasons"] == "same photo: as x, which is kept"


def test_groups_and_object_masks_come_along(pairs: Path, tmp_path: Path) -> None:
    (pairs / "object_masks").mkdir()
    shutil.copy(pairs / "masks" / "2_pic00174.png", pairs / "object_masks" / "a.png")
    ids = sorted(path.stem for path in (pairs / "images").iterdir())
    (pairs / "groups.csv").write_text(
        "id,group\n" + "".join(f"{name},g{name[0]}\n" for name in ids)
    )
    prepare(pairs, tmp_path / "out", ratios={"train": 0.7, "val": 0.3})
    photos = LabelledPhotos(load_data(tmp_path / "out", cache_dir=tmp_path / "cache"))
    assert {photo.id: photo.group for photo in photos} == {name: f"g{name[0]}" for name in ids}
    held = {photo.id: photo.load_object_mask() for photo in photos}
    assert held["b"] is None
    assert held["a"] is not None
    splits = Splits.load(tmp_path / "out" / "splits.json")
    parts = {part: {splits.groups[name] for name in ids} for part, ids in splits.parts.items()}
    assert not parts["train"] & parts["val"]


def test_numbers_of_hands_come_along(pairs: Path, tmp_path: Path) -> None:
    mask = np.asarray(Image.open(pairs / "masks" / "a.png").convert("L")) > 127
    numbers = np.where(np.arange(mask.shape[1]) < mask.shape[1] // 2, 1, 2) * mask
    (pairs / "instances").mkdir()
    Image.fromarray(numbers.astype(np.uint8)).save(pairs / "instances" / "a.png")
    prepare(pairs, tmp_path / "out")
    photos = LabelledPhotos(load_data(tmp_path / "out", cache_dir=tmp_path / "cache"))
    found = {photo.id: photo.load_instances() for photo in photos}
    np.testing.assert_array_equal(found["a"], numbers)
    assert found["b"] is None


def test_the_official_split_comes_along(pairs: Path, tmp_path: Path) -> None:
    ids = sorted(path.stem for path in (pairs / "images").iterdir())
    lines = [f"{name},{name},{'test' if name == 'a' else ''}" for name in ids]
    (pairs / "groups.csv").write_text("\n".join(["id,group,split", *lines]) + "\n")
    prepare(pairs, tmp_path / "out")
    dataset = load_data(tmp_path / "out", cache_dir=tmp_path / "cache")
    assert Splits.official(dataset).parts == {"test": ("a",)}


def test_too_few_groups_for_a_split_are_told_when_all_is_written(
    pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="1 groups cannot fill the 2 parts"):
        prepare(pairs, tmp_path / "out", group_pattern="()", ratios={"train": 0.7, "val": 0.3})
    assert len(rows(tmp_path / "out")) == 6


def test_ids_of_other_layouts_become_file_names(photo_folder: Path, tmp_path: Path) -> None:
    names = ["../up/a b.jpg", "sub/c.jpg"]
    for name in names:
        path = tmp_path / "coco" / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo_folder / "images" / "2_pic00174.jpg", path)
    with (tmp_path / "coco" / "photos" / names[1]).open("ab") as file:
        file.write(b"\0")  # another file, the same picture
    polygon = [300, 60, 430, 60, 430, 260, 300, 260]
    content = {
        "images": [
            {"id": index, "file_name": name, "height": 480, "width": 640}
            for index, name in enumerate(names)
        ],
        "annotations": [
            {"image_id": index, "category_id": 1, "segmentation": [polygon]} for index in (0, 1)
        ],
        "categories": [{"id": 1, "name": "hand"}],
    }
    (tmp_path / "coco" / "labels.json").write_text(json.dumps(content))
    output = tmp_path / "out"
    prepare(tmp_path / "coco" / "labels.json", output, "coco", images=tmp_path / "coco" / "photos")
    assert {path.name for path in (output / "images").iterdir()} == {"_up_a_b.jpg", "sub_c.jpg"}
    assert set(rows(output)) == {"../up/a b", "sub/c"}
    assert {path.name for path in tmp_path.iterdir()} == {"coco", "out"}


def test_ids_too_long_for_a_file_name_are_shortened(pairs: Path, tmp_path: Path) -> None:
    folders = ["/".join(letter * 90 for letter in f"äb{last}") for last in "cd"]
    for folder, name in zip(folders, ("a.png", "b.png"), strict=True):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        shutil.copy(pairs / "images" / name, tmp_path / "photos" / folder / name)
    content = {
        "images": [
            {"id": index, "file_name": f"{folder}/{name}", "height": 480, "width": 640}
            for index, (folder, name) in enumerate(zip(folders, ("a.png", "b.png"), strict=True))
        ],
        "annotations": [
            {
                "image_id": index,
                "category_id": 1,
                "segmentation": [[300, 60, 430, 60, 430, 260, 300, 260]],
            }
            for index in (0, 1)
        ],
        "categories": [{"id": 1, "name": "hand"}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(content))
    output = tmp_path / "out"
    done = prepare(tmp_path / "labels.json", output, "coco", images=tmp_path / "photos")
    assert done.count("rejected") == 0
    assert set(rows(output)) == {f"{folders[0]}/a", f"{folders[1]}/b"}
    names = set(load_data(output, cache_dir=tmp_path / "cache")["id"])
    assert names == {path.stem for path in (output / "images").iterdir()}
    assert len(names) == 2


def test_a_name_that_is_not_utf8_is_escaped(pairs: Path, tmp_path: Path) -> None:
    stem = os.fsdecode(b"a\xff")
    for folder in ("images", "masks"):
        (pairs / folder / "a.png").rename(pairs / folder / f"{stem}.png")
    (pairs / "images" / "b.png").rename(pairs / "images" / f"{stem}b.png")
    output = tmp_path / "out"
    done = prepare(pairs, output, ratios={"train": 0.5, "val": 0.5})
    assert done.count("kept") == 5
    table = rows(output)
    assert table[r"a\udcff"]["name"] == "a_"
    assert r"no mask a\udcffb" in table[r"a\udcffb"]["reasons"]
    dataset = load_data(output, cache_dir=tmp_path / "cache")
    groups = dict(zip(dataset["id"], dataset["group"], strict=True))
    assert groups["a_"] == r"a\udcff"
    splits = Splits.load(output / "splits.json")
    assert sum(len(splits.select(dataset, part)) for part in splits.parts) == 5


def test_ids_that_would_share_a_file_are_refused(pairs: Path, tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        shutil.copy(pairs / folder / "a.png", pairs / folder / "c d.png")
        shutil.copy(pairs / folder / "a.png", pairs / folder / "c_D.png")
    with pytest.raises(ValueError, match="'c d' and 'c_D' would have the same file name"):
        prepare(pairs, tmp_path / "out")
    assert not (tmp_path / "out").exists()
