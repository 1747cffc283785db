"""Check and clean a data set of photos with masks, and write it as a folder for training.

The output is a data set of the layout "folder" (`images/`, `masks/`, optionally `object_masks/`,
`instances/`, `groups.csv`), with `report.csv`, a row per pair, and `report.jpg`, which shows the
repaired and rejected pairs. The source is not changed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from handseg.data import Candidate, Splits, list_photos
from handseg.data.groups import GROUPS_FILE, write_groups
from handseg.data.loaders.folder import IMAGES, INSTANCES, MASKS, OBJECT_MASKS
from handseg.io.decode import open_image
from handseg.io.files import save_image
from handseg.io.images import read_image
from handseg.io.jpeg import is_cut_jpeg
from handseg.io.profiles import srgb_transform
from handseg.landmarks import HandLandmarker
from handseg.prepare.checks import check_labels
from handseg.prepare.report_csv import (
    KEPT,
    REJECTED,
    REPAIRED,
    REPORT_FILE,
    ReportRow,
    row_of,
    write_report,
)
from handseg.prepare.sheet import PICTURES, draw_flagged, write_pages
from handseg.prepare.thresholds import Thresholds
from handseg.runtime.files import fit_name, write_atomic
from handseg.runtime.run_folder import RunFolder

logger = logging.getLogger(__name__)

SPLITS_FILE = "splits.json"

_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}
"""The file suffix of each format that can be copied unchanged."""
_LONGEST_SUFFIX = ".webp"


@dataclass(frozen=True)
class Prepared:
    """The result of preparing a data set.

    Attributes:
        outcomes: of all pairs.
        skipped: number of pairs that an earlier run had finished.
        splits: of the usable pairs, if requested.
    """

    outcomes: tuple[ReportRow, ...]
    skipped: int
    splits: Splits | None

    def count(self, status: str) -> int:
        return sum(outcome.status == status for outcome in self.outcomes)

    def reasons(self, status: str) -> Counter[str]:
        """Count the pairs with this status by kind of reason."""
        return Counter(
            kind
            for outcome in self.outcomes
            if outcome.status == status
            for kind in {reason.partition(":")[0] for reason in outcome.reasons}
        )


def prepare(
    source: str | Path,
    output: str | Path,
    layout: str = "folder",
    *,
    thresholds: Thresholds | None = None,
    landmarker: HandLandmarker | None = None,
    ratios: Mapping[str, float] | None = None,
    seed: int = 0,
    progress: Callable[[Sequence[Candidate]], Iterable[Candidate]] = iter,
    **options: Any,
) -> Prepared:
    """Check every pair of a data set and write the usable ones.

    An interrupted run resumes where it stopped. A pair that cannot be read is rejected, and the run
    continues.

    Args:
        source: as for `handseg.data.load_data`, like `layout` and `options`.
        output: folder to write; new, empty, or of an earlier run with the same arguments.
        thresholds: limits for rejection and repair; None uses the defaults.
        landmarker: finds the hand on each mask; None skips these checks.
        ratios: maps part names to sizes for a split by group, written to `splits.json`.
        seed: of the split.
        progress: wraps the pairs to process, like `tqdm.tqdm`.

    Raises:
        ValueError: if the source or an option is invalid, `output` holds other files or the output
            of other arguments, or there are too few groups for a split.
        OSError: if the output cannot be written.
    """
    limits = thresholds or Thresholds()
    output = Path(output)
    candidates = list_photos(source, layout, **options)
    names = _names(candidates)
    settings = {
        "source": str(Path(source).absolute()) if Path(source).exists() else str(source),
        "layout": layout,
        "options": {name: str(value) for name, value in sorted(options.items())},
        "landmarks": landmarker is not None,
        **asdict(limits),
    }
    here, there = output.resolve(), Path(source).resolve()
    if there.exists() and (here == there or there in here.parents):
        raise ValueError(f"output {output} is in the source {source}, choose another folder")
    folder = RunFolder(output, settings)
    rows = {name: row_of(record) for name, record in folder.journal.items()}
    for candidate in candidates:
        before = rows.get(candidate.id)
        if before is not None and before.values.get("stamp") != candidate.stamp():
            raise ValueError(
                f"{candidate.id} in {source} has changed since {output} was prepared, choose "
                "another folder"
            )
    if gone := rows.keys() - names.keys():
        raise ValueError(
            f"{min(gone)} is no longer in {source}, which has changed since {output} was "
            "prepared, choose another folder"
        )
    todo = [candidate for candidate in candidates if candidate.id not in rows]
    run = _Run(f"{Path(source).absolute()}{os.sep}", output, limits, landmarker)
    run.remember(rows.values())
    folder.claim()
    try:
        for candidate in progress(todo):
            row = run.do(candidate, names[candidate.id])
            folder.journal.record(row.id, asdict(row))
            run.remember([row])
            rows[row.id] = row
    finally:
        outcomes = tuple(rows[one.id] for one in candidates if one.id in rows)
        if outcomes:
            write_report(outcomes, output / REPORT_FILE)
    # As `groups.csv` holds them: a group may be a file name that is not UTF-8.
    groups = {
        row.name: row.group.encode(errors="backslashreplace").decode()
        for row in outcomes
        if row.status != REJECTED
    }
    official = {names[one.id]: one.split for one in candidates if one.split is not None}
    write_groups(groups, output / GROUPS_FILE, official)
    flagged = [row for row in outcomes if row.status != KEPT]
    flagged.sort(key=lambda row: row.status != REJECTED)
    write_pages([(row.name, row.id, row.status, row.reasons) for row in flagged], output)
    splits = None
    if ratios is not None:
        columns = {"id": list(groups), "group": list(groups.values())}
        splits = Splits.by_group(datasets.Dataset.from_dict(columns), ratios, seed)
        splits.save(output / SPLITS_FILE)
    folder.end()
    return Prepared(outcomes, len(candidates) - len(todo), splits)


def _names(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Make a file name without suffix for each id."""
    names = {
        candidate.id: fit_name(
            re.sub(r"[^\w.\-]+", "_", candidate.id).lstrip(".") or "_", _LONGEST_SUFFIX
        )
        for candidate in candidates
    }
    if len(names) < len(candidates):
        ids = Counter(candidate.id for candidate in candidates)
        raise ValueError(f"id {ids.most_common(1)[0][0]!r} is listed more than once")
    taken: dict[str, str] = {}
    for name, file in names.items():
        # Many file systems ignore case.
        if (other := taken.setdefault(file.casefold(), name)) != name:
            raise ValueError(f"ids {other!r} and {name!r} would have the same file name {file!r}")
    return names


