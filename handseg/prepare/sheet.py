"""Contact sheets of repaired and rejected pairs: what is wrong, and what was changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from handseg.io.files import save_image

PICTURES = "report"
"""The folder of the pictures on the sheets."""

_COLUMNS, _ROWS = 4, 12
_CELL = (380, 285)
_GAP, _HEADER, _LINE, _LINES = 14, 56, 19, 3
_PAPER, _INK, _FADED, _ALARM, _MENDED = (
    (24, 26, 30), (235, 236, 238), (160, 164, 170), (255, 110, 100), (250, 200, 90)
)  # fmt: skip
_MASK, _DROPPED, _FILLED = (90, 220, 90), (255, 70, 70), (0, 190, 255)
_LEGEND = (("mask", _MASK), ("dropped", _DROPPED), ("filled", _FILLED))

Flagged = tuple[str, str, str, tuple[str, ...]]
"""Picture file name without suffix, id, status and reasons of a pair."""


def draw_flagged(
    image: np.ndarray, before: np.ndarray | None, after: np.ndarray | None
) -> Image.Image:
    """Draw the mask (H, W) bool before and after repair, if any, on the photo (H, W, 3) uint8."""
    height, width = image.shape[:2]
    factor = 2 * min(_CELL[0] / width, _CELL[1] / height)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    shrinks = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    canvas = cv2.resize(image, size, interpolation=shrinks)
    if before is None or after is None:
        return Image.fromarray(canvas)
    dot = np.ones((7, 7), np.uint8)
    mask = cv2.resize(after.astype(np.uint8) * 255, size, interpolation=shrinks) > 127
    edge = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, dot[:3, :3]) > 0
    _tint(canvas, mask, _MASK, 0.25)
    _tint(canvas, edge, _MASK, 1.0)
    for changed, color in ((before & ~after, _DROPPED), (after & ~before, _FILLED)):
        # Even a single pixel of a large photo must be visible.
        shown = cv2.resize(changed.astype(np.uint8) * 255, size, interpolation=shrinks) > 0
        _tint(canvas, cv2.dilate(shown.astype(np.uint8), dot) > 0, color, 0.8)
    return Image.fromarray(canvas)


def _tint(
    canvas: np.ndarray, where: np.ndarray, color: tuple[int, int, int], opacity: float
) -> None:
    canvas[where] = (1 - opacity) * canvas[where] + opacity * np.array(color)


def write_pages(flagged: Sequence[Flagged], output: Path) -> None:
    """Write `report.jpg`, and `report_2.jpg` and so on if needed; nothing without pairs."""
    size = _COLUMNS * _ROWS
    pages = [flagged[start : start + size] for start in range(0, len(flagged), size)]
    for number, page in enumerate(pages, 1):
        title = f"{len(flagged)} pairs repaired or rejected"
        title += f", page {number} of {len(pages)}" if len(pages) > 1 else ""
        name = "report.jpg" if number == 1 else f"report_{number}.jpg"
        save_image(_draw_page(page, title, output / PICTURES), output / name)


def _draw_page(page: Sequence[Flagged], title: str, pictures: Path) -> Image.Image:
    columns, rows = min(_COLUMNS, max(3, len(page))), -(-len(page) // _COLUMNS)
    step = _CELL[0] + _GAP, _CELL[1] + (1 + _LINES) * _LINE + 2 * _GAP
    sheet = Image.new("RGB", (_GAP + columns * step[0], _HEADER + rows * step[1]), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _draw_header(pen, title, sheet.width)
    for index, (name, id_, status, reasons) in enumerate(page):
        x = _GAP + index % _COLUMNS * step[0]
        y = _HEADER + index // _COLUMNS * step[1]
        _draw_picture(sheet, pictures / f"{name}.jpg", x, y)
        _draw_caption(pen, x, y + _CELL[1] + 4, id_, status, reasons)
    return sheet


def _draw_header(pen: ImageDraw.ImageDraw, title: str, width: int) -> None:
    small, middle, x = ImageFont.load_default(16), _HEADER // 2, width - _GAP
    pen.text((_GAP, middle), title, _INK, ImageFont.load_default(22), "lm")
    for label, color in reversed(_LEGEND):
        pen.text((x, middle), label, _FADED, small, "rm")
        x -= round(pen.textlength(label, small)) + 8
        pen.rectangle((x - 16, middle - 8, x, middle + 8), fill=color)
        x -= 16 + 22


def _draw_picture(sheet: Image.Image, path: Path, x: int, y: int) -> None:
    if not path.is_file():
        pen = ImageDraw.Draw(sheet)
        pen.rectangle((x, y, x + _CELL[0] - 1, y + _CELL[1] - 1), outline=(70, 74, 80))
        centre = (x + _CELL[0] // 2, y + _CELL[1] // 2)
        pen.text(centre, "no picture", _FADED, ImageFont.load_default(16), "mm")
        return
    with Image.open(path) as picture:
        picture.thumbnail(_CELL, Image.Resampling.LANCZOS)
        left, top = (_CELL[0] - picture.width) // 2, (_CELL[1] - picture.height) // 2
        sheet.paste(picture, (x + left, y + top))


def _draw_caption(
    pen: ImageDraw.ImageDraw, x: int, y: int, id_: str, status: str, reasons: Sequence[str]
) -> None:
    font = ImageFont.load_default(15)
    pen.text((x + _CELL[0], y), status, _ALARM if status == "rejected" else _MENDED, font, "ra")
    room = _CELL[0] - round(pen.textlength(status, font)) - _GAP
    pen.text((x, y), _wrapped(id_, font, room, 1)[0], _INK, font)
    for number, line in enumerate(_wrapped("; ".join(reasons), font, _CELL[0], _LINES), 1):
        pen.text((x, y + number * _LINE), line, _FADED, font)


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float, lines: int
) -> list[str]:
    """Wrap `text` into at most `lines` lines of `room` px and truncate the rest."""
    result = [""]
    for word in text.split(" "):
        longer = f"{result[-1]} {word}".strip()
        if not result[-1] or font.getlength(longer) <= room:
            result[-1] = longer
        else:
            result.append(word)
    if len(result) > lines:
        result = result[:lines]
        result[-1] += " ..."
    for index, line in enumerate(result):
        while len(line) > 4 and font.getlength(line) > room:
            line = line[:-4] + "..."
        result[index] = line
    return result
