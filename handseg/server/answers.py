"""Answers to a photo: its cut-out, its mask or its numbers, as files in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from handseg.errors import ImageError
from handseg.io.decode import open_image
from handseg.io.files import encode_image
from handseg.measure import hand_dict, measure_hand
from handseg.pipeline.interface import Segmenter
from handseg.results import HandSegmentation
from handseg.results.overlay import parse_color
from handseg.server.query import CutoutQuery, NumbersQuery, Query

PNG, JSON = "image/png", "application/json"


class PhotoTooLarge(ImageError):
    """The photo has more pixels than the server accepts."""


@dataclass(frozen=True)
class Answer:
    """A file's content and media type, and the number of hands."""

    content: bytes
    media_type: str
    hands: int


Q = TypeVar("Q", bound=Query)
Give: TypeAlias = Callable[[HandSegmentation, Q], Answer]


def answer(segmenter: Segmenter, photo: bytes, query: Q, give: Give[Q], max_pixels: int) -> Answer:
    """Segment the hands in the file `photo`, and make the requested answer with `give`.

    Raises:
        PhotoTooLarge: if it has more than `max_pixels`; it is then not decoded.
        ValueError: as `Segmenter.segment` and `measure_hand`.
    """
    with open_image(photo, sys.maxsize) as opened:
        width, height = opened.image.size
    if width * height > max_pixels:
        raise PhotoTooLarge(
            f"the photo has {width} x {height} px, expected at most {max_pixels / 1e6:g} megapixels"
        )
    return give(segmenter.segment(photo, **query.options()), query)


def cutout(result: HandSegmentation, query: CutoutQuery) -> Answer:
    """Return the hands on a transparent or coloured background, like `handseg segment`."""
    if query.background is None:
        picture = result.cutout(edge=query.edge)
    else:
        # Never pass the text itself: `composite` would look for a file with that name.
        picture = result.composite(parse_color(query.background, "background"), query.edge)
    return Answer(encode_image(picture, "cutout.png", result.dpi), PNG, len(result))


def mask(result: HandSegmentation, query: Query) -> Answer:
    """Return a mask, white on the hands, like `handseg segment --mask`."""
    return Answer(encode_image(result.mask, "mask.png", result.dpi), PNG, len(result))


def numbers(result: HandSegmentation, query: NumbersQuery) -> Answer:
    """Return a row of `handseg segment --json`, plus `handseg measure --json` with a scale."""
    values = result.to_dict()
    if (how := query.how()) is not None:
        values["measurement"] = hand_dict(measure_hand(result, **how), fit=query.fit)
    return Answer(json.dumps(values, allow_nan=False).encode(), JSON, len(result))
