"""Take the docs' picture of the page; needs Debian's chromium.

python benchmarks/page_picture.py tests/data/page.jpg
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from page_browser import ADDRESS, browser_for_the_page
from PIL import Image

SIZE = {"width": 1280, "height": 1620}
PHOTO = Path(__file__).parents[1] / "tests" / "data" / "photos" / "images" / "2_pic00212.jpg"


def main(output: str) -> None:
    with browser_for_the_page() as browser:
        page = browser.new_page(viewport=SIZE)
        page.goto(ADDRESS)
        page.locator("input[type=file]").first.set_input_files(PHOTO)
        page.get_by_text("Compare with a true mask").wait_for()  # the last part
        page.wait_for_load_state("networkidle")
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000)
        shot = page.screenshot()
    Image.open(io.BytesIO(shot)).convert("RGB").save(output, quality=85)


if __name__ == "__main__":
    main(sys.argv[1])
