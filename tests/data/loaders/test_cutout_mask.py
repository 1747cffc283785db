from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from handseg.data.loaders.cutout_mask import open_gaps, plain_ground, read_cutout
from handseg.errors import ImageError
from handseg.evaluation.metrics import compare_masks


def on_plain(
    image: np.ndarray, mask: np.ndarray, value: int, folder: Path, quality: int = 80
) -> np.ndarray:
    """Return a decoded JPEG of the hand on a plain background, with the soft edge of editors."""
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6)[..., None]
    path = folder / f"{value}_{quality}.jpeg"
    cut = np.round(image * alpha + value * (1 - alpha)).astype(np.uint8)
    Image.fromarray(cut).save(path, quality=quality)
    color, transparency = read_cutout(path)
    assert transparency is None
    return color


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("stem", ["2_pic00174", "2_pic00212", "35_pic00033", "3_pic00043"])
def test_a_plain_ground_is_told_from_the_hand_in_spite_of_jpeg_noise(
    stem: str,
    value: int,
    quality: int,
    photos: dict[str, np.ndarray],
    photo_masks: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    color = on_plain(photos[stem], photo_masks[stem], value, tmp_path, quality)
    ground, _ = plain_ground(color)
    metrics = compare_masks(~ground, photo_masks[stem])
    assert metrics.iou > 0.94
    assert metrics.mean_distance_px < 1
    count, _ = cv2.connectedComponents((~ground).astype(np.uint8))
    assert count == 2  # the background and one hand: no specks of noise


def test_the_ground_need_not_surround_the_hand() -> None:
    color = np.full((100, 100, 3), 255, np.uint8)
    color[30:, 20:60] = (190, 140, 120)  # reaches the frame like a forearm
    ground, enclosed = plain_ground(color)
    assert not ground[35:, 25:55].any()
    assert ground[:25].all()
    assert not enclosed.any()


def test_a_photo_without_a_plain_ground_is_refused(photos: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="neither transparency nor a plain"):
        plain_ground(photos["35_pic00033"][:400, 220:])


@pytest.mark.parametrize(("value", "skin"), [(255, 250), (0, 4)])
def test_only_what_was_cut_away_becomes_a_gap(value: int, skin: int, tmp_path: Path) -> None:
    """A highlight or a dark nail stays; the inside of a ring of fingers does not."""
    photo = np.full((200, 200, 3), (170, 120, 100), np.uint8)
    photo[40:52, 40:50] = skin  # a nail or a highlight
    photo[110:150, 110:150] = (60, 90, 160)  # seen through the fingers
    mask = np.zeros((200, 200), bool)
    mask[20:180, 20:180] = True
    mask[110:150, 110:150] = False
    color = on_plain(photo, mask, value, tmp_path)
    ground, enclosed = plain_ground(color)
    assert enclosed[45, 45]
    assert enclosed[130, 130]
    result = open_gaps(~ground, enclosed, color, photo)
    assert result[40:52, 40:50].all()
    assert not result[112:148, 112:148].any()
    assert compare_masks(result, mask).iou > 0.97


def test_a_narrow_gap_between_fingers_stays_open(tmp_path: Path) -> None:
    photo = np.full((120, 120, 3), (180, 130, 110), np.uint8)
    mask = np.zeros((120, 120), bool)
    mask[20:100, 20:100] = True
    mask[20:80, 58:62] = False
    for value in (0, 255):
        ground, _ = plain_ground(on_plain(photo, mask, value, tmp_path, 90))
        assert ground[20:78, 59:61].all()


def test_alpha_counts_whatever_the_file_is_called(tmp_path: Path) -> None:
    pixels = np.full((20, 30, 4), 200, np.uint8)
    pixels[..., 3] = 0
    pixels[5:10, 5:25, 3] = 255
    path = tmp_path / "hand.jpeg"
    Image.fromarray(pixels).save(path, "PNG")
    color, alpha = read_cutout(path)
    assert color.shape == (20, 30, 3)
    assert alpha is not None
    np.testing.assert_array_equal(alpha, pixels[..., 3])


def test_alpha_lies_as_the_exif_orientation_says(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 4), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "hand.png", exif=exif)
    color, alpha = read_cutout(tmp_path / "hand.png")
    assert alpha is not None
    assert color.shape[:2] == alpha.shape == (30, 20)
    assert alpha[0, 19] == 255


def test_a_palette_may_be_transparent(tmp_path: Path) -> None:
    image = Image.new("P", (4, 2), 0)
    image.putpalette([0, 0, 0, 200, 150, 120])
    image.putpixel((1, 1), 1)
    image.save(tmp_path / "hand.png", transparency=0)
    _, alpha = read_cutout(tmp_path / "hand.png")
    assert alpha is not None
    assert np.argwhere(alpha > 127).tolist() == [[1, 1]]


def test_an_alpha_that_hides_nothing_is_none(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 255)).save(tmp_path / "hand.png")
    assert read_cutout(tmp_path / "hand.png")[1] is None


def test_a_damaged_cutout_is_named(tmp_path: Path) -> None:
    path = tmp_path / "hand.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    with pytest.raises(ImageError, match=r"hand\.png"):
        read_cutout(path)
