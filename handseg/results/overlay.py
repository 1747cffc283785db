"""Draw hands and prompts on a photo."""

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
from handseg.postprocess.outline import trace
from handseg.prompts.batch import NEGATIVE, POSITIVE

if TYPE_CHECKING:
    from handseg.prompts import HandPrompts
    from handseg.results.hand import Hand

PALETTE = ((0, 200, 255), (255, 140, 40), (120, 220, 60), (240, 90, 200))
"""RGB colours for the hands of a photo, in turn."""
OBJECT_COLOR = (255, 225, 30)
"""RGB of held objects."""

_ON, _OFF, _BOX, _BONE = (40, 200, 60), (235, 40, 40), (255, 210, 0), (150, 170, 190)

_SHIFT = 4  # OpenCV draws with this many fractional bits.


def parse_color(value: str | Sequence[int], name: str) -> tuple[int, int, int]:
    """Convert a CSS name, "#rrggbb" or three integers to RGB in 0..255; `name` is for errors."""
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
    """Make the RGB background for `HandSegmentation.composite`."""
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
            raise ValueError(f"{no_color}; it is not a picture either: {error}") from error
    else:
        picture = load_image(background)
    return ImageOps.fit(Image.fromarray(picture), (width, height))


def overlay(
    image: np.ndarray,
    hands: Sequence[Hand],
    color: tuple[int, int, int] | None,
    landmarks: bool,
    opacity: float,
) -> Image.Image:
    """Result of `HandSegmentation.overlay`; `color` None cycles through the palette."""
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
    """Draw the prompts of each hand on the photo, RGB.

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
    """Line width in px that looks alike on photos of any size."""
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
    # Many short segments would blend over each other, which undoes anti-aliasing.
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
    """Write `text` on a plate above `box` (xyxy px), or inside it if the photo ends there."""
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
