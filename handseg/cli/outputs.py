"""Where the results of a photo go, and the rows of the JSON file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handseg.errors import ImageError
from handseg.files import IMAGE_SUFFIXES, find_images, write_atomic


@dataclass(frozen=True)
class Photo:
    """A photo, and the name of its results without what each kind of result adds.

    Attributes:
        path: as the inputs led to it.
        result: path in the output folder.
    """

    path: Path
    result: Path

    @property
    def picture(self) -> Path:
        """The cut-out or composite."""
        return self.result.with_name(f"{self.result.name}.png")

    @property
    def mask(self) -> Path:
        return self.result.with_name(f"{self.result.name}_mask.png")

    @property
    def object_mask(self) -> Path:
        return self.result.with_name(f"{self.result.name}_object.png")

    @property
    def overlay(self) -> Path:
        return self.result.with_name(f"{self.result.name}_overlay.jpg")


def find_photos(inputs: Sequence[str], output: Path, recursive: bool) -> list[Photo]:
    """The photos that files, folders and patterns name, and where their results go.

    No two photos share a result, and no result replaces a photo. A name depends on the inputs and
    on what the photo's own folder holds, not on the other photos of the run, so that a second run
    finds the results of the first. What lies in the output folder counts as a photo only if an
    input names the file itself.

    Raises:
        ImageError: if an input gives no photo.
        ValueError: if results would come to lie beside the photos.
    """
    target = _absolute(output)
    root = Path(os.path.commonpath([_root(entry) for entry in inputs]))
    if target == root:
        raise ValueError(f"--output {output} is where the photos are, choose another folder")
    found: dict[Path, Path] = {}
    for entry in inputs:
        paths = find_images([entry], recursive=recursive)
        if not Path(entry).is_file():
            paths = [path for path in paths if target not in _absolute(path).parents]
            if not paths:
                raise ImageError(f"{entry} holds no image but those in the output folder {output}")
        for path in paths:
            found.setdefault(_absolute(path), path)

    claims: dict[Path, Counter[str]] = {}
    for folder in {path.parent for path in found}:
        named = {path for path in found if path.parent == folder}
        claims[folder] = _claims(named | _images_in(folder))
    photos = []
    for absolute, path in found.items():
        clash = any(claims[absolute.parent][name] > 1 for name in _names(absolute.stem))
        name = _stem_and_suffix(absolute) if clash else absolute.stem
        photos.append(Photo(path, target / absolute.parent.relative_to(root) / name))
    taken = {_absolute(photo.path) for photo in photos}
    for photo in photos:
        if taken & {photo.picture, photo.mask, photo.object_mask, photo.overlay}:
            raise ValueError(f"--output {output}: a result of {photo.path} would replace a photo")
    return photos


def _absolute(path: str | Path) -> Path:
    """`path` without `..`, links kept: they are how a person arranged the photos."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _root(entry: str) -> Path:
    """The folder that results of this input are arranged below."""
    path = _absolute(entry)
    if path.is_dir():
        return path
    if not path.exists():
        for index, part in enumerate(path.parts):
            if any(sign in part for sign in "*?["):
                return Path(*path.parts[:index])
    return path.parent


def _images_in(folder: Path) -> set[Path]:
    return {
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    }


def _names(stem: str) -> set[str]:
    """Of results that are PNG files, and may be the same as another photo's."""
    return {name.casefold() for name in (stem, f"{stem}_mask", f"{stem}_object")}


def _stem_and_suffix(path: Path) -> str:
    return f"{path.stem}_{path.suffix[1:]}"


def _claims(files: Iterable[Path]) -> Counter[str]:
    """How many of `files` may give a result each name, with and without their suffix in it."""
    return Counter(
        name for path in files for name in _names(path.stem) | _names(_stem_and_suffix(path))
    )


class JsonRows:
    """The rows of a JSON file by photo; those it held before stay unless they are replaced.

    Raises:
        ValueError: if `file` exists and is not a list of such rows.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._rows: dict[Path, dict[str, Any]] = {}
        if not file.exists():
            return
        try:
            rows = json.loads(file.read_text(encoding="utf-8"))
            self._rows = {_absolute(row["file"]): row for row in rows}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"--json {file} exists and is not a list of photos that this command wrote"
            ) from error

    def __contains__(self, photo: Path) -> bool:
        return _absolute(photo) in self._rows

    def add(self, photo: Path, values: dict[str, Any]) -> None:
        self._rows[_absolute(photo)] = {"file": photo.as_posix(), **values}

    def write(self) -> None:
        rows = [self._rows[path] for path in sorted(self._rows)]
        lines = ",\n".join(json.dumps(row) for row in rows)
        with write_atomic(self.file) as temporary:
            temporary.write_text(f"[\n{lines}\n]\n" if rows else "[]\n", encoding="utf-8")
