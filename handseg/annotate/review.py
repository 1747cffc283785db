"""The review page: frames that a person should check, the most doubtful first."""

from __future__ import annotations

import base64
import heapq
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jinja2

from handseg.annotate.frames import Frames
from handseg.annotate.records import Record
from handseg.runtime.files import write_text_atomic

SHOWN = 200
"""Maximum number of frames on the page."""
THUMBNAIL = 480
"""px, the longer side of a frame on the page."""
SURE_IOU, SURE_AGREEMENT = 0.88, 0.95
"""Predicted IoU and agreement below which a hand needs a check. Of handseg-lite's masks of 89 hands
in HGR, 1 % are below the first and 15 % below the second: `benchmarks/compare_doubts.py`."""

_TEMPLATE = Path(__file__).parents[1] / "assets" / "review.html"


@dataclass(frozen=True, order=True)
class Doubt:
    """A frame and how certain its result is; sorts in the order of review.

    Attributes:
        certainty: -1 if the frame failed, 0 if no hand was found, else that of its least certain
            hand in 0..1: predicted IoU times agreement.
        index: of the frame.
        reasons: why it is doubtful; empty if it is not.
        hands: number of hands found.
    """

    certainty: float
    index: int
    reasons: tuple[str, ...]
    hands: int


def doubt_of(record: Record) -> Doubt:
    """Rate how certain a frame is, with reasons for doubt.

    Predicted IoU is the model's own estimate of a mask, which says little by itself. Agreement is
    the similarity of two masks of the hand, see `handseg.annotate.records.agreement`.
    """
    if "error" in record:
        return Doubt(-1.0, record["index"], (f"failed: {record['error']}",), 0)
    hands = [note for note in record["annotations"] if note["category_id"] == 1]
    reasons = []
    if record["without_mask"]:
        reasons.append(f"{record['without_mask']} found, but with an empty mask")
    elif not hands:
        reasons.append("no hand found")
    certainty = 0.0 if reasons else 1.0
    for number, (hand, agreed) in enumerate(zip(hands, record["agreements"], strict=True), 1):
        name = hand["handedness"] or "hand"
        name = f"{name} {number}" if len(hands) > 1 else name
        certainty = min(certainty, hand["score"] * (1.0 if agreed is None else agreed))
        if hand["score"] < SURE_IOU:
            reasons.append(f"{name}: predicted IoU {hand['score']:.2f}")
        if agreed is not None and agreed < SURE_AGREEMENT:
            reasons.append(f"{name}: a wider box alone gives another mask, IoU {agreed:.2f}")
    return Doubt(max(0.0, certainty), record["index"], tuple(reasons), len(hands))


class Review:
    """Collects the doubts of all frames and keeps the worst."""

    def __init__(self) -> None:
        self._worst: list[tuple[float, int, Doubt]] = []
        self._counts: Counter[str] = Counter()

    def add(self, record: Record) -> None:
        doubt = doubt_of(record)
        self._counts["frames"] += 1
        if doubt.reasons:
            failed = doubt.certainty < 0
            self._counts["failed" if failed else "doubtful" if doubt.hands else "empty"] += 1
        # A heap pops its smallest entry, so the most certain one must be the smallest.
        entry = (-doubt.certainty, -doubt.index, doubt)
        if len(self._worst) < SHOWN:
            heapq.heappush(self._worst, entry)
        else:
            heapq.heappushpop(self._worst, entry)

    def write(self, path: Path, frames: Frames, thumbnails: Path) -> None:
        """Write the page; thumbnails are NAME.jpg in their folder."""
        environment = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
        cases = [
            {
                "frame": frames[doubt.index],
                "doubt": doubt,
                # From the file name's bytes, which need not be UTF-8.
                "link": quote(os.fsencode(f"images/{frames[doubt.index].image}")),
                "picture": _picture(thumbnails / f"{frames[doubt.index].name}.jpg"),
            }
            for doubt in sorted(entry[-1] for entry in self._worst)
        ]
        with write_text_atomic(path) as file:
            file.write(template.render(cases=cases, counts=self._counts))


def _picture(path: Path) -> str | None:
    """Return a JPEG as a data URI; None for a failed frame without one."""
    if not path.exists():
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
