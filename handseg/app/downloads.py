"""The files that the page offers for download."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image

from handseg.io.files import encode_image
from handseg.measure.report import write_csv
from handseg.results import Edge, HandSegmentation

Background = str | np.ndarray | None
"""A colour, an image (H, W, 3) uint8 RGB, or None for transparency."""


def picture(
    result: HandSegmentation, background: Background, edge: Edge, crop: bool = False
) -> Image.Image:
    """Return the hands cut out, or on a background.

    With `crop`, the image is cropped to the hands.
    """
    if background is None:
        return result.cutout(crop, edge)
    return result.composite(background, edge, crop)


def numbers(name: str, result: HandSegmentation) -> dict[str, Any]:
    """Return a photo's entry, as `handseg segment --json` writes it."""
    return {"file": name, **result.to_dict()}


def to_json(rows: Iterable[dict[str, Any]]) -> bytes:
    lines = ",\n".join(json.dumps(row) for row in rows)
    return f"[\n{lines}\n]\n".encode()


def sizes(name: str, rows: Iterable[dict[str, Any]]) -> bytes:
    """Return a table of a photo's fingers, as `handseg measure --csv` writes it."""
    out = io.StringIO(newline="")
    write_csv(({"file": name, **row} for row in rows), out)
    return out.getvalue().encode()


def to_zip(
    results: Iterable[tuple[str, HandSegmentation]], background: Background, edge: Edge
) -> bytes:
    """Zip cut-outs, masks, overlays and numbers, named as by `handseg segment`.

    Args:
        results: names of the photos and their results, one at a time.
        background: see `picture`.
        edge: "soft", "hard" or "matte".
    """
    stream = io.BytesIO()
    rows = []
    taken: set[str] = set()
    with zipfile.ZipFile(stream, "w") as archive:  # stored: the pictures are compressed already
        for name, result in results:
            stem = _free_name(name, taken)
            pictures: dict[str, np.ndarray | Image.Image] = {
                f"{stem}.png": picture(result, background, edge),
                f"{stem}_mask.png": result.mask,
                f"{stem}_overlay.jpg": result.overlay(),
            }
            for file, image in pictures.items():
                archive.writestr(file, encode_image(image, file, result.dpi))
            rows.append(numbers(name, result))
        archive.writestr("hands.json", to_json(rows))
    return stream.getvalue()


def stem_of(name: str) -> str:
    """Return the name of an uploaded file without suffix and folders."""
    return PurePath(name.replace("\\", "/")).stem or "photo"


def _free_name(name: str, taken: set[str]) -> str:
    """Return a stem whose files replace no other photo's; cameras reuse names."""
    stem = stem_of(name)
    number, free = 1, stem
    while {free.casefold(), f"{free}_mask".casefold()} & taken:
        number += 1
        free = f"{stem}_{number}"
    taken.update({free.casefold(), f"{free}_mask".casefold()})
    return free
