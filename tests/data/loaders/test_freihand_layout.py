from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handseg.data import LabelledPhotos, Splits, list_photos, load_data

SAMPLES, VERSIONS = 3, 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """FreiHAND with three samples in four versions: 224 px JPEG, masks as RGB JPEG with noise."""
    root = tmp_path / "FreiHAND_pub_v2"
    rng = np.random.default_rng(0)
    for part, photos in (("training", SAMPLES * VERSIONS), ("evaluation", 2)):
        (root / part / "rgb").mkdir(parents=True)
        for number in range(photos):
            picture = np.full((224, 224, 3), 20 * (number + 1), np.uint8)
            Image.fromarray(picture).save(root / part / "rgb" / f"{number:08d}.jpg")
    (root / "training" / "mask").mkdir()
    for sample in range(SAMPLES):
        noisy = np.where(hand(sample), 250, 4) + rng.integers(-4, 5, (224, 224))
        picture = np.repeat(noisy.astype(np.uint8)[..., None], 3, axis=2)
        Image.fromarray(picture).save(root / "training" / "mask" / f"{sample:08d}.jpg", quality=75)
    for name, value in {"K": np.eye(3), "xyz": np.zeros((21, 3)), "mano": [[0] * 61]}.items():
        values = [np.asarray(value).tolist()] * SAMPLES
        (root / f"training_{name}.json").write_text(json.dumps(values))
    (root / "training_scale.json").write_text(json.dumps([0.03] * SAMPLES))
    return root


def hand(sample: int) -> np.ndarray:
    mask = np.zeros((224, 224), bool)
    mask[40 + 30 * sample : 150 + 30 * sample, 60:140] = True
    return mask


def load(root: Path, **options: object) -> LabelledPhotos:
    return LabelledPhotos(load_data(root, "freihand", cache_dir=root.parent / "cache", **options))


def test_every_version_of_a_photo_has_the_mask_of_its_sample(root: Path) -> None:
    rows = load(root)
    assert [row.id for row in rows] == [f"training/{n:08d}" for n in range(SAMPLES * VERSIONS)]
    for number, row in enumerate(rows):
        image, mask = row.load()
        assert abs(int(image[0, 0, 0]) - 20 * (number + 1)) <= 1
        np.testing.assert_array_equal(mask, hand(number % SAMPLES))
        assert row.load_object_mask() is None
        assert (row.source, row.split) == ("freihand", "train")


def test_a_split_keeps_the_versions_of_a_sample_together(root: Path) -> None:
    dataset = load_data(root, "freihand", cache_dir=root.parent / "cache")
    splits = Splits.by_group(dataset, {"train": 2, "val": 1}, 0)
    assert {part: len(ids) for part, ids in splits.parts.items()} == {"train": 8, "val": 4}
    assert len({int(name[-8:]) % SAMPLES for name in splits.parts["val"]}) == 1
    official = Splits.official(dataset, {"train": 0.66, "val": 0.34}, 0)
    assert {part: len(ids) for part, ids in official.parts.items()} == {"train": 8, "val": 4}


def test_evaluation_is_there_where_it_has_masks(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(load(root)) == SAMPLES * VERSIONS
    assert "evaluation has no masks: left out" in caplog.text
    (root / "evaluation" / "mask").mkdir()
    for number in range(2):
        Image.fromarray(hand(0)).convert("L").save(
            root / "evaluation" / "mask" / f"{number:08d}.jpg"
        )
    rows = load(root)
    assert rows[-1].id == "evaluation/00000001"
    assert (rows[-1].split, rows[-1].group) == ("test", "evaluation/00000001")


def test_missing_files_are_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "training" / "rgb" / "00000004.jpg").unlink()
    (root / "training" / "mask" / "00000000.jpg").unlink()
    with caplog.at_level(logging.WARNING):
        rows = load(root)
    assert len(rows) == 7
    assert "training/00000004: no photo" in caplog.text
    assert "training/00000009: no mask" in caplog.text
    assert "5 of 12 photos are left out" in caplog.text


def test_numbers_that_do_not_go_together_are_refused(root: Path) -> None:
    (root / "training" / "mask" / "00000002.jpg").unlink()
    (root / "training" / "rgb" / "00000011.jpg").unlink()
    with pytest.raises(ValueError, match="up to 10 in rgb and up to 1 in mask"):
        load(root)
    with pytest.raises(ValueError, match="is not of FreiHAND: expected rgb"):
        load(root / "training")


def test_photos_can_be_grouped_otherwise_and_looked_at(root: Path) -> None:
    assert load(root, group_pattern="(.+)")[3].group == "training/00000003"
    candidates = list_photos(root, "freihand")
    assert len(candidates[2:5]) == 3
    labels = candidates[7].labels(np.zeros((224, 224, 3), np.uint8))
    assert labels.mask.shape == (224, 224)
