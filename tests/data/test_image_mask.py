from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from red_hands import LEFT, RIGHT, draw_photo, save_photo

from handseg.data.image_mask import ImageMaskPair, find_pairs, load_mask


def test_pairs_are_photos_and_masks_of_one_stem(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_photo(folder / "images/alone.png")
    save_photo(folder / "masks/other.png")
    (folder / "images/notes.txt").touch()
    (folder / "images/.hidden.png").touch()
    pairs = find_pairs(folder)
    assert [pair.id for pair in pairs] == ["set/double", "set/exact", "set/half", "set/missed"]
    assert pairs[0] == ImageMaskPair(
        "set/double", folder / "images/double.png", folder / "masks/double.png"
    )
    assert "alone.png" in caplog.text
    image, mask = pairs[0].load()
    expected_image, _ = draw_photo(LEFT, RIGHT)
    _, expected_mask = draw_photo(LEFT)
    np.testing.assert_array_equal(image, expected_image)
    np.testing.assert_array_equal(mask, expected_mask)


def test_pairs_of_the_folder_one_is_in_have_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert find_pairs(".")[0].id == "set/double"


def test_folder_without_pairs_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images"):
        find_pairs(tmp_path)
    save_photo(folder / "masks/exact.jpg")
    with pytest.raises(ValueError, match=r"exact\.jpg and exact\.png"):
        find_pairs(folder)
    save_photo(tmp_path / "b/images/one.png")
    save_photo(tmp_path / "b/masks/two.png")
    with pytest.raises(ValueError, match="no photo"):
        find_pairs(tmp_path / "b")


@pytest.mark.parametrize("size", [(10, 6), (6, 10)])
def test_mask_of_another_size_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("L", (6, 9)).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"m\.png is \(9, 6\)"):
        load_mask(tmp_path / "m.png", size)


def test_masks_of_zeros_and_ones_and_empty_ones_are_read(tmp_path: Path) -> None:
    values = np.zeros((4, 5), np.uint8)
    Image.fromarray(values).save(tmp_path / "empty.png")
    assert not load_mask(tmp_path / "empty.png", (4, 5)).any()
    values[1, 2] = 1
    Image.fromarray(values).save(tmp_path / "ones.png")
    np.testing.assert_array_equal(load_mask(tmp_path / "ones.png", (4, 5)), values > 0)
    values[0] = 2
    Image.fromarray(values).save(tmp_path / "twos.png")
    with pytest.raises(ValueError, match=r"twos\.png has values up to 2"):
        load_mask(tmp_path / "twos.png", (4, 5))
    np.testing.assert_array_equal(load_mask(tmp_path / "twos.png", (4, 5), 2), values == 2)
