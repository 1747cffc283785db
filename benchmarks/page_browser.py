"""The page, served by a separate process, and a browser to visit it with (Debian's chromium)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PORT = 8598
ADDRESS = f"http://127.0.0.1:{PORT}"


@contextmanager
def browser_for_the_page() -> Iterator[Browser]:
    """Serve the page at `ADDRESS` and yield a browser."""
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
            yield browser
            browser.close()
    finally:
        server.terminate()
        server.wait()
