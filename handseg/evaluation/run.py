"""Evaluate a segmenter on photos with masks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from handseg.data.image_mask import LabelledPhoto
from handseg.evaluation.contact_sheet import SIDE_BY_SIDE, Case, draw_case
from handseg.evaluation.metrics import MaskMetrics, compare_masks
from handseg.evaluation.summary import MetricsSummary, summarise
from handseg.pipeline.interface import Segmenter
from handseg.pipeline.options import BatchOptions
from handseg.pipeline.predict import RegionEmbeddings, Request, predict_hands
from handseg.prompts.from_mask import prompts_from_mask
from handseg.prompts.user import user_prompts
from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter

logger = logging.getLogger(__name__)

MEDIAPIPE, HITS, MASK, NONE = "mediapipe", "hits", "mask", "none"
"""Prompt sources: MediaPipe's landmarks, where a miss counts as an empty prediction; the same, only
for photos where MediaPipe found a hand; the true mask, free of landmark errors; and none, for
models without prompts."""


@dataclass(frozen=True, eq=False)
class PhotoScore:
    """The scores of one photo.

    Attributes:
        id: of the photo.
        group: of the photo, such as the person, if known.
        hands: number of hands segmented.
        predicted_iou: mean of the model's estimates for these hands; None without a hand.
        seconds: time in `segment`, without reading the photo.
        metrics: of all hands together against the mask.
    """

    id: str
    group: str | None
    hands: int
    predicted_iou: float | None
    seconds: float
    metrics: MaskMetrics


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of a set of photos.

    Attributes:
        photos: the photos compared, in input order.
        failures: maps ids to why a photo could not be compared.
        worst: pictures of the photos with the lowest IoU, worst first.
        seed: of the bootstrap.
    """

    photos: tuple[PhotoScore, ...]
    failures: Mapping[str, str] = field(default_factory=dict)
    worst: tuple[Case, ...] = ()
    seed: int = 0

    @cached_property
    def summary(self) -> MetricsSummary:
        """The summarised metrics; raises ValueError if no photo could be compared."""
        groups = [photo.group for photo in self.photos]
        return summarise([photo.metrics for photo in self.photos], groups, self.seed)

    @property
    def seconds_per_photo(self) -> float:
        return sum(photo.seconds for photo in self.photos) / len(self.photos)

    @property
    def empty(self) -> tuple[str, ...]:
        """The ids of photos whose true mask shows no hand."""
        counts = {photo.id: photo.metrics.counts for photo in self.photos}
        return tuple(
            name for name, one in counts.items() if not one.true_positives + one.false_negatives
        )

    def hits(self) -> Evaluation:
        """Return a copy without the photos in which no hand was found."""
        found = tuple(photo for photo in self.photos if photo.hands)
        names = {photo.id for photo in found}
        return replace(
            self, photos=found, worst=tuple(case for case in self.worst if case.name in names)
        )


def sources_of(segmenter: Segmenter) -> tuple[str, ...]:
    """Return the prompt sources of a segmenter, the usual one first."""
    return (MEDIAPIPE, MASK) if isinstance(segmenter, HandSegmenter) else (NONE,)


def evaluate_pairs(
    segmenter: Segmenter,
    photos: Sequence[LabelledPhoto],
    *,
    prompts: str = MEDIAPIPE,
    max_hands: int = 4,
    finder: bool = True,
    worst: int = 4 * SIDE_BY_SIDE,
    seed: int = 0,
    progress: Callable[[Sequence[LabelledPhoto]], Iterable[LabelledPhoto]] = iter,
) -> Evaluation:
    """Segment photos and compare all hands found in each with its mask.

    A photo or mask that cannot be used is reported in `failures`, and the run continues.

    Args:
        segmenter: the segmenter to evaluate; for "mediapipe" and "none" any object with its
            `segment`.
        photos: with their masks; see `handseg.data.image_mask.find_pairs`.
        prompts: "mask" derives the prompts from the true mask, see `handseg.prompts.from_mask`;
            with "mediapipe" and "none" the segmenter finds the hands itself.
        max_hands: maximum number of hands per photo.
        finder: whether to use the hand finder, too.
        worst: number of the worst photos to draw.
        seed: of the bootstrap.
        progress: wraps the sequence of photos, like `tqdm.tqdm`.

    Raises:
        ValueError: if the model does not support these prompts.
    """
    if prompts not in (MEDIAPIPE, MASK, NONE):
        raise ValueError(f'prompts must be "{MEDIAPIPE}" or "{MASK}", got {prompts!r}')
    if prompts == MASK and MASK not in sources_of(segmenter):
        raise ValueError(f'prompts must be "{NONE}" with this model, got {prompts!r}')
    options: BatchOptions = {"max_hands": max_hands}
    if not finder:  # Otherwise it is not passed: the segmenter may have no such option.
        options["finder"] = False
    scores: list[PhotoScore] = []
    failures: dict[str, str] = {}
    cases: list[Case] = []
    for photo in progress(photos):
        try:
            image, truth = photo.load()
            start = time.perf_counter()
            if prompts == MASK and isinstance(segmenter, HandSegmenter):
                result = segment_from_mask(segmenter, image, truth)
            else:
                result = segmenter.segment(image, **options)
            seconds = time.perf_counter() - start
            prediction = result.mask
            metrics = compare_masks(prediction, truth)
        # One bad photo must not cost the results of the others, whatever is wrong with it.
        except Exception as error:
            failures[photo.id] = told(photo.id, error)
            continue
        expected = [hand.predicted_iou for hand in result]
        scores.append(
            PhotoScore(
                id=photo.id,
                group=getattr(photo, "group", None) or None,
                hands=len(result),
                predicted_iou=float(np.mean(expected)) if expected else None,
                seconds=seconds,
                metrics=metrics,
            )
        )
        if len(cases) < worst or (cases and metrics.iou < cases[-1].iou):
            cases.append(draw_case(photo.id, metrics.iou, image, truth, prediction))
            cases = sorted(cases, key=lambda case: case.iou)[:worst]
    return Evaluation(tuple(scores), failures, tuple(cases), seed)


def told(name: str, error: Exception) -> str:
    """Explain why the photo `name` could not be compared, and log the traceback."""
    logger.debug("%s", name, exc_info=True)
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def segment_from_mask(
    segmenter: HandSegmenter, image: np.ndarray, truth: np.ndarray
) -> HandSegmentation:
    """Segment `image` with boxes and points from its true mask `truth`, (H, W) bool."""
    boxes, points = prompts_from_mask(truth)
    if not len(boxes):
        return HandSegmentation(image)
    height, width = image.shape[:2]
    prompts = user_prompts(height, width, segmenter.recipe, boxes=boxes, points=points)
    photo = RegionEmbeddings(image)
    # The points are ordinary prompts, not user clicks that the mask must obey.
    requests = [Request(photo, replace(one, clicks=0)) for one in prompts]
    return HandSegmentation(
        image, tuple(predict_hands(segmenter.model, segmenter.recipe, requests))
    )
