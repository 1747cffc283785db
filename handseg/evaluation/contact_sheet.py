"""Predictions and true masks side by side in one picture, to see at a glance what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from handseg.postprocess.outline import trace

SIDE_BY_SIDE = 3
"""Pictures in a row."""

TRUTH, PREDICTION, BOTH = (0, 190, 255), (255, 120, 0), (90, 220, 90)
"""RGB of what only the true mask covers, what only the prediction covers, and what both do."""

COLOURS = {"true mask": TRUTH, "prediction": PREDICTION, "both": BOTH}
MATCH, MISMATCH = (255, 255, 255), (0, 200, 60)
MATCHES = {"match": MATCH, "mismatch": MISMATCH}
"""What the colours of `draw_case` and of `draw_matches` mean."""

_CELL = (560, 420)  # Width and height of a picture, px.
_GAP = 12
_CAPTION = 34
_HEADER = 52
_MARGIN = 0.2  # Of what is seen around the hands, as a share of the longer side of their box.
_PAPER, _INK, _FADED = (24, 26, 30), (235, 236, 238), (160, 164, 170)


@dataclass(frozen=True, eq=False)
class Case:
    """A photo with its name and IoU: the part that its hands are in, as it is and drawn on."""

    name: str
    iou: float
    photo: Image.Image
    picture: Image.Image


def draw_case(
    name: str, iou: float, image: np.ndarray, truth: np.ndarray, prediction: np.ndarray
) -> Case:
    """Draw both masks on the part of the photo that they are in.

    Args:
        name: for the caption.
        iou: for the caption.
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) bool.
        prediction: (H, W) bool.
    """
    rows, columns = _window(truth | prediction)
    view = image[rows, columns]
    scale = min(_CELL[0] / view.shape[1], _CELL[1] / view.shape[0])
    size = max(1, round(view.shape[1] * scale)), max(1, round(view.shape[0] * scale))
    photo = _resize(view, size)
    canvas = photo.copy()
    # Resized as grey pictures, masks keep smooth edges.
    alphas = [
        _resize(mask[rows, columns].astype(np.uint8) * 255, size) for mask in (truth, prediction)
    ]
    true, predicted = (alpha >= 128 for alpha in alphas)
    for where, color, opacity in (
        (true & predicted, BOTH, 0.2),
        (true & ~predicted, TRUTH, 0.6),
        (predicted & ~true, PREDICTION, 0.6),
    ):
        canvas[where] = (1 - opacity) * canvas[where] + opacity * np.array(color)
    # The lower line is the wider one: both are seen where they coincide.
    for alpha, color, width in zip(alphas, (TRUTH, PREDICTION), (4, 2), strict=True):
        outlines = [np.rint(line * 16).astype(np.int32) for line in trace(alpha)]
        cv2.polylines(canvas, outlines, True, color, width, cv2.LINE_AA, shift=4)
    return Case(name, iou, Image.fromarray(photo), Image.fromarray(canvas))


def draw_matches(
    name: str, iou: float, image: np.ndarray, truth: np.ndarray, prediction: np.ndarray
) -> Case:
    """The whole photo with white where both masks show a hand, green where one alone does.

    The arguments are those of `draw_case`; where neither mask shows one the picture is black.
    """
    scale = min(_CELL[0] / image.shape[1], _CELL[1] / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    canvas = np.zeros((*truth.shape, 3), np.uint8)
    canvas[truth & prediction] = MATCH
    canvas[truth ^ prediction] = MISMATCH
    return Case(
        name, iou, Image.fromarray(_resize(image, size)), Image.fromarray(_resize(canvas, size))
    )


def draw_sheet(
    cases: Sequence[Case], title: str, legend: Mapping[str, tuple[int, int, int]] = COLOURS
) -> Image.Image:
    """All cases under a header with `title` and the meaning of the colours, RGB."""
    rows = -(-len(cases) // SIDE_BY_SIDE)
    cell_width, cell_height = _CELL[0] + _GAP, _CELL[1] + _CAPTION + _GAP
    sheet = Image.new(
        "RGB", (_GAP + SIDE_BY_SIDE * cell_width, _HEADER + rows * cell_height), _PAPER
    )
    pen = ImageDraw.Draw(sheet)
    _draw_header(pen, title, sheet.width, legend)
    font = ImageFont.load_default(18)
    for index, case in enumerate(cases):
        x = _GAP + index % SIDE_BY_SIDE * cell_width
        y = _HEADER + index // SIDE_BY_SIDE * cell_height
        picture = case.picture
        sheet.paste(
            picture, (x + (_CELL[0] - picture.width) // 2, y + (_CELL[1] - picture.height) // 2)
        )
        score = f"IoU {case.iou:.3f}"
        room = _CELL[0] - pen.textlength(score, font) - 2 * _GAP
        middle = y + _CELL[1] + _CAPTION // 2
        pen.text((x, middle), _shortened(case.name, font, room), _INK, font, "lm")
        pen.text((x + _CELL[0], middle), score, _INK, font, "rm")
    return sheet


def _draw_header(
    pen: ImageDraw.ImageDraw, title: str, width: int, legend: Mapping[str, tuple[int, int, int]]
) -> None:
    font, small = ImageFont.load_default(22), ImageFont.load_default(18)
    middle = _HEADER // 2
    x = width - _GAP
    for label, color in reversed(list(legend.items())):
        pen.text((x, middle), label, _FADED, small, "rm")
        x -= round(pen.textlength(label, small)) + 8
        pen.rectangle((x - 18, middle - 9, x, middle + 9), fill=color)
        x -= 18 + 24
    pen.text((_GAP, middle), _shortened(title, font, x - _GAP), _INK, font, "lm")


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float) -> str:
    """`text` with its middle left out as far as it takes to fit into `room` px."""
    if font.getlength(text) <= room:
        return text
    for length in range(len(text) - 1, 1, -1):
        end = length // 2
        short = f"{text[: length - end]}...{text[-end:]}"
        if font.getlength(short) <= room:
            return short
    return "..."


def _window(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns around what `mask` (H, W) shows, shaped like a cell as far as they can."""
    height, width = mask.shape
    x, y, box_width, box_height = cv2.boundingRect(mask.astype(np.uint8))
    if not box_width:
        return slice(0, height), slice(0, width)
    margin = 2 * _MARGIN * max(box_width, box_height)
    wanted_width = max(box_width + margin, (box_height + margin) * _CELL[0] / _CELL[1])
    wanted_height = wanted_width * _CELL[1] / _CELL[0]
    return (
        _span(y + box_height / 2, wanted_height, height),
        _span(x + box_width / 2, wanted_width, width),
    )


def _span(centre: float, length: float, limit: int) -> slice:
    """`length` px around `centre`, moved and cut to lie in 0..`limit`."""
    size = min(round(length), limit)
    start = min(max(0, round(centre - length / 2)), limit - size)
    return slice(start, start + size)


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`image` at `size` (width, height), each pixel the mean of those that it covers."""
    shrinks = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
