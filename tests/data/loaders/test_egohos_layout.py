from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handseg.data import LabelledPhotos, Splits, list_photos, load_data

UUID = "0a02a1ed-a327-4753-b270-e95298984b96"
NAMES = {
    "train": [f"ego4d_{UUID}_11700", f"ego4d_{UUID}_12000", "epic_P01_01_frame_0000000123"],
    "val": [f"ego4d_{UUID.replace('0', '1')}_600"],
    "test_indomain": ["escape_room7_0042"],
    "test_outdomain": ["youtube_cooking"],
}


def classes(palette: bool = False) -> Image.Image:
    """Make columns 0, 1, 2, ... 8 of 40 px each, the last one 160 px wide."""
    picture = Image.fromarray(
        np.minimum(np.arange(480) // 40, 8).astype(np.uint8)[None].repeat(360, 0)
    )
    if palette:
        picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, *range(18)])
    return picture


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "egohos"
    for part, names in NAMES.items():
        for folder in ("image", "label", "contact"):
            (root / part / folder).mkdir(parents=True)
        for index, name in enumerate(names):
            Image.new("RGB", (480, 360), (9, 9, 9)).save(root / part / "image" / f"{name}.jpg")
            classes(palette=index == 1).save(root / part / "label" / f"{name}.png")
            Image.new("L", (480, 360), 1).save(root / part / "contact" / f"{name}.png")
    return root


def load(root: Path, **options: object) -> LabelledPhotos:
    return LabelledPhotos(load_data(root, "egohos", cache_dir=root.parent / "cache", **options))


def columns(mask: np.ndarray | None) -> set[int]:
    assert mask is not None
    assert (mask == mask[:1]).all()
    return {int(index) for index in np.flatnonzero(mask[0]) // 40}


def test_classes_become_masks_of_hands_and_of_what_they_hold(root: Path) -> None:
    rows = load(root)
    ids = [f"{part}/{name}" for part, names in NAMES.items() for name in sorted(names)]
    assert [row.id for row in rows] == ids
    assert [row.split for row in rows] == ["train"] * 3 + ["val", "test", "test"]
    assert {row.source for row in rows} == {"egohos"}
    for row in rows:
        assert columns(row.load()[1]) == {1, 2}
        assert columns(row.load_object_mask()) == {3, 4, 5}
    held = load(root, second_order=True)[0].load_object_mask()
    assert columns(held) == set(range(3, 12))


def test_a_group_is_a_video(root: Path) -> None:
    rows = load(root)
    assert [row.group for row in rows] == [
        f"ego4d_{UUID}", f"ego4d_{UUID}", "epic_P01_01", f"ego4d_{UUID.replace('0', '1')}",
        "escape_room7", "youtube_cooking",
    ]  # fmt: skip


def test_a_video_in_two_parts_makes_the_official_split_need_a_word(root: Path) -> None:
    cache = root.parent / "cache"
    splits = Splits.official(load_data(root, "egohos", cache_dir=cache))
    assert {part: len(ids) for part, ids in splits.parts.items()} == {
        "train": 3, "val": 1, "test": 2,
    }  # fmt: skip
    for folder, suffix in (("image", "jpg"), ("label", "png")):
        place = root / "val" / folder
        (place / f"ego4d_{UUID.replace('0', '1')}_600.{suffix}").rename(
            place / f"ego4d_{UUID}_600.{suffix}"
        )
    with pytest.raises(ValueError, match=r'tears groups apart: .*group_pattern "\(\.\+\)"'):
        Splits.official(load_data(root, "egohos", cache_dir=cache))
    alone = load_data(root, "egohos", cache_dir=cache, group_pattern="(.+)")
    assert Splits.official(alone).parts == {
        "train": tuple(sorted(alone["id"][:3])),
        "val": (f"val/ego4d_{UUID}_600",),
        "test": ("test_indomain/escape_room7_0042", "test_outdomain/youtube_cooking"),
    }


def test_one_of_the_test_parts_may_be_taken(root: Path) -> None:
    assert [row.id for row in load(root, test="outdomain")[4:]] == [
        "test_outdomain/youtube_cooking"
    ]
    assert [row.id for row in load(root, test="indomain")[4:]] == [
        "test_indomain/escape_room7_0042"
    ]
    with pytest.raises(ValueError, match="test must be one of both, indomain, outdomain, got 'x'"):
        load(root, test="x")


def test_faulty_labels_are_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second, third = (root / "train" / "label" / f"{name}.png" for name in NAMES["train"])
    Image.new("RGB", (480, 360), (1, 1, 1)).save(first)
    Image.new("L", (480, 360), 61).save(second)
    Image.new("L", (480, 360), 3).save(third)
    (root / "val" / "label" / f"{NAMES['val'][0]}.png").unlink()
    (root / "test_indomain" / "image" / f"{NAMES['test_indomain'][0]}.jpg").unlink()
    with caplog.at_level(logging.WARNING):
        assert [row.id for row in load(root)] == ["test_outdomain/youtube_cooking"]
    for words in (
        "expected one channel of class numbers, got RGB",
        "has class 61, expected 0 to 8",
        "shows no hand",
        f"val/{NAMES['val'][0]}: cannot read",
        "test_indomain/escape_room7_0042: cannot read",
        "5 of 6 photos are left out",
    ):
        assert words in caplog.text


def test_labels_of_another_size_are_fitted_or_refused(root: Path) -> None:
    classes().resize((960, 720), Image.Resampling.NEAREST).save(
        root / "train" / "label" / f"{NAMES['train'][0]}.png"
    )
    image = np.zeros((360, 480, 3), np.uint8)
    labels = list_photos(root, "egohos")[0].labels(image)
    assert columns(labels.mask) == {1, 2}
    assert labels.repairs == ("mask of 960 x 720 px resized to 480 x 360",)
    with pytest.raises(ValueError, match="the photo 480 x 480"):
        list_photos(root, "egohos")[0].labels(np.zeros((480, 480, 3), np.uint8))


def test_what_is_no_egohos_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="no photo in the layout egohos"):
        load(root / "train")
    for path in (root / "val" / "label").iterdir():
        path.unlink()
    (root / "val" / "label").rmdir()
    with pytest.raises(ValueError, match=r"expected the folder .*label"):
        load(root)
