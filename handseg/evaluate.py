"""How good a segmenter is on a folder of photos with masks."""

from __future__ import annotations

import csv
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handseg.contact_sheet import SIDE_BY_SIDE, Case, draw_case, draw_sheet
from handseg.files import save_image, write_atomic
from handseg.metrics import MaskMetrics, MetricsSummary, compare_masks, summarise
from handseg.pairs import Pair

if TYPE_CHECKING:
    from handseg.predictor import HandSegmenter

logger = logging.getLogger(__name__)

PER_PHOTO_FILE, SUMMARY_FILE, WORST_FILE = "per_photo.csv", "summary.json", "worst.jpg"


@dataclass(frozen=True, eq=False)
class PhotoScore:
    """How one photo came out.

    Attributes:
        pair: the photo and its true mask.
        hands: how many hands were found.
        seconds: that `segment` took, reading the photo not included.
        metrics: of all hands found together against the mask.
    """

    pair: Pair
    hands: int
    seconds: float
    metrics: MaskMetrics


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a set of photos came out.

    Attributes:
        photos: those compared, in the order of the pairs.
        failures: by the pair's id, why it could not be compared.
        worst: pictures of those of lowest IoU, the worst first.
    """

    photos: tuple[PhotoScore, ...]
    failures: Mapping[str, str] = field(default_factory=dict)
    worst: tuple[Case, ...] = ()

    @cached_property
    def summary(self) -> MetricsSummary:
        """Raises ValueError if no photo could be compared."""
        return summarise([photo.metrics for photo in self.photos])

    @property
    def seconds_per_photo(self) -> float:
        return sum(photo.seconds for photo in self.photos) / len(self.photos)


def evaluate_pairs(
    segmenter: HandSegmenter,
    pairs: Sequence[Pair],
    *,
    max_hands: int = 4,
    worst: int = 4 * SIDE_BY_SIDE,
    progress: Callable[[Sequence[Pair]], Iterable[Pair]] = iter,
) -> Evaluation:
    """Segment photos and compare all hands found in each with its mask.

    A photo or mask that cannot be used is reported in `failures`, and the rest goes on.

    Args:
        segmenter: finds the hands by itself.
        pairs: see `handseg.pairs.find_pairs`.
        max_hands: the most hands to find in a photo.
        worst: how many of the worst photos to draw.
        progress: wraps the sequence of pairs, as `tqdm.tqdm` does.
    """
    photos: list[PhotoScore] = []
    failures: dict[str, str] = {}
    cases: list[Case] = []
    for pair in progress(pairs):
        try:
            image, truth = pair.load()
            start = time.perf_counter()
            result = segmenter.segment(image, max_hands=max_hands)
            seconds = time.perf_counter() - start
            prediction = result.mask
            metrics = compare_masks(prediction, truth)
        except Exception as error:
            # One photo must not cost the results of all others, whatever is wrong with it.
            logger.debug("%s", pair.image_path, exc_info=True)
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            failures[pair.id] = f"{kind}{error}"
            continue
        photos.append(PhotoScore(pair, len(result), seconds, metrics))
        if len(cases) < worst or (cases and metrics.iou < cases[-1].iou):
            cases.append(draw_case(pair.id, metrics.iou, image, truth, prediction))
            cases = sorted(cases, key=lambda case: case.iou)[:worst]
    return Evaluation(tuple(photos), failures, tuple(cases))


def write_report(
    evaluation: Evaluation, output: str | Path, details: Mapping[str, Any] | None = None
) -> None:
    """Write `per_photo.csv`, `summary.json` and `worst.jpg` into the folder `output`.

    `details` are further values for the summary, fit for JSON: the model, versions, ....

    Raises:
        ValueError: if no photo could be compared.
    """
    output = Path(output)
    summary = {
        **(details or {}),
        **asdict(evaluation.summary),
        "failed": dict(evaluation.failures),
        "seconds_per_photo": evaluation.seconds_per_photo,
    }
    with write_atomic(output / SUMMARY_FILE) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    with write_atomic(output / PER_PHOTO_FILE) as temporary:
        _write_table(evaluation.photos, temporary)
    if evaluation.worst:
        count, iou = len(evaluation.photos), evaluation.summary.metrics["iou"]["mean"]
        title = f"Worst of {count} photos, mean IoU {iou:.3f}"
        save_image(draw_sheet(evaluation.worst, title), output / WORST_FILE)


def _write_table(photos: Sequence[PhotoScore], path: Path) -> None:
    rows = [
        {
            "photo": photo.pair.id,
            "hands": photo.hands,
            "missed": int(photo.metrics.missed),
            **photo.metrics.as_dict(),
            "seconds": photo.seconds,
        }
        for photo in photos
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
