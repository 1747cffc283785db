"""Contact sheets that show predictions over true masks, to see errors at a glance."""

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
"""RGB of pixels that only the true mask covers, only the prediction, and both."""

COLOURS = {"true mask": TRUTH, "prediction": PREDICTION, "both": BOTH}
MATCH, MISMATCH = (255, 255, 255), (0, 200, 60)
MATCHES = {"match": MATCH, "mismatch": MISMATCH}
"""`COLOURS` and `MATCHES` are the legends of `draw_case` and `draw_matches`."""

_CELL = (560, 420)  # Width and height of a picture, px.
_GAP = 12
_CAPTION = 34
_HEADER = 52
_MARGIN = 0.2  # Margin around the hands, as a share of the longer side of their box.
_PAPER, _INK, _FADED = (24, 26, 30), (235, 236, 238), (160, 164, 170)


@dataclass(frozen=True, eq=False)
class Case:
    """A photo's name and IoU, and the crop around its hands, plain and with the masks drawn."""

    name: str
    iou: float
    photo: Image.Image
    picture: Image.Image


def draw_case(
    name: str, iou: float, image: np.ndarray, truth: np.ndarray, prediction: np.ndarray
) -> Case:
    """Draw both masks on the part of the photo that contains them.

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
    # Masks resized as grey pictures keep smooth edges.
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
    # The lower line is wider, so that both are visible where they coincide.
    for alpha, color, width in zip(alphas, (TRUTH, PREDICTION), (4, 2), strict=True):
        outlines = [np.rint(line * 16).astype(np.int32) for line in trace(alpha)]
        cv2.polylines(canvas, outlines, True, color, width, cv2.LINE_AA, shift=4)
    return Case(name, iou, Image.fromarray(photo), Image.fromarray(canvas))


def draw_matches(
    name: str, iou: float, image: np.ndarray, truth: np.ndarray, prediction: np.ndarray
) -> Case:
    """Draw both masks over the whole frame: white where they agree on a hand, green where not.

    Takes the arguments of `draw_case`. Where neither mask has a hand, the picture is black.
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
    """Draw all cases under a header with `title` and the legend of the colours, RGB."""
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
    """Shorten `text` in the middle to fit into `room` px."""
    if font.getlength(text) <= room:
        return text
    for length in range(len(text) - 1, 1, -1):
        end = length // 2
        short = f"{text[: length - end]}...{text[-end:]}"
        if font.getlength(short) <= room:
            return short
    return "..."


def _window(mask: np.ndarray) -> tuple[slice, slice]:
    """Return rows and columns around `mask` (H, W), with a cell's aspect ratio if possible."""
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
    """Return `length` px around `centre`, shifted and cut to lie in 0..`limit`."""
    size = min(round(length), limit)
    start = min(max(0, round(centre - length / 2)), limit - size)
    return slice(start, start + size)


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize `image` to `size` (width, height), averaging pixels when it shrinks."""
    shrinks = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
