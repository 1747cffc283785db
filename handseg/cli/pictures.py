"""The results of `handseg segment` for each photo, as files or as members of a shard."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from handseg.cli.json_file import JsonFile, photo_row
from handseg.cli.outputs import InputPhoto
from handseg.data.shard_members import MASK, OBJECT_MASK, RECORD
from handseg.io.files import encode_image, save_image
from handseg.io.images import load_image
from handseg.results import Edge, HandSegmentation
from handseg.results.overlay import parse_color

CUTOUT, COMPOSITE, OVERLAY = "cutout.png", "composite.png", "overlay.jpg"
"""Suffixes in shards. They cannot clash with photos, which are KEY.jpg or KEY.png in data sets."""


def read_background(value: str) -> tuple[int, int, int] | np.ndarray:
    """Return the colour or image that `value` names; called once, not for every photo.

    Raises:
        ValueError: if `value` is neither.
    """
    try:
        return parse_color(value, "--background")
    except ValueError as no_color:
        try:
            return load_image(value)
        except ValueError as no_picture:
            raise ValueError(f"{no_color}; nor is it a picture: {no_picture}") from no_picture


class _Picture(NamedTuple):
    file: Callable[[InputPhoto], Path]
    suffix: str
    draw: Callable[[HandSegmentation], Any]


@dataclass(frozen=True, eq=False)
class Outputs:
    """Results to write for each photo; `background` is a colour (r, g, b) or (H, W, 3) uint8."""

    mask: bool
    objects: bool
    overlay: bool
    background: tuple[int, int, int] | np.ndarray | None
    edge: Edge
    crop: bool
    overwrite: bool

    def files(self, photo: InputPhoto) -> list[Path]:
        return [picture.file(photo) for picture in self._pictures()]

    def are_there(self, photo: InputPhoto, rows: JsonFile | None) -> bool:
        there = all(map(os.path.exists, self.files(photo)))  # Also works for names too long.
        return there and (rows is None or photo.path in rows)

    def write(self, photo: InputPhoto, result: HandSegmentation, rows: JsonFile | None) -> None:
        """Write the photo's files and then its row, so that a row implies complete files."""
        for picture in self._pictures():
            file = picture.file(photo)
            if file.exists() and not self.overwrite:
                continue
            if (drawn := picture.draw(result)) is not None:
                save_image(drawn, file, result.dpi)
        if rows is not None:
            rows.add(photo.path, result.to_dict())

    def members(
        self, photo: InputPhoto, result: HandSegmentation
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the values of the photo's row, and its members in a shard by suffix."""
        values = result.to_dict()
        members = {
            picture.suffix: encode_image(drawn, picture.suffix, result.dpi)
            for picture in self._pictures()
            if (drawn := picture.draw(result)) is not None
        }
        return values, {**members, RECORD: json.dumps(photo_row(photo.path, values)).encode()}

    def identity(self) -> dict[str, Any]:
        """Return all that determines the pictures, JSON-serialisable."""
        named = asdict(self)
        del named["overwrite"]
        if isinstance(self.background, np.ndarray):
            named["background"] = hashlib.sha256(self.background.tobytes()).hexdigest()
        return named

    def _pictures(self) -> Iterator[_Picture]:
        suffix = CUTOUT if self.background is None else COMPOSITE
        yield _Picture(attrgetter("picture"), suffix, self._lay)
        if self.mask:
            yield _Picture(attrgetter("mask"), MASK, attrgetter("mask"))
        if self.objects:
            yield _Picture(attrgetter("object_mask"), OBJECT_MASK, attrgetter("object_mask"))
        if self.overlay:
            yield _Picture(attrgetter("overlay"), OVERLAY, HandSegmentation.overlay)

    def _lay(self, result: HandSegmentation) -> Image.Image:
        if self.background is None:
            return result.cutout(self.crop, self.edge)
        return result.composite(self.background, self.edge, self.crop)
