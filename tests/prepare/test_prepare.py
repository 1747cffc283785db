from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aitaca import FAULTS, GROUNDS, build_aitaca
from color_profiles import display_p3
from PIL import Image

from handseg.data import LabelledPhotos, Splits, load_data
from handseg.evaluation.metrics import compare_masks
from handseg.io import files
from handseg.io.images import load_image
from handseg.landmarks import HandLandmarker
from handseg.prepare import run as module
from handseg.prepare.run import Prepared, prepare
from handseg.prepare.thresholds import Thresholds

GOOD = 6


@pytest.fixture(scope="module")
def aitaca(tmp_path_factory: pytest.TempPathFactory, photo_folder: Path) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("aitaca")
    return root, build_aitaca(root, photo_folder, GOOD)


@pytest.fixture(scope="module")
def prepared(
    aitaca: tuple[Path, dict], landmarker: HandLandmarker, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Prepared]:
    output = tmp_path_factory.mktemp("prepared") / "new"
    before = contents(aitaca[0])
    ratios = {"train": 0.6, "val": 0.2, "test": 0.2}
    done = prepare(aitaca[0], output, "aitaca", landmarker=landmarker, ratios=ratios, seed=3)
    assert contents(aitaca[0]) == before  # the source is only read
    return output, done


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(output: Path) -> dict[str, dict[str, str]]:
    with (output / "report.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def test_every_planted_fault_is_found_and_no_good_pair_is_lost(
    aitaca: tuple[Path, dict], prepared: tuple[Path, Prepared]
) -> None:
    kinds, table = aitaca[1], rows(prepared[0])
    assert table.keys() == kinds.keys()
    for name, kind in kinds.items():
        status, reason = FAULTS.get(kind, ("kept", ""))
        found = [text.partition(":")[0] for text in table[name]["reasons"].split(" | ")]
        assert (table[name]["status"], kind) == (status, kind)
        assert reason in found
    assert {kinds[name] for name in kinds if table[name]["status"] == "kept"} == {
        f"good, {ground}" for ground in GROUNDS
    }
    assert prepared[1].count("kept") == GOOD
    assert prepared[1].reasons("rejected")["no mask"] == 4


def test_the_output_is_a_folder_to_train_on(
    prepared: tuple[Path, Prepared], photo_masks: dict[str, np.ndarray], tmp_path: Path
) -> None:
    output, done = prepared
    dataset = load_data(output, cache_dir=tmp_path)
    usable = sorted(row.name for row in done.outcomes if row.status != "rejected")
    assert list(dataset["id"]) == usable
    photos = {photo.id: photo for photo in LabelledPhotos(dataset)}
    for name, stem in zip("1234", sorted(photo_masks), strict=True):
        assert compare_masks(photos[name].load()[1], photo_masks[stem]).iou > 0.95
    for photo in photos.values():
        image, mask = photo.load()
        assert 0.02 < mask.mean() < 0.3
        assert image[mask].mean(0)[0] > image[mask].mean(0)[2]  # skin colour
    values = np.unique(np.asarray(Image.open(output / "masks" / "1.png")))
    assert values.tolist() == [0, 255]


def test_untouched_photos_are_copied_and_turned_ones_written_upright(
    aitaca: tuple[Path, dict], prepared: tuple[Path, Prepared]
) -> None:
    root, kinds = aitaca
    for name, kind in kinds.items():
        source = root / "public_hand_dataset" / name / "original" / "hand.jpeg"
        copy = prepared[0] / "images" / f"{name}.jpg"
        if kind.startswith("good"):
            assert copy.read_bytes() == source.read_bytes()
        elif "EXIF" in kind:
            with Image.open(copy) as image, Image.open(source) as original:
                assert image.size == original.size[::-1]
                assert image.getexif().get(0x0112) is None


def test_report_and_pictures_are_there_for_a_person(prepared: tuple[Path, Prepared]) -> None:
    output, done = prepared
    with Image.open(output / "report.jpg") as sheet:
        assert sheet.width > 1000
        assert sheet.height > 1000
    flagged = {row.name for row in done.outcomes if row.status != "kept"}
    pictures = {path.stem for path in (output / "report").iterdir()}
    unreadable = {
        row.name for row in done.outcomes if row.reasons[:1] and "no photo" in row.reasons[0]
    }
    assert pictures == flagged - unreadable
    table = rows(output)
    assert float(table["1"]["landmarks_on_mask"]) > 0.8
    assert table["1"]["width"] == "640"
    # Messages name files by their paths in the source.
    assert not any("/tmp" in row["reasons"] for row in table.values())


def test_the_split_is_of_what_is_kept_and_by_group(
    prepared: tuple[Path, Prepared], tmp_path: Path
) -> None:
    output, done = prepared
    splits = Splits.load(output / "splits.json")
    assert splits == done.splits
    dataset = load_data(output, cache_dir=tmp_path)
    sizes = {part: len(splits.select(dataset, part)) for part in splits.parts}
    assert sum(sizes.values()) == len(dataset) == GOOD + 6
    assert sizes["train"] == 7
    assert {sizes["val"], sizes["test"]} == {2, 3}


