"""Whole photos for training a baseline."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from red_hands import draw_photo, is_red, save_photo

from handseg.data import LabelledPhotos, load_data
from handseg.finetune.baselines.photos import PhotoViews, class_weights, vary
from handseg.finetune.baselines.settings import PhotoAugmentation
from handseg.models.semantic.config import NetworkConfig

BOTH = NetworkConfig("small_resnet", None, ("hand", "object"), image_size=64)
STRONG = PhotoAugmentation(
    flip=0.5, rotation=30, shift=0.1, zoom=0.2, shear=0.1, brightness=(0.8, 1.2)
)


@pytest.fixture
def photos(tmp_path: Path) -> LabelledPhotos:
    """Two photos of red ellipses; the second has an object mask in its upper left."""
    for stem, ellipse in (("a", (80, 60, 40, 30)), ("b", (50, 50, 20, 30))):
        mask = save_photo(tmp_path / "images" / f"{stem}.png", ellipse)
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{stem}.png")
    held = np.zeros((120, 160), bool)
    held[:60, :80] = True
    (tmp_path / "object_masks").mkdir()
    Image.fromarray(held).save(tmp_path / "object_masks" / "b.png")
    return LabelledPhotos(load_data(tmp_path, cache_dir=tmp_path / "arrow"))


def test_a_photo_is_stretched_to_the_networks_square(photos: LabelledPhotos) -> None:
    views = PhotoViews(photos, BOTH)
    assert len(views) == 2
    first, second = views[0], views[1]
    assert first["image"].shape == (64, 64, 3)
    assert first["image"].dtype == torch.uint8
    assert first["known"].tolist() == [True, False]
    assert second["known"].tolist() == [True, True]
    hand, held = second["target"]
    image, mask = photos[1].load()
    assert float(hand.mean()) == pytest.approx(mask.mean(), abs=0.01)
    assert held[:31, :31].min() == 1
    assert held[33:].max() == held[:, 33:].max() == 0
    seen = is_red(second["image"].numpy())
    assert (seen == (hand.numpy() > 0.5)).mean() > 0.98
    assert image.shape == (120, 160, 3)


def test_an_item_leaves_opencvs_threads_as_they_are(
    photos: LabelledPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "setNumThreads", lambda count: pytest.fail(f"set to {count}"))
    assert PhotoViews(photos, BOTH)[0]["image"].shape == (64, 64, 3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_varied_mask_stays_on_what_it_shows(seed: int) -> None:
    image, mask = draw_photo((80, 60, 40, 30), size=(128, 128))
    torch.manual_seed(seed)
    moved, masks = vary(image, mask[None].astype(np.float32), STRONG)
    assert moved.shape == image.shape
    assert masks.shape == (1, 128, 128)
    assert (is_red(moved) == (masks[0] > 0.5)).mean() > 0.97
    assert 0.5 * mask.sum() < (masks[0] > 0.5).sum() < 1.6 * mask.sum()


def test_a_view_depends_on_photo_view_and_seed_alone(photos: LabelledPhotos) -> None:
    one, other = (PhotoViews(photos, BOTH, STRONG, views=3, seed=seed) for seed in (5, 6))
    torch.manual_seed(1)
    first = one[4]
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1)), "drawing a view must not move torch's generator"
    assert torch.equal(first["image"], one[4]["image"])
    assert torch.equal(first["target"], one[4]["target"])
    assert not torch.equal(first["image"], one[5]["image"])
    assert not torch.equal(first["image"], other[4]["image"])


def test_classes_weigh_by_how_rare_they_are(photos: LabelledPhotos) -> None:
    masks = [row.load()[1] for row in photos]
    share = sum(mask.sum() for mask in masks) / sum(mask.size for mask in masks)
    hand, other = class_weights(photos)
    assert hand == pytest.approx(0.5 / share)
    assert other == pytest.approx(0.5 / (1 - share))
    # With these weights, both classes have the same total.
    assert hand * share == pytest.approx(other * (1 - share))


def test_photos_without_a_hand_do_not_make_hands_rarer(tmp_path: Path) -> None:
    save_photo(tmp_path / "images" / "a.png")
    save_photo(tmp_path / "images" / "b.png")
    quarter, none = np.zeros((120, 160), bool), np.zeros((120, 160), bool)
    quarter[:60, :80] = True
    (tmp_path / "masks").mkdir()
    Image.fromarray(quarter).save(tmp_path / "masks" / "a.png")
    Image.fromarray(none).save(tmp_path / "masks" / "b.png")
    photos = LabelledPhotos(load_data(tmp_path, cache_dir=tmp_path / "arrow"))
    hand, other = class_weights(photos)
    # A quarter of the one photo with a hand, seven eighths of both.
    assert hand / other == pytest.approx(0.875 / 0.25)


def test_weights_need_both_classes(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    save_photo(tmp_path / "images" / "a.png")
    Image.fromarray(np.zeros((120, 160), bool)).save(tmp_path / "masks" / "a.png")
    photos = LabelledPhotos(load_data(tmp_path, cache_dir=tmp_path / "arrow"))
    with pytest.raises(ValueError, match="balance needs pixels of hand and background, got 0 of"):
        class_weights(photos)


@pytest.mark.parametrize(
    "wrong", [{"flip": 2.0}, {"rotation": -1.0}, {"hue": 0.7}, {"contrast": (1.2, 0.8)}]
)
def test_a_wrong_augmentation_is_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PhotoAugmentation(**wrong)
