"""Evaluate held objects: the whole pipeline against exact masks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handseg.data.image_mask import PhotoWithObjects
from handseg.evaluation.metrics import compare_masks
from handseg.evaluation.run import told
from handseg.runtime.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable

    from handseg.pipeline.interface import Segmenter


@dataclass(frozen=True)
class ObjectScore:
    """The scores of one photo.

    Attributes:
        id: of the photo.
        held: whether one of its hands holds something.
        hands: number of hands found.
        iou: of the objects of all hands together; 0 if one is held and no hand was found, 1 if
            none is held and none was predicted.
        hand_iou: of all hands together.
    """

    id: str
    held: bool
    hands: int
    iou: float
    hand_iou: float


@dataclass(frozen=True)
class ObjectEvaluation:
    """The scores of a set of photos; `failures` maps ids to why a photo was not compared."""

    photos: tuple[ObjectScore, ...]
    failures: dict[str, str]

    def summary(self) -> dict[str, Any]:
        """Return the figures by name; a mean over no photo is None."""
        held = [photo for photo in self.photos if photo.held]
        empty = [photo for photo in self.photos if not photo.held]
        held_iou = [photo.iou for photo in held]
        return {
            "photos": len(self.photos),
            "held": len(held),
            "no hand found": sum(photo.hands == 0 for photo in self.photos),
            "mean IoU": _mean([photo.iou for photo in self.photos]),
            "mean IoU, held": _mean(held_iou),
            "median IoU, held": float(np.median(held_iou)) if held else None,
            "seen of those held": _mean([value > 0 for value in held_iou]),
            "false objects": _mean([photo.iou == 0 for photo in empty]),
            "hand IoU, held": _mean([photo.hand_iou for photo in held]),
            "hand IoU, nothing held": _mean([photo.hand_iou for photo in empty]),
        }

    def save(self, folder: Path) -> None:
        """Write `objects.json` into `folder`: the summary and the scores of each photo."""
        folder.mkdir(parents=True, exist_ok=True)
        values = {
            "summary": self.summary(),
            "photos": [vars(photo) for photo in self.photos],
            "failures": self.failures,
        }
        with write_atomic(folder / "objects.json") as temporary:
            temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def evaluate_objects(
    segmenter: Segmenter,
    photos: Sequence[PhotoWithObjects],
    progress: Callable[[Sequence[PhotoWithObjects]], Iterable[PhotoWithObjects]] = iter,
) -> ObjectEvaluation:
    """Segment hands and held objects in photos, and compare them with the reference masks.

    A photo that cannot be used, or has no object mask, is reported in `failures`.
    """
    scores: list[ObjectScore] = []
    failures: dict[str, str] = {}
    for photo in progress(photos):
        try:
            image, hand = photo.load()
            truth = photo.load_object_mask()
            if truth is None:
                raise ValueError(f"{photo.id} has no object mask")
            result = segmenter.segment(image, objects=True)
            seen = result.object_mask
            assert seen is not None
            scores.append(
                ObjectScore(
                    photo.id,
                    bool(truth.any()),
                    len(result),
                    compare_masks(seen, truth).iou,
                    compare_masks(result.mask, hand).iou,
                )
            )
        # One bad photo must not cost the results of the others, whatever is wrong with it.
        except Exception as error:
            failures[photo.id] = told(photo.id, error)
    return ObjectEvaluation(tuple(scores), failures)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
