"""The page in this process, and as its visitors use it: a server and a browser."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import streamlit as st
from driven_page import PAGE, File, Open, run
from red_hands import red_segmenter
from red_network import red_labeller
from streamlit.testing.v1 import AppTest

from handseg.app.launch import PageSettings
from handseg.errors import ModelError
from handseg.pipeline.interface import Segmenter
from handseg.pipeline.semantic import SemanticSegmenter
from handseg.segmenter import HandSegmenter

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

Visit = Callable[..., "Page"]


@pytest.fixture(scope="session", autouse=True)
def _no_warning_that_streamlit_is_not_run_by_its_command() -> None:
    logger = logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context")
    logger.addFilter(lambda record: "missing ScriptRunContext" not in record.getMessage())


@pytest.fixture
def red() -> HandSegmenter:
    """Return the segmenter that `open_page` loads; everything red is a hand."""
    return red_segmenter()


@pytest.fixture
def decoded(red: HandSegmenter, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the number of hands in each call of the model."""
    calls: list[int] = []
    decode = red.model.decode

    def noted(embeddings: Any, prompts: Any) -> Any:
        calls.append(len(prompts))
        return decode(embeddings, prompts)

    monkeypatch.setattr(red.model, "decode", noted)
    return calls


@pytest.fixture
def open_page(red: HandSegmenter, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open the page with settings and photos.

    A model named "gone" cannot be loaded; one named "baseline" labels whole photos.
    """

    def from_pretrained(name: str, **_: Any) -> Segmenter:
        if name == "gone":
            raise ModelError("no such model: gone")
        if name == "baseline":
            return SemanticSegmenter(red_labeller())
        return red

    monkeypatch.setattr(HandSegmenter, "from_pretrained", from_pretrained)

    def opened(*photos: File, **settings: Any) -> AppTest:
        for name, value in PageSettings(**settings).to_environment().items():
            monkeypatch.setenv(name, value)
        page = AppTest.from_file(str(PAGE), default_timeout=30)
        run(page)
        if photos:
            page.file_uploader(key="photos").set_value(list(photos))
            run(page)
        return page

    st.cache_resource.clear()
    yield opened
    st.cache_resource.clear()


@dataclass(frozen=True)
class Server:
    url: str
    log: Path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`handseg app` with the bundled model, at a free port."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Server(f"http://127.0.0.1:{port}", folder / "log.txt")
    command = [sys.executable, "-m", "handseg", "app", "--no-browser", "--device", "cpu"]
    with made.log.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=log, stderr=subprocess.STDOUT, cwd=folder
        )
    try:
        _wait_for(made, process)
        yield made
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the server does not answer:\n{server.log.read_text()}")


@pytest.fixture(scope="module")  # Playwright's event loop must not run during other tests.
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    only_here = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", only_here])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> BrowserContext:
    """Share the browser's cache between most visitors. Each tab is a separate visit."""
    return browser.new_context()


@pytest.fixture(scope="session")
def paths(photo_folder: Path) -> dict[str, Path]:
    """Return the photos' files by stem."""
    return {path.stem: path for path in (photo_folder / "images").iterdir()}


@dataclass
class Noise:
    """The browser's requests to other hosts, and its errors."""

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def listen(self, page: Page, url: str) -> None:
        here = (url, url.replace("http", "ws", 1), "data:", "blob:")

        def note(asked: Any) -> None:
            if not asked.url.startswith(here):
                self.requests.append(asked.url)

        page.on("request", note)
        page.on("websocket", note)
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))


@pytest.fixture
def noise() -> Noise:
    return Noise()


@pytest.fixture
def visit(server: Server, context: BrowserContext, noise: Noise) -> Iterator[Visit]:
    """Open the page as a new visitor, optionally with a window width and a context.

    A test fails if the page sent a request to another host, or if the browser's console has an
    error.
    """
    pages = []

    def visited(width: int = 1280, context: BrowserContext = context) -> Page:
        page = context.new_page()
        pages.append(page)
        page.set_default_timeout(30_000)
        page.set_viewport_size({"width": width, "height": 1000})
        noise.listen(page, server.url)
        page.goto(server.url)
        page.get_by_text("Or try an example").wait_for()
        return page

    yield visited
    for page in pages:
        page.close()
    assert not noise.requests
    assert not noise.errors


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the server's log when a test fails."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and server is not None:
        report.sections.append(("log of the server", server.log.read_text()))
    return report
