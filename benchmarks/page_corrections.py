"""How many actions and seconds it takes to correct a mask on the page, in a real browser.

    python benchmarks/page_corrections.py DATA/eval/cc0_face_hands DATA/eval/unipd15 --limit 5

A visitor who knows the true mask clicks on the middle of the largest error, with the tool to add or
remove there; if no hand was found, a box comes first. Choosing another tool or showing the whole
photo counts as an action, like a click and a box. It ends at an IoU of --enough, after at least
--most actions, or when no error is deeper than 0.5 % of the longer side. Seconds are the page's,
from each action to its picture, without the time that people take to look. Needs Debian's chromium.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from page_browser import ADDRESS, browser_for_the_page

from handseg.data.image_mask import ImageMaskPair, find_pairs
from handseg.runtime.files import write_atomic

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "app"))
from browsing import NO_HAND, Canvas, choose, mask_of, overlap, rest, unfold

if TYPE_CHECKING:
    from playwright.sync_api import Page

START = "Point on the hand"
TOOLS = {True: START, False: "Point off the hand"}
DEEP = 0.005


def correct(page: Page, pair: ImageMaskPair, enough: float, most: int) -> dict[str, object]:
    """Upload a photo and correct it: IoU before, after each action, and seconds."""
    true = pair.load()[1]
    page.locator("input[type=file]").first.set_input_files(pair.image_path)
    page.get_by_role("button", name="Cut-out (PNG)").wait_for()
    rest(page)
    missed = page.get_by_text(NO_HAND).count() > 0
    unfold_if_shut(page)
    canvas = Canvas(page)
    ious, spent, tool, actions = [overlap(mask_of(page), true)], 0.0, START, 0
    clicked: list[tuple[int, int]] = []
    while ious[-1] < enough and actions < most:
        started = time.perf_counter()
        if missed and not clicked and actions == 0:
            tool, actions = "Box", 2
            choose(page, tool)
            x, y, width, height = cv2.boundingRect(true.astype(np.uint8))
            canvas.drag(x, y, x + width - 1, y + height - 1)
        else:
            place = worst_place(mask_of(page), true, clicked)
            if place is None:
                break
            started = time.perf_counter()
            wanted = TOOLS[bool(true[place[1], place[0]])]
            if wanted != tool:
                choose(page, wanted)
                tool, actions = wanted, actions + 1
            if not shows(canvas, place):
                before = canvas.frame()
                page.get_by_role("button", name="Photo", exact=True).click()
                canvas.wait_for_another_frame(before)
                actions += 1
            actions += 1
            canvas.click(*place)
            clicked.append(place)
        page.wait_for_timeout(300)  # Until the script has started.
        rest(page)
        spent += time.perf_counter() - started - 0.3
        ious.append(overlap(mask_of(page), true))
    return {
        "photo": pair.id,
        "ious": [round(iou, 4) for iou in ious],
        "actions": actions,
        "seconds": round(spent, 2),
    }


def unfold_if_shut(page: Page) -> None:
    if not page.locator(".view").is_visible():
        unfold(page, "Correct the mask")
        page.locator(".view").wait_for()


def shows(canvas: Canvas, place: tuple[int, int]) -> bool:
    left, top, width, height = canvas.frame()
    return left <= place[0] < left + width and top <= place[1] < top + height


def worst_place(
    mask: np.ndarray, true: np.ndarray, clicked: list[tuple[int, int]]
) -> tuple[int, int] | None:
    """x, y of the middle of the largest error, away from points, which a click would remove."""
    longest = max(true.shape)
    depth = cv2.distanceTransform(np.pad(mask != true, 1).astype(np.uint8), cv2.DIST_L2, 5)
    depth = depth[1:-1, 1:-1].copy()
    for place in clicked:
        cv2.circle(depth, place, round(0.05 * longest), 0.0, -1)
    if depth.max() < DEEP * longest:
        return None
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return int(x), int(y)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sets", type=Path, nargs="+", help="folders of pairs")
    parser.add_argument("--limit", type=int, default=5, help="photos of each")
    parser.add_argument("--enough", type=float, default=0.95)
    parser.add_argument("--most", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    with browser_for_the_page() as browser:
        for folder in options.sets:
            for pair in find_pairs(folder)[: options.limit]:
                page = browser.new_page(viewport={"width": 1280, "height": 1000})
                page.goto(ADDRESS)
                row = correct(page, pair, options.enough, options.most)
                rows.append({"set": folder.name, **row})
                print(rows[-1], flush=True)
                page.close()
    for folder in options.sets:
        some = [row for row in rows if row["set"] == folder.name]
        before, after = (
            statistics.mean(row["ious"][end] for row in some)  # type: ignore[index]
            for end in (0, -1)
        )
        actions, seconds = (
            statistics.median(row[key] for row in some)  # type: ignore[type-var]
            for key in ("actions", "seconds")
        )
        print(
            f"{folder.name}: {len(some)} photos, IoU {before:.3f} to {after:.3f}, "
            f"{actions:g} actions, {seconds:.1f} s (medians)"
        )
    if options.json:
        with write_atomic(options.json) as temporary:
            temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
