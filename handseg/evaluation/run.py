"""How good a segmenter is on photos with masks."""

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
"""Where prompts come from: MediaPipe's landmarks, a miss counting as nothing found; the same, only
where MediaPipe found a hand; the true mask, which leaves out the landmarks' faults; and nowhere,
with a model that takes none."""


@dataclass(frozen=True, eq=False)
class PhotoScore:
    """How one photo came out.

    Attributes:
        id: of the photo.
        group: that the photo belongs to, such as the person, if it is known.
        hands: how many hands were segmented.
        predicted_iou: the mean over these hands of what the model expects; None without a hand.
        seconds: that `segment` took, reading the photo not included.
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
    """How a set of photos came out.

    Attributes:
        photos: those compared, in the order they were given.
        failures: by the photo's id, why it could not be compared.
        worst: pictures of those of lowest IoU, the worst first.
        seed: of the bootstrap.
    """

    photos: tuple[PhotoScore, ...]
    failures: Mapping[str, str] = field(default_factory=dict)
    worst: tuple[Case, ...] = ()
    seed: int = 0

    @cached_property
    def summary(self) -> MetricsSummary:
        """Raises ValueError if no photo could be compared."""
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
        """The same without the photos in which no hand was found."""
        found = tuple(photo for photo in self.photos if photo.hands)
        names = {photo.id for photo in found}
        return replace(
            self, photos=found, worst=tuple(case for case in self.worst if case.name in names)
        )


def sources_of(segmenter: Segmenter) -> tuple[str, ...]:
    """Where the prompts of a segmenter can come from, that of its daily use first."""
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

    A photo or mask that cannot be used is reported in `failures`, and the rest goes on.

    Args:
        segmenter: the one to judge; for "mediapipe" and "none" anything that has its `segment`.
        photos: with their masks; see `handseg.data.image_mask.find_pairs`.
        prompts: "mask" draws the prompts from the true mask, see `handseg.prompts.from_mask`; with
            "mediapipe" and "none" the segmenter finds the hands by itself.
        max_hands: the most hands to find in a photo.
        finder: whether the hand finder helps with that.
        worst: how many of the worst photos to draw.
        seed: of the bootstrap.
        progress: wraps the sequence of photos, as `tqdm.tqdm` does.

    Raises:
        ValueError: if the model cannot be prompted so.
    """
    if prompts not in (MEDIAPIPE, MASK, NONE):
        raise ValueError(f'prompts must be "{MEDIAPIPE}" or "{MASK}", got {prompts!r}')
    if prompts == MASK and MASK not in sources_of(segmenter):
        raise ValueError(f'prompts must be "{NONE}" with this model, got {prompts!r}')
    options: BatchOptions = {"max_hands": max_hands}
    if not finder:  # Else it is not named: what is judged may have none.
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
        # One photo must not cost the results of all others, whatever is wrong with it.
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
    """Why the photo of that name could not be compared; the traceback goes to the log."""
    logger.debug("%s", name, exc_info=True)
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def segment_from_mask(
    segmenter: HandSegmenter, image: np.ndarray, truth: np.ndarray
) -> HandSegmentation:
    """The hands of `image` by boxes and points of its true mask `truth`, (H, W) bool."""
    boxes, points = prompts_from_mask(truth)
    if not len(boxes):
        return HandSegmentation(image)
    height, width = image.shape[:2]
    prompts = user_prompts(height, width, segmenter.recipe, boxes=boxes, points=points)
    photo = RegionEmbeddings(image)
    # The model is judged by what it makes of them: they are no clicks that must be obeyed.
    requests = [Request(photo, replace(one, clicks=0)) for one in prompts]
    return HandSegmentation(
        image, tuple(predict_hands(segmenter.model, segmenter.recipe, requests))
    )
