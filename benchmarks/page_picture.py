"""Take the docs' picture of the page; needs Debian's chromium.

python benchmarks/page_picture.py tests/data/page.jpg
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PORT = 8597
SIZE = {"width": 1280, "height": 1620}
PHOTO = Path(__file__).parents[1] / "tests" / "data" / "photos" / "images" / "2_pic00212.jpg"


def main(output: str) -> None:
    command = [sys.executable, "-m", "handseg", "app", "--no-browser", "--port", str(PORT)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        while "The page is at" not in (line := server.stderr.readline()):
            assert line, "the page has not started"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport=SIZE)
            page.goto(f"http://127.0.0.1:{PORT}")
            page.locator("input[type=file]").first.set_input_files(PHOTO)
            page.get_by_text("Compare with a true mask").wait_for()  # the last part
            page.wait_for_load_state("networkidle")
            page.mouse.move(0, 0)
            page.wait_for_timeout(1000)
            page.screenshot(path="page.png")
            browser.close()
        Image.open("page.png").convert("RGB").save(output, quality=85)
        Path("page.png").unlink()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(sys.argv[1])
