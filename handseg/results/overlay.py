"""Outlines of an alpha, and what is drawn from them on a photo."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from numbers import Integral
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from handseg.errors import ImageError
from handseg.io.images import ImageSource, load_image
from handseg.landmarks.anatomy import BONES
from handseg.prompts.batch import NEGATIVE, POSITIVE

if TYPE_CHECKING:
    from handseg.prompts import HandPrompts
    from handseg.results.hand import Hand

PALETTE = ((0, 200, 255), (255, 140, 40), (120, 220, 60), (240, 90, 200))
"""RGB of the hands of one photo, in turn."""
OBJECT_COLOR = (255, 225, 30)
"""RGB of what they hold."""

_ON, _OFF, _BOX, _BONE = (40, 200, 60), (235, 40, 40), (255, 210, 0), (150, 170, 190)

_SHIFT = 4  # OpenCV draws with this many fractional bits.

# A cell of marching squares has its corners at bits 1 (top left), 2 (top right), 4 (bottom right)
# and 8 (bottom left). The boundary enters it by one edge and leaves it by another, numbered from
# the top clockwise, with what is inside on its left as the photo is seen.
_ENTRY = np.array([0, 3, 0, 3, 1, 0, 0, 3, 2, 2, 0, 2, 1, 1, 0, 0])
_EXIT = np.array([0, 0, 1, 1, 2, 0, 2, 2, 3, 0, 0, 1, 3, 0, 3, 0])
# The saddles (two opposite corners inside) as two cells of one crossing each: apart, or joined.
_SADDLES = ((5, (1, 4), (7, 13)), (10, (2, 8), (11, 14)))


def parse_color(value: str | Sequence[int], name: str) -> tuple[int, int, int]:
    """RGB 0..255 from a CSS name, "#rrggbb" or three integers; `name` is for the error."""
    channels: Sequence[int] = ()
    if not isinstance(value, str):
        channels = value
    else:
        with suppress(ValueError):
            channels = ImageColor.getrgb(value)
    valid = (isinstance(channel, Integral) and 0 <= channel <= 255 for channel in channels)
    if len(channels) != 3 or not all(valid):
        raise ValueError(
            f'{name} must be a colour name, "#rrggbb" or (r, g, b) in 0..255, got {value!r}'
        )
    red, green, blue = (int(channel) for channel in channels)
    return red, green, blue


def backdrop(
    background: ImageSource | tuple[int, int, int] | list[int], height: int, width: int
) -> Image.Image:
    """The RGB picture that `HandSegmentation.composite` lays the hands on."""
    if isinstance(background, str | tuple | list):
        try:
            return Image.new("RGB", (width, height), parse_color(background, "background"))
        except ValueError as error:
            if not isinstance(background, str):
                raise
            no_color = error
        try:
            picture = load_image(background)
        except ImageError as error:
            raise ValueError(f"{no_color}; nor is it a picture: {error}") from error
    else:
        picture = load_image(background)
    return ImageOps.fit(Image.fromarray(picture), (width, height))


def trace(alpha: np.ndarray) -> list[np.ndarray]:
    """The outlines of `alpha` (h, w) uint8 at half of 255, by marching squares.

    Crossings are interpolated between pixel centres, outside of the array is 0. Where two
    opposite pixels of four are inside, the mean of the four says whether they touch.

    Returns:
        Closed polygons, (N, 2) float32 x, y in pixels, the first point not repeated, the one that
        encloses most first. Seen on the photo, what is inside lies to the left: outer outlines
        run counter-clockwise, the outlines of holes clockwise.
    """
    padded = np.pad(alpha, 1)
    width = padded.shape[1]
    inside = (padded >= 128).astype(np.uint8)
    code = inside[:-1, :-1] | inside[:-1, 1:] << 1 | inside[1:, 1:] << 2 | inside[1:, :-1] << 3
    rows, columns = np.nonzero((code != 0) & (code != 15))
    if not len(rows):
        return []
    kind = code[rows, columns].astype(np.int64)
    corner = rows * width + columns
    values = padded.reshape(-1)

    for saddle, apart, joined in _SADDLES:
        here = np.flatnonzero(kind == saddle)
        around = corner[here, None] + np.array([0, 1, width, width + 1])
        touch = values[around].mean(axis=1) >= 127.5
        kind[here] = np.where(touch, joined[0], apart[0])
        kind = np.append(kind, np.where(touch, joined[1], apart[1]))
        corner = np.append(corner, corner[here])

    # An edge is named by twice the index of its first pixel, plus one where it runs downwards.
    edges = 2 * corner[:, None] + np.array([0, 3, 2 * width, 1])
    segments = np.arange(len(kind))
    entry, leave = edges[segments, _ENTRY[kind]], edges[segments, _EXIT[kind]]
    order = np.argsort(entry)
    entry, leave = entry[order], leave[order]
    following = np.searchsorted(entry, leave).tolist()

    first, downwards = entry >> 1, (entry & 1).astype(bool)
    start = values[first].astype(np.float32)
    end = values[first + np.where(downwards, width, 1)].astype(np.float32)
    fraction = (127.5 - start) / (end - start)
    points = np.stack([first % width - 1, first // width - 1], axis=1).astype(np.float32)
    points[segments, downwards.astype(np.int64)] += fraction

    polygons = []
    seen = bytearray(len(following))
    for begin in range(len(following)):
        loop = []
        segment = begin
        while not seen[segment]:
            seen[segment] = 1
            loop.append(segment)
            segment = following[segment]
        if loop:
            polygons.append(points[loop])
    return sorted(polygons, key=cv2.contourArea, reverse=True)


def overlay(
    image: np.ndarray,
    hands: Sequence[Hand],
    color: tuple[int, int, int] | None,
    landmarks: bool,
    opacity: float,
) -> Image.Image:
    """What `HandSegmentation.overlay` returns; None for `color` takes the palette's in turn."""
    canvas = image.copy()
    width = _line_width(image)
    colors = [color or PALETTE[number % len(PALETTE)] for number in range(len(hands))]
    for hand, rgb in zip(hands, colors, strict=True):
        _tint(canvas, hand.patch, hand.offset, rgb, opacity)
    for hand in hands:
        if hand.object_patch is not None:
            _tint(canvas, hand.object_patch, hand.object_offset, OBJECT_COLOR, opacity)
            corner = np.array(hand.object_offset, np.float32)
            outlines = [line + corner for line in trace(hand.object_patch)]
            _draw_outlines(canvas, outlines, OBJECT_COLOR, width)
    for hand, rgb in zip(hands, colors, strict=True):
        _draw_outlines(canvas, hand.contours(), rgb, width)
        _draw_box(canvas, hand.box, rgb, max(1, width // 2))
        if landmarks and hand.landmarks is not None:
            _draw_skeleton(canvas, hand.landmarks, rgb, width)
    picture = Image.fromarray(canvas)
    for hand, rgb in zip(hands, colors, strict=True):
        text = ", ".join(filter(None, (hand.handedness, f"IoU {hand.predicted_iou:.2f}")))
        _draw_label(picture, text, hand.box, rgb, width)
    return picture


def prompts(image: np.ndarray, hands: Sequence[HandPrompts]) -> Image.Image:
    """The photo with what a model is told of each hand, RGB.

    Points on the hand are green discs, points off it red crosses, boxes yellow, bones white.

    Args:
        image: (H, W, 3) uint8 RGB.
        hands: in pixels of `image`.
    """
    canvas = image.copy()
    width = _line_width(image)
    for hand in hands:
        if hand.landmarks is not None:
            _draw_skeleton(canvas, hand.landmarks, _BONE, width)
        if hand.box is not None:
            _draw_box(canvas, hand.box, _BOX, width)
        for point, label in zip(hand.points, hand.labels, strict=True):
            if label == POSITIVE:
                _draw_disc(canvas, point, 2.6 * width + 1, (255, 255, 255))
                _draw_disc(canvas, point, 1.9 * width + 0.7, _ON)
            elif label == NEGATIVE:
                reach = 2.6 * width + 1
                arms = [
                    point + np.array([[-reach, s * reach], [reach, -s * reach]]) for s in (1, -1)
                ]
                for color, thick in (((255, 255, 255), 2 * width + 2), (_OFF, width + 1)):
                    cv2.polylines(
                        canvas, list(map(_fixed, arms)), False, color, thick, cv2.LINE_AA, _SHIFT
                    )
    return Image.fromarray(canvas)


def _line_width(image: np.ndarray) -> int:
    """px: so that lines look alike on photos of every size."""
    return max(1, round((image.shape[0] * image.shape[1]) ** 0.5 / 350))


def _tint(
    canvas: np.ndarray,
    patch: np.ndarray,
    offset: tuple[int, int],
    color: tuple[int, int, int],
    opacity: float,
) -> None:
    """Lay `color` over `canvas` (H, W, 3) uint8, in place, where `patch` (h, w) uint8 is alpha.

    `offset` is the x, y of the patch's first pixel.
    """
    x, y = offset
    view = canvas[y : y + patch.shape[0], x : x + patch.shape[1]]
    if view.size:
        below = Image.fromarray(view)
        below.paste(color, mask=Image.fromarray(cv2.convertScaleAbs(patch, alpha=opacity)))
        view[:] = np.asarray(below)


def _draw_outlines(
    canvas: np.ndarray, polygons: Sequence[np.ndarray], color: tuple[int, int, int], width: int
) -> None:
    """Draw closed polygons, (N, 2) x, y px each, on `canvas` (H, W, 3) uint8, in place."""
    # Many short steps are blended over each other, which undoes the smoothing of the edge.
    simple = [cv2.approxPolyDP(polygon, 0.3, closed=True) for polygon in polygons]
    cv2.polylines(
        canvas, [_fixed(line) for line in simple], True, color, width, cv2.LINE_AA, _SHIFT
    )


def _draw_skeleton(
    canvas: np.ndarray, landmarks: np.ndarray, color: tuple[int, int, int], width: int
) -> None:
    """Draw bones and joints of `landmarks` (21, 2) px on `canvas` (H, W, 3) uint8, in place."""
    joints = _fixed(landmarks)
    bones = [joints[list(bone)] for bone in BONES]
    thin = max(1, round(0.7 * width))
    cv2.polylines(canvas, bones, False, (255, 255, 255), thin, cv2.LINE_AA, _SHIFT)
    for joint in landmarks:
        _draw_disc(canvas, joint, 1.8 * width + 0.7, (255, 255, 255))
        _draw_disc(canvas, joint, 1.1 * width + 0.4, color)


def _draw_disc(
    canvas: np.ndarray, centre: np.ndarray, radius: float, color: tuple[int, int, int]
) -> None:
    """Fill a disc on `canvas` (H, W, 3) uint8, in place; OpenCV draws small circles as diamonds."""
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    circle = centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cv2.fillConvexPoly(canvas, _fixed(circle), color, cv2.LINE_AA, _SHIFT)


def _draw_box(canvas: np.ndarray, box: np.ndarray, color: tuple[int, int, int], width: int) -> None:
    """Draw `box`, xyxy px, on `canvas` (H, W, 3) uint8, in place."""
    first, last = _fixed(np.asarray(box).reshape(2, 2)).tolist()
    cv2.rectangle(canvas, first, last, color, width, cv2.LINE_AA, _SHIFT)


def _draw_label(
    picture: Image.Image, text: str, box: np.ndarray, color: tuple[int, int, int], width: int
) -> None:
    """Write `text` on a plate above `box` (xyxy px), or inside of it where the photo ends."""
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(max(10, 7 * width))
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    margin = max(2, 2 * width)
    plate_width, plate_height = right - left + 2 * margin, bottom - top + 2 * margin
    x = min(max(0, round(float(box[0]))), max(0, picture.width - round(plate_width)))
    above = round(float(box[1])) - round(plate_height)
    y = above if above >= 0 else max(0, round(float(box[1])))
    draw.rectangle((x, y, x + plate_width, y + plate_height), fill=color)
    luminance = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    ink = (0, 0, 0) if luminance > 128 else (255, 255, 255)
    draw.text((x + margin - left, y + margin - top), text, fill=ink, font=font)


def _fixed(points: np.ndarray) -> np.ndarray:
    """Points as the fixed-point integers that OpenCV draws with."""
    return np.rint(np.asarray(points, np.float32) * 2**_SHIFT).astype(np.int32)