@dataclass(eq=False)
class _Draft:
    """What is known about a pair so far."""

    repairs: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    image: np.ndarray | None = None
    dpi: tuple[float, float] | None = None
    before: np.ndarray | None = None
    mask: np.ndarray | None = None
    object_mask: np.ndarray | None = None
    instances: np.ndarray | None = None
    raw: bytes = b""
    suffix: str | None = None


@dataclass(frozen=True, eq=False)
class _Run:
    """The state shared by all pairs.

    Attributes:
        root: path prefix that is removed from messages.
        photos: maps the SHA-256 of photos that are not rejected to their ids.
    """

    root: str
    output: Path
    limits: Thresholds
    landmarker: HandLandmarker | None
    photos: dict[str, str] = field(default_factory=dict)

    def remember(self, rows: Iterable[ReportRow]) -> None:
        """Register the photos of finished pairs, so that duplicates are rejected."""
        for row in rows:
            if row.status != REJECTED:
                self.photos[row.values["sha256"]] = row.id

    def do(self, candidate: Candidate, name: str) -> ReportRow:
        """Check a pair and write its files."""
        draft = _Draft(values={"stamp": candidate.stamp()})
        try:
            self._look_at(candidate, draft)
        except Exception as error:
            # A damaged pair must not stop the run, whatever is wrong with it.
            logger.debug("%s", candidate.id, exc_info=True)
            draft.faults.append(f"error: {type(error).__name__}: {error}")
        status = REJECTED if draft.faults else REPAIRED if draft.repairs else KEPT
        if status != REJECTED:
            _write_pair(draft, name, self.output)
        if status != KEPT and draft.image is not None:
            picture = draw_flagged(draft.image, draft.before, draft.mask)
            save_image(picture, self.output / PICTURES / f"{name}.jpg")
        reasons = tuple(
            " ".join(text.replace(self.root, "").split()) for text in draft.faults or draft.repairs
        )
        return ReportRow(candidate.id, status, reasons, candidate.group, name, draft.values)

    def _look_at(self, candidate: Candidate, draft: _Draft) -> None:
        try:
            photo = candidate.photo
            draft.raw = photo if isinstance(photo, bytes) else photo.read_bytes()
            loaded = read_image(photo)
        except (ValueError, OSError) as error:
            draft.faults.append(f"no photo: {error}")
            return
        draft.image = image = loaded.pixels
        draft.dpi = loaded.dpi
        draft.values["height"], draft.values["width"] = map(str, image.shape[:2])
        draft.values["sha256"] = hashlib.sha256(draft.raw).hexdigest()
        if twin := self.photos.get(draft.values["sha256"]):
            draft.faults.append(f"same photo: as {twin}, which is kept")
        draft.suffix, mended = _as_it_is(draft.raw)
        draft.repairs += mended
        try:
            labels = candidate.labels(image)
        except ValueError as error:
            draft.faults.append(f"no mask: {error}")
            return
        verdict = check_labels(image, labels, self.limits, self.landmarker)
        draft.before, draft.mask = labels.mask, verdict.mask
        draft.object_mask, draft.instances = labels.object_mask, labels.instances
        draft.faults += verdict.faults
        draft.repairs += verdict.repairs
        for measure, value in verdict.measured.items():
            draft.values[measure] = f"{value:.5g}"


