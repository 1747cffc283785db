"""The end of a run, in a single process: everything that needs all frames, in order."""

from __future__ import annotations

import json
from dataclasses import dataclass

from handseg.annotate.coco_file import coco_file
from handseg.annotate.frame_json import frame_entry, read_camera
from handseg.annotate.frames import Frames
from handseg.annotate.plan import Job
from handseg.annotate.records import Record, failed_record
from handseg.annotate.review import Review
from handseg.annotate.tracks import Tracker
from handseg.annotate.worker import THUMBNAILS
from handseg.annotate.yolo import data_yaml
from handseg.data.groups import GROUPS_FILE, write_groups
from handseg.runtime.files import write_atomic
from handseg.runtime.journal import Journal

COCO, YOLO, REVIEW, FRAMES = "coco.json", "data.yaml", "review.html", "frames"


@dataclass
class DatasetSummary:
    """Frame counts of a run, including frames that earlier attempts processed."""

    done: int = 0
    without_hand: int = 0
    failed: int = 0


def merge(job: Job, frames: Frames, journal: Journal) -> DatasetSummary:
    """Write `coco.json`, `data.yaml` and the files for sequences and review, after all frames.

    With shards, only `coco.json` is written: the others refer to files of single frames. For
    sequences, `groups.csv` keeps the frames of each together in a split.
    """
    outcome = _write_all(job, frames, journal)
    if job.shard_size is not None:
        return outcome
    with write_atomic(job.output / YOLO) as temporary:
        temporary.write_text(data_yaml(job.objects), encoding="utf-8")
    return outcome


def _write_all(job: Job, frames: Frames, journal: Journal) -> DatasetSummary:
    """Go over the records once, with only one in memory at a time."""
    camera = None if job.camera is None else read_camera(job.camera)
    tracker, review, outcome = Tracker(), Review(), DatasetSummary()
    sequence, groups = "", {}
    with coco_file(job.output / COCO, job.objects) as coco:
        for index in range(len(frames)):
            frame = frames[index]
            why = journal.failed.get(frame.name)
            record = journal[frame.name] if why is None else failed_record(frame, why)
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
            if job.is_sequence and job.shard_size is None:
                entry = frame_entry(frame, record, camera, job.objects)
                with write_atomic(job.output / FRAMES / f"{frame.name}.json") as temporary:
                    temporary.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
                groups[frame.name] = frame.sequence
            coco.add(record["image"], record["annotations"])
    if groups:
        write_groups(groups, job.output / GROUPS_FILE)
    if job.review:
        review.write(job.output / REVIEW, frames, job.output / THUMBNAILS)
    return outcome


def _add_tracks(record: Record, tracker: Tracker) -> None:
    """Give each hand and its held object a `track_id`."""
    hands = [note for note in record["annotations"] if note["category_id"] == 1]
    numbers = tracker.step(record["index"], hands)
    by_id = {hand["id"]: number for hand, number in zip(hands, numbers, strict=True)}
    for note in record["annotations"]:
        note["track_id"] = by_id[note.get("held_by", note["id"])]
