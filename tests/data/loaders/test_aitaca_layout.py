from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from aitaca import build_aitaca
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from handseg.data import FEATURES, LabelledPhotos, list_photos, load_data
from handseg.data.align_mask import fit, fits, match_turn
from handseg.evaluation.metrics import compare_masks
from handseg.io.images import load_image


@pytest.fixture(scope="module")
def aitaca(tmp_path_factory: pytest.TempPathFactory, photo_folder: Path) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("aitaca")
    return root, build_aitaca(root, photo_folder, 6)


def test_all_pairs_with_a_cutout_are_rows(
    aitaca: tuple[Path, dict], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, kinds = aitaca
    with caplog.at_level(logging.WARNING):
        dataset = load_data(root, "aitaca", cache_dir=tmp_path)
    unusable = {
        "no cut-out", "no photo", "damaged photo", "damaged cut-out", "background not removed",
        "cut-out of another ratio",
    }  # fmt: skip
    assert dataset.features == FEATURES
    assert list(dataset["id"]) == [name for name, kind in kinds.items() if kind not in unusable]
    assert list(dataset["group"]) == list(dataset["id"])
    assert set(dataset["source"]) == {"public_hand_dataset"}
    for name, kind in kinds.items():
        assert (f"left out: {name}: " in caplog.text) == (kind in unusable)
    for photo in LabelledPhotos(dataset):
        image, mask = photo.load()
        assert image.shape[:2] == mask.shape
        assert photo.load_object_mask() is None


def test_masks_are_those_of_the_photos(
    aitaca: tuple[Path, dict], photo_masks: dict[str, np.ndarray], tmp_path: Path
) -> None:
    root, kinds = aitaca
    photos = LabelledPhotos(load_data(root, "aitaca", cache_dir=tmp_path))[: len(photo_masks)]
    for photo, stem in zip(photos, sorted(photo_masks), strict=True):
        truth = photo_masks[stem]
        iou = compare_masks(photo.load()[1], truth).iou
        assert iou > (0.99 if kinds[photo.id] == "good, alpha" else 0.95)


def test_turned_and_small_cutouts_lie_on_their_photos(aitaca: tuple[Path, dict]) -> None:
    root, kinds = aitaca
    wanted = {
        "cut-out half as large": "resized",
        "cut-out without the photo's EXIF orientation": "turned by 270",
        "both with EXIF orientation": "",
        "photo with EXIF orientation": "",
    }
    found = {}
    for candidate in list_photos(root, "aitaca"):
        if (kind := kinds[candidate.id]) in wanted:
            image = load_image(candidate.photo)
            labels = candidate.labels(image)
            assert bool(labels.repairs) == bool(wanted[kind])
            assert wanted[kind] in " ".join(labels.repairs)
            assert labels.measured["difference"] < 5
            skin = image[labels.mask].mean(0)
            assert skin[0] > skin[2] + 20  # on the hand, not beside it
            found[kind] = labels.mask.shape
    assert found.keys() == wanted.keys()


def test_the_parent_or_the_folder_itself_is_taken(
    aitaca: tuple[Path, dict], tmp_path: Path
) -> None:
    root, kinds = aitaca
    names = [photo.id for photo in list_photos(root, "aitaca")]
    assert names == list(kinds)  # in the order of numbers: 9 before 10
    inner = list_photos(root / "public_hand_dataset", "aitaca")
    assert [photo.id for photo in inner] == names


def test_other_names_and_suffixes_do_if_there_is_one_image(
    photo_folder: Path, tmp_path: Path
) -> None:
    build_aitaca(tmp_path, photo_folder, 2, faults=False)
    one, two = (tmp_path / "public_hand_dataset" / name / "no_bg" for name in "12")
    (one / "hand.jpeg").rename(one / "cut_out.PNG")
    (one / ".hidden.png").write_bytes(b"")
    (one / "Thumbs.db").write_bytes(b"")
    shutil.copy(two / "hand.jpeg", two / "b.jpeg")
    (two / "hand.jpeg").rename(two / "a.jpeg")
    first, second = list_photos(tmp_path, "aitaca")
    assert first.labels(load_image(first.photo)).mask.any()
    with pytest.raises(ValueError, match=r"expected one image in .*2.no_bg, found 2"):
        second.labels(load_image(second.photo))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match="holds no photo in the layout aitaca"):
        load_data(tmp_path, "aitaca")
    with pytest.raises(ValueError, match="holds no photo in the layout aitaca"):
        load_data(tmp_path / "missing", "aitaca")


def test_groups_may_be_given(photo_folder: Path, tmp_path: Path) -> None:
    build_aitaca(tmp_path, photo_folder, 2, faults=False)
    (tmp_path / "people.csv").write_text("id,group\n1,anna\n2,ben\n")
    dataset = load_data(
        tmp_path, "aitaca", groups=tmp_path / "people.csv", cache_dir=tmp_path / "cache"
    )
    assert list(dataset["group"]) == ["anna", "ben"]


def test_a_changed_cutout_is_read_again(photo_folder: Path, tmp_path: Path) -> None:
    build_aitaca(tmp_path, photo_folder, 1, faults=False)
    cache = tmp_path / "cache"
    before = LabelledPhotos(load_data(tmp_path, "aitaca", cache_dir=cache))[0]
    path = tmp_path / "public_hand_dataset/1/no_bg/hand.jpeg"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[:200, :, 3] = 0
    Image.fromarray(pixels).save(path, "PNG")
    after = LabelledPhotos(load_data(tmp_path, "aitaca", cache_dir=cache))[0]
    assert before.load()[1][:200].any()
    assert not after.load()[1][:200].any()
    assert before.digest() != after.digest()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), st.integers(0, 2**31), st.integers(60, 200), st.integers(60, 200))
def test_a_turn_is_recognised(turns: int, seed: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    photo = np.asarray(Image.fromarray(coarse).resize((width, height)))
    mask = np.zeros((height, width), bool)
    mask[height // 4 :, width // 5 : width // 2] = True
    found, difference = match_turn(np.rot90(photo, -turns), np.rot90(mask, -turns), photo)
    assert found == turns
    assert difference < 1


def test_a_cutout_of_another_ratio_is_refused(photos: dict[str, np.ndarray]) -> None:
    photo = photos["3_pic00043"]
    with pytest.raises(ValueError, match="it is 300 x 480 px, its photo 640 x 480"):
        match_turn(photo[:, :300], np.ones((480, 300), bool), photo)


@given(st.integers(50, 3000), st.integers(50, 3000), st.floats(0.1, 4))
def test_copies_of_a_photo_have_one_ratio(height: int, width: int, scale: float) -> None:
    shape = max(26, round(height * scale)), max(26, round(width * scale))
    if min(height, width) * scale >= 50:
        assert fits(shape, (height, width))
    assert not fits((height, width), (height, round(width * 1.05) + 1))


def test_a_mask_is_brought_to_another_size() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:30, 15:45] = True
    large = fit(mask, (80, 120))
    assert large.shape == (80, 120)
    assert compare_masks(fit(large, (40, 60)), mask).iou == 1
    assert abs(large.mean() - mask.mean()) < 0.02
    with pytest.raises(ValueError, match="60 x 40 px, the photo 40 x 60"):
        fit(mask, (60, 40))