# Resuming, or refusing to


@pytest.fixture
def pairs(photo_folder: Path, tmp_path: Path) -> Path:
    """A folder of six pairs: four of the photos and two more of people named in groups.csv."""
    source = tmp_path / "pairs"
    shutil.copytree(photo_folder, source)
    for stem in ("a", "b"):
        shutil.copy(source / "masks" / "3_pic00043.png", source / "masks" / f"{stem}.png")
        pixels = np.asarray(Image.open(source / "images" / "3_pic00043.jpg"))
        Image.fromarray(255 - pixels if stem == "a" else pixels // 2).save(
            source / "images" / f"{stem}.png"
        )
    return source


class Interrupted(Exception):
    pass


def stopping_after(count: int) -> Any:
    def progress(todo: Sequence[Any]) -> Iterator[Any]:
        for index, item in enumerate(todo):
            if index == count:
                raise Interrupted
            yield item

    return progress


def test_an_interrupted_run_goes_on_and_gives_the_same(pairs: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    prepare(pairs, whole)
    for count in (2, 1):
        with pytest.raises(Interrupted):
            prepare(pairs, parts, progress=stopping_after(count))
    assert not (parts / "groups.csv").exists()
    looked_at: list[str] = []

    def note(todo: Iterable[Any]) -> Iterator[Any]:
        for item in todo:
            looked_at.append(item.id)
            yield item

    done = prepare(pairs, parts, progress=note)
    assert len(looked_at) == 3
    assert done.skipped == 3

    def bytes_in(folder: Path) -> dict[str, bytes]:
        files = contents(folder).items()
        return {name: data for name, (data, _) in files if not name.endswith(".jsonl")}

    assert bytes_in(parts) == bytes_in(whole)
    assert prepare(pairs, parts).skipped == 6


def test_a_row_cut_by_a_kill_is_done_again(pairs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    prepare(pairs, output)
    report = output / "report.csv"
    whole = report.read_bytes()
    (journal,) = (output / "run").glob("*.jsonl")
    journal.write_bytes(journal.read_bytes()[:-30])
    done = prepare(pairs, output)
    assert done.skipped == 5
    assert report.read_bytes() == whole


def test_other_settings_or_files_in_the_output_are_refused(pairs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    prepare(pairs, output)
    before = contents(output)
    with pytest.raises(ValueError, match=r"other settings.*: speck 0\.005, now 0\.1"):
        prepare(pairs, output, thresholds=Thresholds(speck=0.1))
    with pytest.raises(ValueError, match="options"):
        prepare(pairs, output, group_pattern="(.)")
    (pairs / "masks" / "a.png").touch()
    with pytest.raises(ValueError, match=r"a in .*pairs has changed since"):
        prepare(pairs, output)
    assert contents(output) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").write_text("x")
    with pytest.raises(ValueError, match="holds other files"):
        prepare(pairs, tmp_path / "other")
    for inside in (pairs, pairs / "images" / "new"):
        with pytest.raises(ValueError, match="is in the source"):
            prepare(pairs, inside)
    assert not (pairs / "images" / "new").exists()


def test_a_source_that_lost_a_pair_is_refused(pairs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    prepare(pairs, output)
    before = contents(output)
    for folder in ("images", "masks"):
        (pairs / folder / "a.png").rename(pairs / folder / "z.png")
    with pytest.raises(ValueError, match=r"a is no longer in .*pairs, .* changed since .*out was"):
        prepare(pairs, output)
    assert contents(output) == before


def test_a_run_that_was_interrupted_before_its_first_pair_blocks_no_other(
    pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        prepare(pairs, tmp_path / "out", progress=stopping_after(0))
    assert prepare(pairs, tmp_path / "out", thresholds=Thresholds(speck=0.1)).skipped == 0


def test_a_full_disk_stops_the_run_and_it_goes_on_later(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    encode = files._encode_png

    def full(pixels: np.ndarray) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(28, "No space left on device")
        return encode(pixels)

    monkeypatch.setattr(files, "_encode_png", full)
    with pytest.raises(OSError, match="No space left"):
        prepare(pairs, tmp_path / "out")
    assert len(rows(tmp_path / "out")) == 2
    assert prepare(pairs, tmp_path / "out").skipped == 2


# Kinds of input


def test_a_surprise_costs_its_pair_alone(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = module.check_labels

    def surprise(image: np.ndarray, *rest: Any) -> Any:
        if image.mean() > 150:
            raise RuntimeError("what is\nthis")
        return check(image, *rest)

    monkeypatch.setattr(module, "check_labels", surprise)
    done = prepare(pairs, tmp_path / "out")
    failed = [row for row in done.outcomes if row.status == "rejected"]
    assert failed
    assert all(row.reasons == ("error: RuntimeError: what is this",) for row in failed)
    assert len(done.outcomes) == 6


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
