"""One photo that is prompted any number of times: what was found and encoded is kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from handseg.landmarks import HandLandmarks
from handseg.models.semantic.model import SemanticModel
from handseg.pipeline.held_objects import add_objects
from handseg.pipeline.run import Holes, RegionEmbeddings, Request, check_holes, predict_hands
from handseg.pipeline.semantic import label_photo
from handseg.pipeline.stages import Stages
from handseg.prompts import PromptRecipe
from handseg.prompts.user import user_prompts
from handseg.results import HandSegmentation


class EmbeddedPhoto:
    """One photo for any number of prompts; `HandSegmenter.embed` makes it.

    Hands are looked for once and each region goes through the encoder once: one more click in a
    region costs the decoder, and GrabCut around it where the model does not follow (see
    `handseg.postprocess.clicks`). A box, or a click that widens the region, is encoded anew. It
    uses its segmenter, and is as little safe to share between threads.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        for_objects: the same photo as the object stage has encoded it.
    """

    def __init__(
        self,
        stages: Stages,
        image: np.ndarray,
        found: list[HandLandmarks] | None = None,
    ) -> None:
        self.image = image
        self._stages = stages
        self.for_objects = RegionEmbeddings(image)
        self._encoded = RegionEmbeddings(image)
        self._found = found  # None until hands are looked for

    def segment(
        self,
        *,
        boxes: Any = None,
        points: Any = None,
        labels: Any = None,
        landmarks: Any = None,
        max_hands: int = 4,
        forearm: bool | None = None,
        holes: Holes = "keep",
        objects: bool = False,
    ) -> HandSegmentation:
        """Cut the hands out; takes and raises what `HandSegmenter.segment` does.

        To correct a hand that was found, prompt it with its landmarks and points of your own:
        `photo.segment(landmarks=hand.landmarks, points=[[x, y]], labels=[0])`.
        """
        check_max_hands(max_hands)
        check_holes(holes)
        stages = self._stages
        if isinstance(stages.model, SemanticModel):
            own = {"boxes": boxes, "points": points, "labels": labels, "landmarks": landmarks}
            _check_no_prompts(forearm=forearm, holes=None if holes == "keep" else holes, **own)
            hands = label_photo(stages.model, self.image, objects)
            return HandSegmentation(self.image, tuple(hands))
        if objects and landmarks is None and not (boxes is None and points is None):
            raise ValueError(
                "objects needs landmarks: boxes and points do not say how a hand holds; give "
                "landmarks, too, or no prompts at all"
            )
        stage = stages.object_stage if objects else None
        recipe = stages.recipe.with_forearm(forearm)
        if all(value is None for value in (boxes, points, labels, landmarks)):
            requests = self.requests(recipe, max_hands)
        else:
            height, width = self.image.shape[:2]
            prompts = user_prompts(
                height,
                width,
                recipe,
                boxes=boxes,
                points=points,
                labels=labels,
                landmarks=landmarks,
            )
            requests = [Request(self._encoded, one) for one in prompts]
        hands = predict_hands(stages.model, recipe, requests, holes)
        if stage is not None:
            hands = add_objects(stage, [self.for_objects] * len(hands), hands)
        return HandSegmentation(self.image, tuple(hands))

    def requests(self, recipe: PromptRecipe, max_hands: int) -> list[Request]:
        """What there is to segment, by MediaPipe's findings."""
        landmarker = self._stages.landmarker
        if max_hands > (most := landmarker.max_hands):
            raise ValueError(f"max_hands is {max_hands}, but the landmarker finds {most} at most")
        if self._found is None:
            self._found = landmarker.detect(self.image)
        height, width = self.image.shape[:2]
        requests = []
        for hand in self._found[:max_hands]:
            try:
                prompts = recipe.prompts(hand.points, height, width)
            except ValueError:  # MediaPipe may place a hand wholly outside of the photo
                continue
            requests.append(Request(self._encoded, prompts, hand))
        return requests


def _check_no_prompts(**given: Any) -> None:
    if names := [name for name, value in given.items() if value is not None]:
        raise ValueError(
            f"{' and '.join(names)}: a model that labels whole photos knows neither prompts nor "
            "landmarks"
        )


def check_max_hands(max_hands: int) -> None:
    if max_hands < 1:
        raise ValueError(f"max_hands must be at least 1, got {max_hands}")
