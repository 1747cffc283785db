"""Helpers for browser tests: visitors' actions on the page, and what they see."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

OPEN, POINTING = "2_pic00174", "35_pic00033"
CUTOUT, NUMBERS = "Cut-out (PNG)", "Numbers (JSON)"
NO_HAND = "No hand found in"


def upload(page: Page, *files: Path | dict[str, Any]) -> None:
    page.locator("input[type=file]").first.set_input_files(list(files))
    button(page, CUTOUT).wait_for()


def rest(page: Page) -> None:
    """Wait for the end of the script, which removes the files of its last run."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def button(page: Page, label: str) -> Locator:
    return page.get_by_role("button", name=label)


def choose(page: Page, label: str) -> None:
    """Choose a radio button."""
    rest(page)  # While the script runs, buttons of its last run may still exist.
    page.locator("label").get_by_text(label, exact=True).click()


def unfold(page: Page, label: str) -> None:
    page.locator("summary").filter(has_text=label).click()


def download(page: Page, label: str) -> tuple[str, bytes]:
    """Return name and content of the file that a button downloads."""
    rest(page)
    with page.expect_download() as coming:
        button(page, label).click()
    return coming.value.suggested_filename, Path(coming.value.path()).read_bytes()


def pixels(page: Page, label: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(download(page, label)[1])))


def mask_of(page: Page) -> np.ndarray:
    return pixels(page, "Mask (PNG)") > 127


@contextmanager
def changing(page: Page, caption: str) -> Iterator[None]:
    """Wait until the picture above `caption` has changed and the page is at rest."""
    before = picture(page, caption).get_attribute("src")
    yield
    page.wait_for_function(
        "([caption, before]) => [...document.querySelectorAll('[data-testid=stImage]')].some("
        "image => image.textContent.includes(caption) && image.querySelector('img').src != before)",
        arg=[caption, page.evaluate("url => new URL(url, location).href", before)],
    )
    rest(page)


def picture(page: Page, caption: str) -> Locator:
    return page.get_by_test_id("stImage").filter(has_text=caption).locator("img")


def box_of(page: Page, element: Locator) -> dict[str, float]:
    """Return the element's box on the screen, once it has stopped moving.

    Pictures that load above it and growing frames move it for a while.
    """
    deadline, still, last = time.monotonic() + 30, 0, None
    while still < 3:
        assert time.monotonic() < deadline, f"the element does not come to rest: {last}"
        rest(page)  # a new tool brings a new frame
        element.scroll_into_view_if_needed()
        box = element.bounding_box()
        still = still + 1 if box is not None and box == last else 0
        last = box
        page.wait_for_timeout(100)
    assert last is not None
    return dict(last)


class Canvas:
    """The picture to click on; coordinates are px of the photo."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.view = page.locator(".view")

    def frame(self) -> tuple[int, ...]:
        """Return left, top, width and height of the visible part."""
        return tuple(map(int, (self.view.get_attribute("data-frame") or "").split()))

    def wait_for_another_frame(self, before: tuple[int, ...]) -> None:
        deadline = time.monotonic() + 30
        while self.frame() == before:
            assert time.monotonic() < deadline, f"the view still shows {before}"
            self.page.wait_for_timeout(100)

    def spot(self, x: float, y: float) -> tuple[float, float]:
        """Convert to screen coordinates."""
        box = box_of(self.page, self.view)
        left, top, width, height = self.frame()
        assert box["width"] / box["height"] == pytest.approx(width / height, rel=0.01)
        return (
            box["x"] + (x + 0.5 - left) * box["width"] / width,
            box["y"] + (y + 0.5 - top) * box["height"] / height,
        )

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.spot(x, y))

    def press(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """Start a drag without ending it."""
        start, end = self.spot(x1, y1), self.spot(x2, y2)
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=4)

    def drag(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self.press(x1, y1, x2, y2)
        self.page.mouse.up()

    def slide(self, x1: float, y1: float, x2: float, y2: float) -> Callable[[], None]:
        """Drag with a finger, which stays down until the returned function is called."""
        fingers = self.page.context.new_cdp_session(self.page)
        start, end = self.spot(x1, y1), self.spot(x2, y2)
        for kind, (x, y) in [
            ("touchStart", start),
            ("touchMove", ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)),
            ("touchMove", end),
        ]:
            touches = {"type": kind, "touchPoints": [{"x": x, "y": y}]}
            fingers.send("Input.dispatchTouchEvent", touches)

        def lift() -> None:
            fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

        return lift

    def swipe(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """Drag with a finger, and check that the box shows."""
        lift = self.slide(x1, y1, x2, y2)
        start, end = self.spot(x1, y1), self.spot(x2, y2)
        expected = pytest.approx((end[0] - start[0], end[1] - start[1]), abs=3)
        deadline = time.monotonic() + 10
        while True:
            drawn = self.page.locator(".drawn").bounding_box()
            if drawn is not None and (drawn["width"], drawn["height"]) == expected:
                break
            assert time.monotonic() < deadline, f"the box that is drawn: {drawn}"
            self.page.wait_for_timeout(50)
        lift()

    def points(self) -> list[tuple[float, float]]:
        """Return the visitor's points."""
        places = self.page.locator(".point").evaluate_all(
            "all => all.map(e => [e.dataset.x, e.dataset.y])"
        )
        return [(float(x), float(y)) for x, y in places]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def assert_nearly_same(mask: np.ndarray, expected: np.ndarray) -> None:
    """Compare masks, as other processes may sum floats in another order."""
    assert np.count_nonzero(mask != expected) <= 5
