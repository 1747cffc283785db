"""Helpers for tests of the page without a browser."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image
from streamlit.testing.v1 import AppTest

import handseg.app

PAGE = Path(handseg.app.__file__).with_name("page.py")

File = tuple[str, bytes, str]


def as_file(picture: Image.Image, name: str = "picture.png") -> File:
    """Make a file as `AppTest` uploads it."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return name, stream.getvalue(), "image/png"


def run(page: AppTest) -> None:
    page.run()
    assert not page.exception


def texts(elements: Any) -> str:
    return "\n".join(element.value for element in elements)


def downloads(page: AppTest) -> list[str]:
    return [button.label for button in page.get("download_button")]
