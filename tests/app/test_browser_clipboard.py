"""Cut-outs that a browser copies to its clipboard."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browsing import CUTOUT, OPEN, button, changing, choose, download, pixels, rest, upload
from PIL import Image

if TYPE_CHECKING:
    from conftest import Visit
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.slow

READ = """async () => {
  const [item] = await navigator.clipboard.read();
  const bytes = new Uint8Array(await (await item.getType("image/png")).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""
NOTE_WHAT_IS_WRITTEN = """
navigator.clipboard.write = async ([item]) => {
  const bytes = new Uint8Array(await (await item.getType("image/png")).arrayBuffer());
  window.written = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
};
"""
NOT_HERE = 'Object.defineProperty(window, "isSecureContext", { value: false });'  # as on plain http
REFUSING = (
    "navigator.clipboard.write = async () => { throw new Error('Document is not focused.'); }"
)


@pytest.fixture
def allowed(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that lets pages use its clipboard."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    yield context
    context.close()


def copy(page: Page) -> None:
    button(page, "Copy").click()
    page.get_by_text("Copied").wait_for()


def test_the_cutout_is_copied(
    visit: Visit, allowed: BrowserContext, paths: dict[str, Path]
) -> None:
    page = visit(context=allowed)
    upload(page, paths[OPEN])
    copy(page)
    copied = Image.open(io.BytesIO(base64.b64decode(page.evaluate(READ))))
    assert (copied.format, copied.mode, copied.size) == ("PNG", "RGBA", (640, 480))
    expected = pixels(page, CUTOUT)
    np.testing.assert_array_equal(np.asarray(copied)[..., 3], expected[..., 3])
    solid = expected[..., 3] == 255
    np.testing.assert_array_equal(np.asarray(copied)[solid], expected[solid])


def test_what_is_copied_is_the_file_that_is_downloaded(
    visit: Visit, allowed: BrowserContext, paths: dict[str, Path]
) -> None:
    allowed.add_init_script(NOTE_WHAT_IS_WRITTEN)
    page = visit(context=allowed)
    upload(page, paths[OPEN])
    for label in (CUTOUT, "Composite (PNG)"):
        if label != CUTOUT:
            with changing(page, "Cut-out"):
                choose(page, "Hard")
            choose(page, "Colour")
            button(page, label).wait_for()
        copy(page)
        written = base64.b64decode(page.evaluate("window.written"))
        assert written == download(page, label)[1]
        page.get_by_text("Copied").wait_for(state="detached")


EARLY = """() => new Promise((done) => {
  const look = (root) => [...root.querySelectorAll("*")].some((element) => {
    if (element.shadowRoot) return look(element.shadowRoot);
    if (!element.matches("button[title^='Copy the picture']")) return false;
    done({ ready: element.onclick !== null, disabled: element.disabled });
    return true;
  });
  const again = () => look(document) || setTimeout(again);
  again();
})"""


def test_the_button_is_disabled_until_it_works(visit: Visit, paths: dict[str, Path]) -> None:
    page = visit()
    page.locator("input[type=file]").first.set_input_files(paths[OPEN])
    first = page.evaluate(EARLY)
    assert first["disabled"] or first["ready"]
    page.locator("button[title^='Copy the picture']:enabled").wait_for()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (NOT_HERE, "browsers copy only from pages on https or localhost"),
        (REFUSING, "Document is not focused"),
    ],
    ids=["not on this host", "not now"],
)
def test_a_refusal_is_explained(
    visit: Visit, browser: Browser, paths: dict[str, Path], script: str, reason: str
) -> None:
    context = browser.new_context()
    context.add_init_script(script)
    page = visit(context=context)
    upload(page, paths[OPEN])
    button(page, "Copy").click()
    page.get_by_text(f"Not copied: {reason}. The download has the same picture.").wait_for()
    assert button(page, "Copy cut-out").is_enabled()
    rest(page)
