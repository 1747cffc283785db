"""Find the input photos and the paths of their results."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from handseg.errors import ImageError
from handseg.io.files import IMAGE_SUFFIXES, find_images, is_marked
from handseg.io.video import is_video
from handseg.runtime.files import fit_name

STANDARD = "-"
"""Names standard input among the inputs, and standard output as the output."""

_LONGEST_SUFFIX = "_measured.jpg"


@dataclass(frozen=True, slots=True)
class InputPhoto:
    """A photo, and the name of its results without each result's suffix.

    Attributes:
        path: path as found from the inputs.
        result: path in the output folder.
        named: file that the caller named for the cut-out, or None.
    """

    path: Path
    result: Path
    named: Path | None = None

    def source(self) -> Path | bytes:
        """Return the file, or the content of standard input."""
        return sys.stdin.buffer.read() if str(self.path) == STANDARD else self.path

    @property
    def picture(self) -> Path:
        """The cut-out or composite."""
        return self.named or Path(f"{self.result}.png")

    @property
    def mask(self) -> Path:
        return Path(f"{self.result}_mask.png")

    @property
    def object_mask(self) -> Path:
        return Path(f"{self.result}_object.png")

    @property
    def overlay(self) -> Path:
        return Path(f"{self.result}_overlay.jpg")

    @property
    def measured(self) -> Path:
        return Path(f"{self.result}_measured.jpg")


def find_photos(inputs: Sequence[str], output: Path, recursive: bool) -> list[InputPhoto]:
    """Return the photos in files, folders and patterns, and where their results go.

    No two photos share a result, and no result replaces a photo. A name depends on the inputs and
    on the contents of the photo's own folder, not on the other photos of the run, so that a second
    run finds the results of the first. A file in the output folder counts as a photo only if an
    input names the file itself. The input "-" is standard input, and its results are called
    "stdin". An output that ends in .png and is not a folder is the cut-out of a single photo.

    Raises:
        ImageError: if an input has no photo, is a video or a URL.
        ValueError: if results would be next to the photos, or `output` names a file and there are
            several photos, or a file that is not a PNG.
    """
    file = _names_a_file(output)
    target = _absolute(output_folder(output))
    follow = cache(os.path.realpath)  # Folders are few, photos many.
    below = follow(target) + os.sep
    root = os.path.commonpath([_root(entry) for entry in inputs])
    beside = follow(target) == follow(root) and any(entry != STANDARD for entry in inputs)
    if beside and not file:
        raise ValueError(f"--output {output} is the folder of the photos; choose another one")
    found: dict[str, Path] = {}
    for entry in inputs:
        if entry == STANDARD:
            found.setdefault(_absolute("stdin"), Path(STANDARD))
            continue
        _refuse_what_is_no_photo(entry)
        paths = _find_images(entry, inputs, recursive)
        if not file and not Path(entry).is_file():
            paths = [
                path for path in paths if not f"{follow(path.parent)}{os.sep}".startswith(below)
            ]
            if not paths:
                raise ImageError(
                    f"{entry} holds no images except those in the output folder {output}"
                )
        for path in paths:
            found.setdefault(_absolute(path), path)

    names: defaultdict[str, set[str]] = defaultdict(set)
    for folder, name in map(os.path.split, found):
        names[folder].add(name)
    claims = {folder: _claims(own | _images_in(folder)) for folder, own in names.items()}
    targets = {folder: Path(target, os.path.relpath(folder, root)) for folder in names}
    photos = []
    for (folder, name), path in zip(map(os.path.split, found), found.values(), strict=True):
        stem, suffix = _split(name)
        clash = any(claims[folder][one] > 1 for one in _names(stem))
        result = fit_name(f"{stem}_{suffix}" if clash else stem, _LONGEST_SUFFIX)
        photos.append(InputPhoto(path, targets[folder] / result))
    if file:
        if len(photos) != 1:
            raise ValueError(f"--output {output} names a file, but there are {len(photos)} photos")
        named = Path(target, output.name)
        photos = [InputPhoto(photos[0].path, named.with_suffix(""), named)]
    # No result may replace a photo, whatever links lead to it.
    taken = {f"{follow(folder)}{os.sep}{name}" for folder, name in map(os.path.split, found)}
    taken |= {os.path.realpath(path) for path in found if os.path.islink(path)}  # noqa: PTH114
    for photo in photos:
        own = follow(photo.result.parent)
        files = photo.picture, photo.mask, photo.object_mask, photo.overlay, photo.measured
        if not taken.isdisjoint(f"{own}{os.sep}{file.name}" for file in files):
            raise ValueError(f"--output {output}: a result of {photo.path} would replace a photo")
    return photos


def result_name(photo: InputPhoto, output: Path) -> str:
    """Return the name of a photo's results below `output`, with "/" between folders."""
    return photo.result.relative_to(_absolute(output)).as_posix()


