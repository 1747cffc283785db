"""The part of a run that one process does at the end: what needs all frames, in order."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from handseg.annotate.coco_file import coco_file
from handseg.annotate.frames import Frames
from handseg.annotate.job import SHARDS, Job
from handseg.annotate.review import Review
from handseg.annotate.sequence import frame_entry, read_camera
from handseg.annotate.shards import Record, Shards
from handseg.annotate.tracks import Tracker
from handseg.annotate.work import THUMBNAILS
from handseg.annotate.yolo import data_yaml
from handseg.runtime.files import write_atomic

COCO, YOLO, REVIEW, FRAMES = "coco.json", "data.yaml", "review.html", "frames"

_UNFINISHED = re.compile(r"\.[0-9a-f]{32}\..+")  # As `write_atomic` names them.


@dataclass
class DatasetSummary:
    """What came of all frames of a run, this one's and earlier ones'."""

    done: int = 0
    without_hand: int = 0
    failed: int = 0


def merge(job: Job, frames: Frames, shards: Shards) -> DatasetSummary:
    """Write `coco.json`, `data.yaml`, and what sequences and `review` add; all shards are done."""
    # Another run of the same job may end at the same time.
    with FileLock(job.output / SHARDS / "merge.lock"):
        outcome = _write_all(job, frames, shards)
        with write_atomic(job.output / YOLO) as temporary:
            temporary.write_text(data_yaml(job.objects), encoding="utf-8")
        _clear_unfinished(job.output)
    return outcome


def _write_all(job: Job, frames: Frames, shards: Shards) -> DatasetSummary:
    """Go once over the records: none but the one at hand is in memory."""
    camera = None if job.camera is None else read_camera(job.camera)
    tracker, review, outcome = Tracker(), Review(), DatasetSummary()
    sequence = ""
    with coco_file(job.output / COCO, job.objects) as coco:
        for record in shards.records():
            frame = frames[record["index"]]
            review.add(record)
            if "error" in record:
                outcome.failed += 1
                continue
            outcome.done += 1
            outcome.without_hand += not record["annotations"]
            if job.is_sequence:
                if frame.sequence != sequence:
                    tracker.cut()
                    sequence = frame.sequence
                _add_tracks(record, tracker)
                entry = frame_entry(frame, record, camera, job.objects)
                with write_atomic(job.output / FRAMES / f"{frame.name}.json") as temporary:
                    temporary.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
            coco.add(record["image"], record["annotations"])
    if job.review:
        review.write(job.output / REVIEW, frames, job.output / THUMBNAILS)
    return outcome


def _add_tracks(record: Record, tracker: Tracker) -> None:
    """Give each hand, and what it holds, its `track_id`."""
    hands = [note for note in record["annotations"] if note["category_id"] == 1]
    numbers = tracker.step(record["index"], hands)
    by_id = {hand["id"]: number for hand, number in zip(hands, numbers, strict=True)}
    for note in record["annotations"]:
        note["track_id"] = by_id[note.get("held_by", note["id"])]


def _clear_unfinished(folder: Path) -> None:
    """Remove what processes that were killed left of files they wrote."""
    for path in folder.rglob(".*"):
        if _UNFINISHED.fullmatch(path.name):
            with suppress(FileNotFoundError):
                path.unlink()
