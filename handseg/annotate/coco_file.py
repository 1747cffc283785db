"""Write `coco.json` record by record, so that long videos need little memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from handseg.landmarks.anatomy import BONES, LANDMARK_NAMES
from handseg.runtime.files import write_atomic

HAND_CATEGORY: dict[str, Any] = {
    "id": 1,
    "name": "hand",
    "keypoints": list(LANDMARK_NAMES),
    "skeleton": [[first + 1, second + 1] for first, second in BONES],
}
OBJECT_CATEGORY: dict[str, Any] = {"id": 2, "name": "object"}


class CocoFile:
    """Writes the COCO entries of frames, in order, and numbers their annotations from 1."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._images: list[str] = []
        self._written = 0

    def add(self, image: Mapping[str, Any], annotations: list[dict[str, Any]]) -> None:
        """Write a frame; the ids of its annotations start at 1 within the frame."""
        self._images.append(json.dumps(image))
        first = self._written
        for annotation in annotations:
            renumbered = {**annotation, "id": annotation["id"] + first}
            if "held_by" in annotation:
                renumbered["held_by"] = annotation["held_by"] + first
            self._file.write(",\n" if self._written else "\n")
            self._file.write(json.dumps(renumbered))
            self._written += 1

    def _end(self) -> None:
        self._file.write('\n],\n"images": [\n' + ",\n".join(self._images) + "\n]\n}\n")


@contextmanager
def coco_file(path: Path, objects: bool) -> Iterator[CocoFile]:
    """Write a COCO file atomically; `objects` adds their category."""
    categories = [HAND_CATEGORY, OBJECT_CATEGORY] if objects else [HAND_CATEGORY]
    with write_atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{\n"categories": ' + json.dumps(categories) + ',\n"annotations": [')
        writer = CocoFile(file)
        yield writer
        writer._end()