def _refuse_what_is_no_photo(entry: str) -> None:
    """Raise an error with advice if `entry` is a video or a URL."""
    if re.match(r"(https?|ftp)://", entry):
        raise ImageError(
            f"{entry} is a web address, and handseg does not download; use a pipe: "
            f"curl -s '{entry}' | handseg segment -"
        )
    if is_video(entry) and Path(entry).is_file():
        raise ImageError(
            f"{entry} is a video; handseg annotate {entry} --output DIR cuts out its frames"
        )


def _find_images(entry: str, inputs: Sequence[str], recursive: bool) -> list[Path]:
    """Return the images of one of `inputs`; if it has none, name an option that may help."""
    try:
        return find_images([entry], recursive=recursive)
    except ImageError as error:
        if Path(entry).is_dir() and not recursive:
            raise ImageError(f"{error}; --recursive includes its subfolders") from error
        if len(inputs) > 1 and entry == inputs[-1] and not any(sign in entry for sign in "*?["):
            raise ImageError(f"{error}; for a result, use --output {entry}") from error
        raise


def refuse_to_replace(photo: InputPhoto, files: Iterable[Path]) -> None:
    """Raise ValueError if one of a photo's results exists and may be that of another photo.

    That is so for standard input, and for a file that the caller named.
    """
    if photo.named is None and str(photo.path) != STANDARD:
        return
    if there := [file for file in files if file.exists()]:
        raise ValueError(
            f"{and_more(there)}: already exists, and may show another photo; choose another "
            "--output, or replace it with --overwrite"
        )


def foreign_files(files: Iterable[Path], writing: bool) -> list[Path]:
    """Return existing result files that this program did not write, or that were changed since.

    Raises:
        ValueError: if that applies to all that exist, so that they are not from an earlier run, and
            others would be written next to them.
    """
    there = [file for file in files if os.path.isfile(file)]  # noqa: PTH113 - may be too long a name
    foreign = [file for file in there if not is_marked(file)]
    if writing and foreign and len(foreign) == len(there):
        raise ValueError(
            f"{and_more(foreign)}: already exists, and was not written by handseg; choose another "
            "--output, or replace existing files with --overwrite"
        )
    return foreign


def and_more(files: Sequence[Path]) -> str:
    """Return the first of `files`, and how many more there are."""
    return f"{files[0]} and {len(files) - 1:,} more" if len(files) > 1 else str(files[0])


def output_folder(output: Path) -> Path:
    """Return the folder for results."""
    return output.parent if _names_a_file(output) else output


def _names_a_file(output: Path) -> bool:
    """Whether `output` names an image and not a folder."""
    suffix = output.suffix.lower()
    if suffix not in IMAGE_SUFFIXES or output.is_dir():
        return False
    if suffix != ".png":
        raise ValueError(f"--output {output}: must be a .png file or a folder")
    return True


@contextmanager
def to_standard_output(output: Path) -> Iterator[Path]:
    """Yield `output`, or for "-" a file whose content goes to standard output at the end."""
    if str(output) != STANDARD:
        yield output
        return
    with TemporaryDirectory(prefix="handseg-") as folder:
        file = Path(folder, "cutout.png")
        yield file
        if file.is_file():
            sys.stdout.buffer.write(file.read_bytes())
            sys.stdout.buffer.flush()


def _absolute(path: str | Path) -> str:
    """Return `path` without `..`, but with links kept, as they are how the user arranged photos.

    `..` after a link leads to the parent of the link's target, as in a shell; such links are
    followed. This module uses strings: with 100,000 photos, path objects take several times as
    long.
    """
    text = os.path.abspath(path)  # noqa: PTH100
    if ".." not in os.fspath(path):
        return text
    real = os.path.realpath(path)
    return text if os.path.realpath(text) == real else real


def _root(entry: str) -> Path:
    """Return the folder that this input's results mirror."""
    path = Path(_absolute(entry))
    if path.is_dir():
        return path
    if not path.exists():
        for index, part in enumerate(path.parts):
            if any(sign in part for sign in "*?["):
                return Path(*path.parts[:index])
    return path.parent


def _split(name: str) -> tuple[str, str]:
    """Return a file's stem, and its suffix without the dot; strings for speed, see `_absolute`."""
    stem, _, suffix = name.rpartition(".")
    return (stem, suffix) if stem and suffix else (name, "")


def _images_in(folder: str) -> set[str]:
    return {
        name
        for name in os.listdir(folder)  # noqa: PTH208
        if f".{_split(name)[1].lower()}" in IMAGE_SUFFIXES and not name.startswith(".")
    }


def _names(stem: str) -> set[str]:
    """Return the names of PNG results, which may clash with another photo's."""
    low = stem.casefold()
    return {low, f"{low}_mask", f"{low}_object"}


def _claims(files: Iterable[str]) -> Counter[str]:
    """Count how many `files` may claim each result name, with and without their suffix in it."""
    claims: Counter[str] = Counter()
    for stem, suffix in map(_split, files):
        claims.update(_names(stem) | _names(f"{stem}_{suffix}"))
    return claims
