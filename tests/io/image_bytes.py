"""Images as file contents."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handseg.errors import ImageError
from handseg.io.images import load_image

PHOTO = np.array(
    [
        [[255, 0, 0], [0, 255, 0], [0, 0, 255]],
        [[10, 20, 30], [200, 100, 50], [0, 0, 0]],
    ],
    np.uint8,
)


def encode(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refuse(source: Any, match: str, **options: Any) -> None:
    with pytest.raises(ImageError, match=match):
        load_image(source, **options)