def _as_it_is(raw: bytes) -> tuple[str | None, list[str]]:
    """Return the suffix of a photo that can be copied, or None and why it must be re-encoded."""
    with open_image(raw) as opened:
        image, orientation = opened.image, opened.orientation()
        suffix = _SUFFIXES.get(image.format or "")
        if orientation in range(2, 9):
            return None, [f"photo turned upright: EXIF orientation {orientation}"]
        if is_cut_jpeg(raw):
            return None, ["photo completed: its file is cut short"]
        if (frames := opened.frames()) > 1:
            return None, [f"photo brought out of a file of several: the first of {frames}"]
        if srgb_transform(image) is not None:
            return None, ["photo brought to sRGB: it has another colour profile"]
        if suffix is None or image.mode not in ("RGB", "L") or image.has_transparency_data:
            return None, [f"photo brought to RGB: it is {image.format} {image.mode}"]
        return suffix, []


def _write_pair(draft: _Draft, name: str, output: Path) -> None:
    assert draft.image is not None
    assert draft.mask is not None
    if draft.suffix is not None:
        with write_atomic(output / IMAGES / f"{name}{draft.suffix}") as temporary:
            temporary.write_bytes(draft.raw)
    else:
        photographic = draft.raw.startswith(b"\xff\xd8")  # JPEG
        file = output / IMAGES / f"{name}{'.jpg' if photographic else '.png'}"
        save_image(draft.image, file, draft.dpi)
    if draft.object_mask is not None:
        save_image(draft.object_mask, output / OBJECT_MASKS / f"{name}.png")
    if draft.instances is not None:
        # Pixels removed from the mask belong to no hand.
        save_image(draft.instances * draft.mask, output / INSTANCES / f"{name}.png")
    save_image(draft.mask, output / MASKS / f"{name}.png")
