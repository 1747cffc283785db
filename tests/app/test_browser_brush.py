"""The brush in a browser: masks painted with a mouse and with a finger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from browsing import (
    CUTOUT,
    OPEN,
    Canvas,
    assert_nearly_same,
    button,
    changing,
    choose,
    mask_of,
    pixels,
    rest,
    unfold,
    upload,
)

from handseg.app.correcting import RADII

if TYPE_CHECKING:
    from conftest import Visit
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

ADD, ERASE = "Brush: add", "Brush: erase"


def open_for_painting(page: Page, path: Path) -> Canvas:
    upload(page, path)
    unfold(page, "Correct the mask")
    return Canvas(page)


def radius_of(page: Page) -> float:
    return float(page.locator(".ring").get_attribute("r") or 0)


def take(page: Page, tool: str) -> None:
    """Choose a brush."""
    choose(page, tool)
    page.locator(f".view[data-tool={'add' if tool == ADD else 'erase'}]").wait_for()
    rest(page)


def depth(inside: np.ndarray, frame: tuple[int, ...]) -> np.ndarray:
    """Return the distance, px, to the nearest place not `inside`, or not in the frame."""
    left, top, width, height = frame
    shown = np.zeros_like(inside)
    shown[top : top + height, left : left + width] = inside[top : top + height, left : left + width]
    return cv2.distanceTransform(np.pad(shown.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]


def deepest(inside: np.ndarray, frame: tuple[int, ...]) -> tuple[int, int]:
    """Return x, y of the visible place that is furthest inside."""
    away = depth(inside, frame)
    y, x = np.unravel_index(away.argmax(), away.shape)
    return int(x), int(y)


def line(x1: float, y1: float, x2: float, y2: float, radius: float) -> np.ndarray:
    """Return the expected cover of a stroke, (480, 640) bool."""
    y, x = np.mgrid[:480, :640]
    share = np.linspace(0, 1, 200)[:, None, None]
    away = np.hypot(x - x1 - share * (x2 - x1), y - y1 - share * (y2 - y1)).min(0)
    return away <= radius


def assert_painted(changed: np.ndarray, expected: np.ndarray, slack: int) -> None:
    """Check that the change is where it was drawn, except `slack` px along its edge."""
    square = np.ones((2 * slack + 1, 2 * slack + 1), np.uint8)
    inner = cv2.erode(expected.astype(np.uint8), square).view(bool)
    outer = cv2.dilate(expected.astype(np.uint8), square).view(bool)
    assert inner.any()
    assert changed[inner].all()
    assert not (changed & ~outer).any()


def test_strokes_land_where_they_are_drawn_at_any_zoom(
    visit: Visit, paths: dict[str, Path]
) -> None:
    page = visit()
    canvas = open_for_painting(page, paths[OPEN])
    before = mask_of(page)
    for view in (None, "zoom_in"):
        if view is not None:
            frame = canvas.frame()
            button(page, view).click()
            canvas.wait_for_another_frame(frame)
        for tool in (ADD, ERASE):
            take(page, tool)
            radius = radius_of(page)
            inside = before if tool == ERASE else ~before
            x, y = deepest(inside, canvas.frame())
            place = x - radius / 2, y, x + radius / 2, y
            with changing(page, "Mask"):
                canvas.drag(*place)
            after = mask_of(page)
            expected = line(*place, radius)
            assert_painted(after != before, expected & inside, slack=1)
            assert (after[expected & inside] == (tool == ADD)).mean() > 0.9
            before = after


def test_a_stroke_is_undone_kept_by_a_click_and_in_what_is_downloaded(
    visit: Visit, paths: dict[str, Path]
) -> None:
    page = visit()
    canvas = open_for_painting(page, paths[OPEN])
    found = mask_of(page)
    take(page, ADD)
    x, y = deepest(~found, canvas.frame())
    with changing(page, "Mask"):
        canvas.click(x, y)  # a dot
    dotted = mask_of(page)
    assert dotted[y, x]
    take(page, ERASE)
    palm = deepest(found, canvas.frame())
    with changing(page, "Mask"):
        canvas.click(*palm)
    with changing(page, "Mask"):
        page.keyboard.press("Control+z")
    np.testing.assert_array_equal(mask_of(page), dotted)
    with changing(page, "Mask"):
        canvas.click(*palm)

    choose(page, "Point off the hand")
    page.locator(".view[data-tool=point]").wait_for()
    rest(page)
    with changing(page, "Mask"):
        canvas.click(318, 76)  # on a fingertip
    clicked = mask_of(page)
    assert not clicked[76, 318]
    assert clicked[y, x]
    assert not clicked[palm[1], palm[0]]
    alpha = pixels(page, CUTOUT)[..., 3]
    np.testing.assert_array_equal(alpha >= 128, clicked)
    assert ((alpha > 0) & (alpha < 255))[y - 20 : y + 20, x - 20 : x + 20].any()  # a clean edge

    with changing(page, "Mask"):
        button(page, "Reset").click()
    assert_nearly_same(mask_of(page), found)


def test_strokes_in_quick_succession_are_all_painted(visit: Visit, paths: dict[str, Path]) -> None:
    page = visit()
    canvas = open_for_painting(page, paths[OPEN])
    found = mask_of(page)
    take(page, ADD)
    radius = radius_of(page)
    x, y = deepest(~found, canvas.frame())
    places = [(x + (step - 2) * radius, y + (step % 2) * radius) for step in range(5)]
    spots = [canvas.spot(*place) for place in places]
    for spot in spots[:-1]:
        page.mouse.click(*spot)
    page.mouse.move(*spots[-1])
    page.mouse.down()
    assert page.locator(".paint .stroke").count()  # visible before it is in the mask
    page.mouse.up()
    page.locator(".paint .stroke").first.wait_for(state="detached")
    rest(page)
    painted = mask_of(page)
    for place in places:
        assert painted[round(place[1]), round(place[0])]
    for _ in places:
        with changing(page, "Mask"):
            button(page, "Undo").click()
    np.testing.assert_array_equal(mask_of(page), found)
    assert canvas.view.is_visible()  # ready for the next stroke


def test_the_circle_shows_the_brush_and_its_radius_can_be_chosen(
    visit: Visit, paths: dict[str, Path]
) -> None:
    page = visit()
    canvas = open_for_painting(page, paths[OPEN])
    take(page, ADD)
    first = radius_of(page)
    slider = page.get_by_role("slider", name="Radius of the brush")
    slider.focus()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    radius = RADII[RADII.index(int(first)) + 2]
    page.locator(f".ring[r='{radius}']").wait_for()
    rest(page)
    x, y = deepest(~mask_of(page), canvas.frame())
    page.mouse.move(*canvas.spot(x, y))
    ring = page.locator(".ring")
    box, view = ring.bounding_box(), canvas.view.bounding_box()
    assert box is not None
    assert view is not None
    scale = view["width"] / canvas.frame()[2]
    assert box["width"] == pytest.approx(2 * radius * scale, abs=4)
    assert (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) == pytest.approx(
        canvas.spot(x, y), abs=2
    )
    before = mask_of(page)
    with changing(page, "Mask"):
        canvas.click(x, y)
    assert_painted(mask_of(page) != before, line(x, y, x, y, radius) & ~before, slack=1)
    choose(page, "Box")
    page.locator(".view[data-tool=box]").wait_for()
    take(page, ERASE)
    assert radius_of(page) == radius


def test_a_finger_paints_on_a_phone(visit: Visit, browser: Browser, paths: dict[str, Path]) -> None:
    page = visit(width=390, context=browser.new_context(has_touch=True))
    canvas = open_for_painting(page, paths[OPEN])
    before = mask_of(page)
    for zoom, tool in ((None, ADD), (None, ERASE), ("zoom_in", ERASE), (None, ADD)):
        if zoom is not None:
            frame = canvas.frame()
            button(page, zoom).click()
            canvas.wait_for_another_frame(frame)
        take(page, tool)
        radius = radius_of(page)
        inside = before if tool == ERASE else ~before
        x, y = deepest(inside, canvas.frame())
        place = x, y - 2 * radius, x, y + 2 * radius
        lift = canvas.slide(*place)
        page.locator(".paint .stroke").wait_for(state="attached")  # while it is drawn
        with changing(page, "Mask"):
            lift()
        after = mask_of(page)
        assert_painted(after != before, line(*place, radius) & inside, slack=2)
        before = after


def test_a_stroke_without_a_hand_says_what_to_do(visit: Visit, paths: dict[str, Path]) -> None:
    page = visit()
    canvas = open_for_painting(page, paths[OPEN])
    button(page, "Remove hand").click()
    page.get_by_text("No hand found in").wait_for()
    take(page, ADD)
    canvas.click(320, 240)
    page.get_by_text("click on a new one first").wait_for()
    rest(page)
    assert not page.locator(".paint .stroke").count()
    assert not mask_of(page).any()
