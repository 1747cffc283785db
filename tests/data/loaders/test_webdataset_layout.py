from __future__ import annotations

import io
import json
import logging
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handseg.data import LabelledPhotos, Splits, list_photos, load_data


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def photo(grey: int, shape: tuple[int, int] = (40, 60)) -> bytes:
    return png(np.full((*shape, 3), grey, np.uint8))


def hand(shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[10:30, 20:40] = 255
    return mask


def write_shard(path: Path, members: Mapping[str, bytes | dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two shards with two photos each; those in the first are of the same person."""
    root = tmp_path / "shards"
    for shard in range(2):
        members: dict[str, bytes | dict[str, Any]] = {}
        for number in range(2):
            key = f"{shard}{number}"
            members[f"{key}.png"] = photo(10 * (2 * shard + number + 1))
            members[f"{key}.mask.png"] = png(hand())
            members[f"{key}.json"] = {} if shard else {"group": "anna", "split": "train"}
            members[f"{key}.txt"] = b"a caption"
        write_shard(root / f"{shard:06d}.tar", members)
    return root


def load(source: Path, **options: Any) -> LabelledPhotos:
    cache = source.parent / "cache"
    return LabelledPhotos(load_data(source, "webdataset", cache_dir=cache, **options))


def test_photos_and_masks_are_read_where_they_lie(root: Path) -> None:
    rows = load(root)
    assert [row.id for row in rows] == ["00", "01", "10", "11"]
    for number, row in enumerate(rows):
        image, mask = row.load()
        assert image[0, 0, 0] == 10 * (number + 1)
        np.testing.assert_array_equal(mask, hand() > 0)
        assert row.load_object_mask() is row.load_instances() is None
    assert len({row.digest() for row in rows}) == 4
    kept = sum(path.stat().st_size for path in (root.parent / "cache").rglob("*.arrow"))
    assert kept < sum(path.stat().st_size for path in root.glob("*.tar"))


def test_records_tell_groups_and_parts(root: Path) -> None:
    rows = load(root)
    assert [row.group for row in rows] == ["anna", "anna", "10", "11"]
    assert [row.split for row in rows] == ["train", "train", None, None]
    dataset = load_data(root, "webdataset", cache_dir=root.parent / "cache")
    splits = Splits.by_group(dataset, {"train": 1, "val": 1}, 0)
    assert {"00", "01"} in [set(ids) for ids in splits.parts.values()]
    assert [row.group for row in load(root, group_pattern="(.)")] == ["0", "0", "1", "1"]


def test_a_null_group_is_none(tmp_path: Path) -> None:
    members: dict[str, bytes | dict[str, Any]] = {}
    for key in "ab":
        members[f"{key}.png"] = photo(ord(key))
        members[f"{key}.mask.png"] = png(hand())
        members[f"{key}.json"] = {"group": None}
    assert [row.group for row in load(write_shard(tmp_path / "one.tar", members))] == ["a", "b"]


@pytest.mark.parametrize("name", ["one.TAR", "one"])
def test_a_shard_may_have_any_name(name: str, root: Path) -> None:
    shard = (root / "000001.tar").rename(root.parent / name)
    rows = load(shard)
    assert [row.id for row in rows] == ["10", "11"]
    assert [row.load()[0][0, 0, 0] for row in rows] == [30, 40]
    candidates = list_photos(shard, "webdataset")
    assert candidates[0].labels(np.zeros((40, 60, 3), np.uint8)).mask.any()


def test_one_shard_and_what_else_is_labelled(tmp_path: Path) -> None:
    members = {
        "x/a.b.jpg": b"",  # WebDataset's key is x/a: the suffix starts after the first dot.
        "x/c.JPG": photo(7),
        "x/c.mask.png": png(hand()),
        "x/c.object_mask.png": png(255 - hand()),
        "x/c.instances.png": png(hand() // 255),
    }
    (row,) = load(write_shard(tmp_path / "one.tar", members))
    assert (row.id, row.source) == ("x/c", "one")
    held, numbers = row.load_object_mask(), row.load_instances()
    assert held is not None
    assert numbers is not None
    np.testing.assert_array_equal(held, hand() == 0)
    np.testing.assert_array_equal(numbers, hand() // 255)
    (candidate,) = list_photos(tmp_path / "one.tar", "webdataset")
    labels = candidate.labels(np.zeros((20, 30, 3), np.uint8))
    assert labels.mask.shape == (20, 30)
    assert labels.instances is not None
    assert labels.instances.max() == 1


def test_masks_of_several_classes_are_told_by_value(tmp_path: Path) -> None:
    classes = hand() // 255
    classes[:5] = 2
    shard = write_shard(tmp_path / "a.tar", {"a.png": photo(1), "a.mask.png": png(classes)})
    (row,) = load(shard, mask_value=1)
    np.testing.assert_array_equal(row.load()[1], classes == 1)


def test_members_without_a_partner_are_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_shard(root / "000002.tar", {"20.png": photo(1), "21.mask.png": png(hand())})
    with caplog.at_level(logging.WARNING):
        assert len(load(root)) == 4
    assert f"20: no mask 20.mask.png in {root / '000002.tar'}" in caplog.text
    assert f"21: no photo 21.jpg in {root / '000002.tar'}" in caplog.text
    assert "2 of 6 photos are left out" in caplog.text


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.tar", {"a.png": photo(1), "a.mask.png": png(hand((50, 50)))})
    (row,) = load(shard)
    with pytest.raises(ValueError, match=r"the mask of a is \(50, 50\), its photo \(40, 60\)"):
        row.load()
    (candidate,) = list_photos(shard, "webdataset")
    with pytest.raises(ValueError, match=r"a\.mask\.png in .*the mask is 50 x 50 px, the photo 60"):
        candidate.labels(np.zeros((40, 60, 3), np.uint8))


def test_a_truncated_shard_is_named(root: Path) -> None:
    shard = root / "000001.tar"
    whole = shard.read_bytes()
    with tarfile.open(shard) as tar:
        second = tar.getmembers()[1]
    inside, between = second.offset_data + 10, second.offset
    for length in (0, 100, inside, between):
        shard.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"000001\.tar is not a whole tar file"):
            load(root)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"a.txt": b""}, "holds no photo KEY.jpg and no mask KEY.mask.png"),
        ({"a.png": b"", "a.jpg": b""}, "holds two photos of a"),
        ({"a.png": b"", "a.json": b"{"}, "a.json in .* is not JSON"),
        ({"00.png": b""}, "000000.tar and .*000009.tar both hold 00"),
    ],
)
def test_what_is_no_such_shard_is_refused(root: Path, members: dict[str, bytes], said: str) -> None:
    shard = write_shard(root / "000009.tar", members)
    with pytest.raises(ValueError, match=said):
        load(root if "both" in said else shard)


def test_hidden_files_are_no_shards(root: Path) -> None:
    (root / "._000000.tar").write_bytes(b"what macOS adds on some disks")
    (root / ".5f1d.tar").write_bytes(b"a shard that is being written")
    assert len(list_photos(root, "webdataset")) == 4


def test_no_shards(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "missing.tar"):
        with pytest.raises(ValueError, match="is no shard"):
            load(source)
