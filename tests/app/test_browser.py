"""The whole page: a browser, a server and the bundled model."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from measured_scenes import palm_with_coin
from PIL import Image

from handseg.evaluation.metrics import compare_masks
from handseg.segmenter import HandSegmenter

if TYPE_CHECKING:
    from conftest import Noise, Visit
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.slow

OPEN, POINTING = "2_pic00174", "35_pic00033"
CUTOUT, NUMBERS = "Cut-out (PNG)", "Numbers (JSON)"
NO_HAND = "No hand found in"


@pytest.fixture(scope="module")
def paths(photo_folder: Path) -> dict[str, Path]:
    """The photos' files by stem."""
    return {path.stem: path for path in (photo_folder / "images").iterdir()}


# What a visitor does


def upload(page: Page, *files: Path | dict[str, Any]) -> None:
    page.locator("input[type=file]").first.set_input_files(list(files))
    button(page, CUTOUT).wait_for()


def rest(page: Page) -> None:
    """Wait for the end of the script, which takes the files of its last run away."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def button(page: Page, label: str) -> Locator:
    return page.get_by_role("button", name=label)


def choose(page: Page, label: str) -> None:
    """Take one of several radio buttons."""
    page.locator("label").get_by_text(label, exact=True).click()


def unfold(page: Page, label: str) -> None:
    page.locator("summary").filter(has_text=label).click()


def download(page: Page, label: str) -> tuple[str, bytes]:
    """Name and content of the file that a button gives."""
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
    """Waits for another picture over `caption`, and for the page to be at rest."""
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


def near(page: Page, caption: str, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a picture that the page shows is nearly of that colour, bool (H, W)."""
    source = picture(page, caption).get_attribute("src")
    shown = Image.open(
        io.BytesIO(
            page.request.get(page.evaluate("url => new URL(url, location).href", source)).body()
        )
    )
    return np.abs(np.asarray(shown.convert("RGB")).astype(int) - colour).max(axis=2) < 60


def box_of(page: Page, element: Locator) -> dict[str, float]:
    """The element on the screen, once it no longer moves.

    Pictures above it that are loaded, and frames that grow, move it for a while.
    """
    deadline, still, last = time.monotonic() + 30, 0, None
    while still < 3:
        assert time.monotonic() < deadline, f"the element does not come to rest: {last}"
        rest(page)  # another tool brings another frame
        element.scroll_into_view_if_needed()
        box = element.bounding_box()
        still = still + 1 if box is not None and box == last else 0
        last = box
        page.wait_for_timeout(100)
    assert last is not None
    return dict(last)


class Canvas:
    """The picture to point at; places are px of the photo."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.view = page.locator(".view")

    def frame(self) -> tuple[int, ...]:
        """Left, top, width and height of what is shown."""
        return tuple(map(int, (self.view.get_attribute("data-frame") or "").split()))

    def wait_for_another_frame(self, before: tuple[int, ...]) -> None:
        deadline = time.monotonic() + 30
        while self.frame() == before:
            assert time.monotonic() < deadline, f"the view still shows {before}"
            self.page.wait_for_timeout(100)

    def spot(self, x: float, y: float) -> tuple[float, float]:
        """Where that is on the screen."""
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
        """A drag without its end."""
        start, end = self.spot(x1, y1), self.spot(x2, y2)
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=4)

    def drag(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self.press(x1, y1, x2, y2)
        self.page.mouse.up()

    def swipe(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """A drag by a finger, of a box that shows."""
        fingers = self.page.context.new_cdp_session(self.page)
        start, end = self.spot(x1, y1), self.spot(x2, y2)
        for kind, places in [
            ("touchStart", [start]),
            ("touchMove", [((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)]),
            ("touchMove", [end]),
        ]:
            touches = [{"x": x, "y": y} for x, y in places]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
        expected = pytest.approx((end[0] - start[0], end[1] - start[1]), abs=3)
        deadline = time.monotonic() + 10
        while True:
            drawn = self.page.locator(".drawn").bounding_box()
            if drawn is not None and (drawn["width"], drawn["height"]) == expected:
                break
            assert time.monotonic() < deadline, f"the box that is drawn: {drawn}"
            self.page.wait_for_timeout(50)
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def points(self) -> list[tuple[float, float]]:
        """The visitor's points."""
        places = self.page.locator(".point").evaluate_all(
            "all => all.map(e => [e.dataset.x, e.dataset.y])"
        )
        return [(float(x), float(y)) for x, y in places]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def assert_nearly_same(mask: np.ndarray, expected: np.ndarray) -> None:
    """Other processes may sum floats in another order."""
    assert np.count_nonzero(mask != expected) <= 5


# One photo


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
    kept = cv2.erode((alpha == 255).astype(np.uint8), np.ones((9, 9))) > 0  # but for the edge
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


# Measures


def test_fingers_are_measured_by_a_coin(visit: Visit) -> None:
    page = visit(width=390)
    stream = io.BytesIO()
    Image.fromarray(palm_with_coin()).save(stream, "PNG")
    upload(page, {"name": "palm.png", "mimeType": "image/png", "buffer": stream.getvalue()})
    unfold(page, "Measure fingers")
    coin = page.get_by_role("combobox", name="Coin")
    box_of(page, coin)  # A list that is open closes when its field moves.
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


# Corrections


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


# Several photos, several visitors


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
