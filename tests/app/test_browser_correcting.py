"""Masks corrected in a browser, with clicks, boxes and fingers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from browsing import (
    CUTOUT,
    NO_HAND,
    NUMBERS,
    OPEN,
    Canvas,
    assert_nearly_same,
    button,
    changing,
    choose,
    download,
    mask_of,
    overlap,
    pixels,
    rest,
    unfold,
    upload,
)

if TYPE_CHECKING:
    from conftest import Visit
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


def test_no_hand(visit: Visit, photo_folder: Path) -> None:
    page = visit()
    upload(page, photo_folder.parent / "no_hand.jpg")
    page.get_by_text(NO_HAND).wait_for()
    assert not pixels(page, CUTOUT).any()
    assert json.loads(download(page, NUMBERS)[1])[0]["hands"] == []


def test_a_box_finds_a_hand_that_was_missed(
    visit: Visit, paths: dict[str, Path], photo_masks: dict[str, np.ndarray]
) -> None:
    page = visit()
    upload(page, paths[OPEN])
    found = mask_of(page)
    unfold(page, "Correct the mask")
    button(page, "Remove hand").click()
    page.get_by_text(NO_HAND).wait_for()
    assert not mask_of(page).any()

    choose(page, "Box")
    x, y, width, height = cv2.boundingRect(photo_masks[OPEN].astype(np.uint8))
    page.get_by_text("Press at one corner").wait_for()
    with changing(page, "Mask"):
        Canvas(page).press(x - 3, y - 3, x + width + 2, y + height + 2)
        drawn = page.locator(".drawn").bounding_box()
        assert drawn is not None
        assert drawn["width"] / drawn["height"] == pytest.approx(
            (width + 5) / (height + 5), rel=0.05
        )
        page.mouse.up()
    assert overlap(mask_of(page), photo_masks[OPEN]) > 0.85
    assert page.get_by_text(NO_HAND).count() == 0

    with changing(page, "Mask"):
        button(page, "Undo").click()
    assert not mask_of(page).any()
    with changing(page, "Mask"):
        button(page, "Reset").click()
    np.testing.assert_array_equal(mask_of(page), found)


def test_clicks_land_where_they_are_made(visit: Visit, paths: dict[str, Path]) -> None:
    page = visit()
    upload(page, paths[OPEN])
    unfold(page, "Correct the mask")
    canvas = Canvas(page)
    views = [(None, (0.4, 0.3)), ("zoom_in", (0.7, 0.6)), ("Photo", (0.2, 0.9))]
    for number, (view, (across, down)) in enumerate(views):
        if view is not None:
            before = canvas.frame()
            page.get_by_role("button", name=view, exact=view == "Photo").click()
            canvas.wait_for_another_frame(before)
        left, top, width, height = canvas.frame()
        place = round(left + across * width), round(top + down * height)
        canvas.click(*place)
        page.locator(".point").nth(number).wait_for()
        rest(page)
        assert canvas.points()[number] == pytest.approx(place, abs=width / 640)  # of the screen


def test_a_point_is_dragged_and_removed_and_undone(visit: Visit, paths: dict[str, Path]) -> None:
    page = visit()
    upload(page, paths[OPEN])
    found = mask_of(page)
    unfold(page, "Correct the mask")
    canvas = Canvas(page)
    choose(page, "Point off the hand")
    with changing(page, "Mask"):
        canvas.click(318, 76)  # on a fingertip
    without = mask_of(page)
    assert not without[76, 318]
    with changing(page, "Mask"):
        canvas.drag(*canvas.points()[0], 300, 200)
    assert canvas.points()[0] == pytest.approx((300, 200), abs=1)
    moved = mask_of(page)
    assert moved[76, 318]
    assert not moved[200, 300]
    with changing(page, "Mask"):
        canvas.click(300, 200)  # on the point
    assert not canvas.points()
    assert_nearly_same(mask_of(page), found)
    for expected in (moved, without, found):
        with changing(page, "Mask"):
            page.keyboard.press("Control+z")
        assert_nearly_same(mask_of(page), expected)


def test_from_a_bad_mask_to_a_good_one_by_touch(
    visit: Visit, browser: Browser, paths: dict[str, Path], photo_masks: dict[str, np.ndarray]
) -> None:
    """As a visitor would: a point where the mask is most wrong, until it is right."""
    page = visit(width=390, context=browser.new_context(has_touch=True))
    true = photo_masks[OPEN]
    upload(page, paths[OPEN])
    unfold(page, "Correct the mask")
    canvas = Canvas(page)
    button(page, "Remove hand").click()
    page.get_by_text(NO_HAND).wait_for()
    choose(page, "Box")
    page.get_by_text("Press at one corner").wait_for()
    x, y, width, height = cv2.boundingRect(true.astype(np.uint8))
    with changing(page, "Mask"):
        canvas.swipe(x - 3, y - 3, x + width + 2, y + height // 2)  # half of it

    said: list[tuple[tuple[int, int], bool]] = []
    seen = []
    for _ in range(6):
        mask = mask_of(page)
        seen.append(overlap(mask, true))
        for (x, y), on in said:
            assert mask[y, x] == on
        depth = cv2.distanceTransform((mask != true).astype(np.uint8), cv2.DIST_L2, 5)
        for place, _ in said:  # A tap on a point would remove it.
            cv2.circle(depth, place, 40, 0.0, -1)
        y, x = (int(place) for place in np.unravel_index(depth.argmax(), depth.shape))
        if depth.max() < 6:
            break
        on = bool(true[y, x])
        choose(page, "Point on the hand" if on else "Point off the hand")
        with changing(page, "Mask"):
            page.touchscreen.tap(*canvas.spot(x, y))
        said.append(((x, y), on))
        assert mask_of(page)[y, x] == on
    assert seen[0] < 0.8
    assert max(seen) > 0.9


def test_clicks_correct_the_mask(visit: Visit, paths: dict[str, Path]) -> None:
    page, (x, y) = visit(), (318, 76)  # on a fingertip
    upload(page, paths[OPEN])
    found = mask_of(page)
    assert found[y, x]
    unfold(page, "Correct the mask")
    choose(page, "Point off the hand")
    with changing(page, "Mask"):
        Canvas(page).click(x, y)
    without = mask_of(page)
    assert not without[y, x]
    assert 0.8 < overlap(without, found) < 1
    with changing(page, "Mask"):
        button(page, "Undo").click()
    np.testing.assert_array_equal(mask_of(page), found)
