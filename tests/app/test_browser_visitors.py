"""Several photos and visitors in browsers, phones, and requests to other hosts."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browsing import (
    CUTOUT,
    OPEN,
    POINTING,
    Canvas,
    assert_nearly_same,
    button,
    download,
    mask_of,
    overlap,
    rest,
    unfold,
    upload,
)
from PIL import Image

from handseg.segmenter import HandSegmenter

if TYPE_CHECKING:
    from conftest import Noise, Visit
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


def test_a_broken_file_does_not_stop_the_others(
    visit: Visit, paths: dict[str, Path], photo_masks: dict[str, np.ndarray]
) -> None:
    broken = {
        "random.jpg": np.random.default_rng(0).bytes(5000),
        "cut.jpg": paths[POINTING].read_bytes()[:9000],
        "text.png": b"Dear diary",
    }
    page = visit()
    files = [{"name": n, "mimeType": "image/jpeg", "buffer": data} for n, data in broken.items()]
    good = {"name": "good.jpg", "mimeType": "image/jpeg", "buffer": paths[OPEN].read_bytes()}
    upload(page, files[0], good, *files[1:])
    page.get_by_text("4 photos: 1 with hands, 3 failed").wait_for()
    alerts = page.get_by_test_id("stAlert").all_inner_texts()
    assert len(alerts) == 3
    for name in broken:
        assert any(f"{name} cannot be used" in alert for alert in alerts)
    assert overlap(mask_of(page), photo_masks[OPEN]) > 0.9


def test_two_photos(
    visit: Visit,
    segmenter: HandSegmenter,
    paths: dict[str, Path],
    photos: dict[str, np.ndarray],
) -> None:
    page = visit()
    upload(page, paths[OPEN], paths[POINTING])
    page.get_by_text("2 photos: 2 with hands").wait_for()
    page.get_by_text("Hand 1, right").wait_for()
    page.get_by_role("combobox", name="Photo to look at").click()
    page.get_by_role("option", name=POINTING).click()
    page.get_by_text("Hand 1, left").wait_for()
    assert download(page, CUTOUT)[0] == f"{POINTING}.png"

    name, data = download(page, "All 2 photos (ZIP)")
    assert name == "hands.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert sorted(archive.namelist()) == sorted(
            [
                f"{stem}{end}"
                for stem in (OPEN, POINTING)
                for end in (".png", "_mask.png", "_overlay.jpg")
            ]
            + ["hands.json"]
        )
        rows = json.loads(archive.read("hands.json"))
        assert [row["file"] for row in rows] == [f"{OPEN}.jpg", f"{POINTING}.jpg"]
        for stem in (OPEN, POINTING):
            mask = np.asarray(Image.open(archive.open(f"{stem}_mask.png"))) > 0
            assert_nearly_same(mask, segmenter.segment(photos[stem]).mask)


def test_visitors_see_nothing_of_each_other(
    visit: Visit, browser: Browser, paths: dict[str, Path]
) -> None:
    one, other = visit(), visit(context=browser.new_context())
    upload(one, paths[OPEN])
    other.reload()
    other.get_by_text("Or try an example").wait_for()
    rest(other)
    assert button(other, CUTOUT).count() == 0
    upload(other, paths[POINTING])
    assert download(other, CUTOUT)[0] == f"{POINTING}.png"
    assert download(one, CUTOUT)[0] == f"{OPEN}.png"
    assert OPEN not in other.content()


def test_a_phone(visit: Visit, paths: dict[str, Path]) -> None:
    page = visit(width=390)
    upload(page, paths[OPEN], paths[POINTING])
    unfold(page, "Correct the mask")
    Canvas(page).spot(320, 240)
    for element in ("[data-testid=stMain]", "html"):
        wide, room = page.locator(element).evaluate("e => [e.scrollWidth, e.clientWidth]")
        assert wide <= room <= 390
    for shown in page.get_by_test_id("stMain").locator("button:not(.point), img").all():
        box = shown.bounding_box()
        assert box is None or box["x"] + box["width"] <= 390


def test_a_request_to_another_host_would_be_noticed(visit: Visit, noise: Noise) -> None:
    """Every test fails if there is one; this one shows that it would be seen, and blocked."""
    page = visit()
    assert not noise.requests
    answer = page.evaluate("fetch('https://example.org/font').then(() => 'came', () => 'blocked')")
    assert answer == "blocked"
    assert noise.requests == ["https://example.org/font"]
    assert noise.errors
    noise.requests.clear()
    noise.errors.clear()
