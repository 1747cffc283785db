"""Helpers for tests of the page without a browser."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from red_hands import draw_photo
from streamlit.testing.v1 import AppTest

import handseg.app

PAGE = Path(handseg.app.__file__).with_name("page.py")

File = tuple[str, bytes, str]
Open = Callable[..., AppTest]
"""What the fixture `open_page` returns."""

LARGE, SMALL = (50, 50, 30, 20), (130, 90, 15, 15)
"""Hands for `png`."""
FILES = [
    "Cut-out (PNG)",
    "Cropped (PNG)",
    "Mask (PNG)",
    "Outline (SVG)",
    "Overlay (JPEG)",
    "Numbers (JSON)",
]
"""Downloads of one photo."""


def as_file(picture: Image.Image, name: str = "picture.png") -> File:
    """Make a file as `AppTest` uploads it."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return name, stream.getvalue(), "image/png"


def png(*ellipses: tuple[int, int, int, int], name: str = "photo.png") -> File:
    return as_file(Image.fromarray(draw_photo(*ellipses)[0]), name)


def run(page: AppTest) -> None:
    page.run()
    assert not page.exception


def texts(elements: Any) -> str:
    return "\n".join(element.value for element in elements)


def downloads(page: AppTest) -> list[str]:
    return [button.label for button in page.get("download_button")]


def key_of(page: AppTest) -> str:
    """Return the id of the only photo."""
    return next(iter(page.session_state.workspace.photos))
