"""One photo in a browser, with a server and the bundled model: results and downloads."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from browsing import (
    CUTOUT,
    OPEN,
    assert_nearly_same,
    box_of,
    button,
    changing,
    choose,
    download,
    mask_of,
    overlap,
    picture,
    pixels,
    rest,
    unfold,
    upload,
)
from measured_scenes import palm_with_coin
from PIL import Image

from handseg.evaluation.metrics import compare_masks
from handseg.segmenter import HandSegmenter

if TYPE_CHECKING:
    from conftest import Visit

pytestmark = pytest.mark.slow


def test_a_photo_and_its_files(
    visit: Visit,
    segmenter: HandSegmenter,
    paths: dict[str, Path],
    photos: dict[str, np.ndarray],
    photo_masks: dict[str, np.ndarray],
) -> None:
    page = visit()
    upload(page, paths[OPEN])
    expected = segmenter.segment(photos[OPEN])

    name, data = download(page, "Cut-out (PNG)")
    assert name == f"{OPEN}.png"
    cutout = Image.open(io.BytesIO(data))
    assert (cutout.mode, cutout.size) == ("RGBA", (640, 480))
    alpha = np.asarray(cutout)[..., 3]
    assert ((alpha > 0) & (alpha < 255)).any()
    assert overlap(alpha >= 128, photo_masks[OPEN]) > 0.9
    kept = cv2.erode((alpha == 255).astype(np.uint8), np.ones((9, 9))) > 0  # except the edge
    np.testing.assert_array_equal(np.asarray(cutout)[kept, :3], photos[OPEN][kept])

    name, data = download(page, "Mask (PNG)")
    assert name == f"{OPEN}_mask.png"
    mask = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(mask, np.where(alpha >= 128, 255, 0))
    assert_nearly_same(mask > 0, expected.mask)

    name, data = download(page, "Overlay (JPEG)")
    assert name == f"{OPEN}_overlay.jpg"
    overlay = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert np.abs(overlay - np.asarray(expected.overlay())).mean() < 3

    name, data = download(page, "Numbers (JSON)")
    assert name == f"{OPEN}.json"
    (row,) = json.loads(data)
    assert (row["file"], row["width"], row["height"]) == (f"{OPEN}.jpg", 640, 480)
    (hand,) = row["hands"]
    assert hand["handedness"] == "right"
    assert hand["area"] == np.count_nonzero(mask)
    np.testing.assert_allclose(hand["landmarks"], expected.hands[0].landmarks, atol=0.1)


def test_edge_and_background(visit: Visit, paths: dict[str, Path]) -> None:
    page = visit()
    upload(page, paths[OPEN])
    mask = mask_of(page)
    with changing(page, "Cut-out"):
        choose(page, "Hard")
    np.testing.assert_array_equal(pixels(page, CUTOUT)[..., 3], np.where(mask, 255, 0))
    np.testing.assert_array_equal(mask_of(page), mask)

    choose(page, "Colour")
    button(page, "Composite (PNG)").wait_for()
    composite = pixels(page, "Composite (PNG)")
    assert composite.shape == (480, 640, 3)
    assert (composite[~mask] == 255).all()


def test_before_and_after(visit: Visit, paths: dict[str, Path]) -> None:
    page = visit()
    upload(page, paths[OPEN])
    handle = page.locator(".compare input")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle, steps=4)
    page.mouse.up()
    line = page.locator(".compare .line").bounding_box()
    assert line is not None
    assert (line["x"] + line["width"] / 2 - box["x"]) / box["width"] == pytest.approx(
        0.25, abs=0.03
    )
    clip = page.locator(".compare .before").evaluate("image => getComputedStyle(image).clipPath")
    assert 70 < float(clip.split("%")[0].split()[-1]) < 80


def test_a_true_mask(
    visit: Visit, paths: dict[str, Path], photo_folder: Path, photo_masks: dict[str, np.ndarray]
) -> None:
    page = visit()
    upload(page, paths[OPEN])
    unfold(page, "Compare with a true mask")
    field = page.locator("[data-testid=stExpander] input[type=file]")
    field.set_input_files(photo_folder / "masks" / f"{OPEN}.png")
    page.get_by_test_id("stMetric").first.wait_for()
    scores = compare_masks(mask_of(page), photo_masks[OPEN])
    for label, value in [("IoU", scores.iou), ("Boundary F", scores.boundary_f)]:
        metric = page.get_by_test_id("stMetric").filter(has_text=label)
        assert metric.get_by_test_id("stMetricValue").inner_text() == f"{value:.3f}"

    field.set_input_files(photo_folder.parent / "no_hand.jpg")
    error = page.get_by_test_id("stAlert").filter(has_text="no_hand.jpg")
    assert "is no true mask for this photo" in error.inner_text()

    narrow = Image.fromarray(photo_masks[OPEN][:, :264])
    buffer = io.BytesIO()
    narrow.save(buffer, "PNG")
    field.set_input_files(
        {"name": "other.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
    )
    error = page.get_by_test_id("stAlert").filter(has_text="other.png")
    assert "264 x 480 px, the photo 640 x 480" in error.inner_text()


def test_fingers_are_measured_by_a_coin(visit: Visit) -> None:
    page = visit(width=390)
    stream = io.BytesIO()
    Image.fromarray(palm_with_coin()).save(stream, "PNG")
    upload(page, {"name": "palm.png", "mimeType": "image/png", "buffer": stream.getvalue()})
    unfold(page, "Measure fingers")
    coin = page.get_by_role("combobox", name="Coin")
    box_of(page, coin)  # An open list closes when its field moves.
    coin.fill("2 euro")
    page.get_by_role("option", name="2 euro").click()
    shown = picture(page, "where a ring sits")
    shown.wait_for()
    rest(page)
    for element in (page.get_by_test_id("stMain"), page.get_by_test_id("stDataFrame"), shown):
        box = element.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390

    name, data = download(page, "Sizes (CSV)")
    assert name == "palm_sizes.csv"
    assert data.decode().splitlines()[4].startswith("palm.png,ring,18.")
    name, data = download(page, "Sizes (JSON)")
    assert name == "palm_sizes.json"
    (row,) = json.loads(data)
    assert row["coins"][0]["diameter_px"] == pytest.approx(83, abs=0.8)
    measured = pixels(page, "Measured (JPEG)").astype(int)
    assert measured.shape == (640, 640, 3)
    assert (np.abs(measured - (255, 0, 255)).max(axis=2) < 60).sum() > 300
