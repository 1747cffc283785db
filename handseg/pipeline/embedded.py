"""One photo that is prompted any number of times: what was found and encoded is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from handseg.io.images import LoadedImage
from handseg.landmarks import FoundHand, HandBox
from handseg.pipeline.held_objects import add_objects
from handseg.pipeline.options import SegmentOptions, complete, documents_options, given_prompts
from handseg.pipeline.predict import RegionEmbeddings, Request, predict_hands, requests_of
from handseg.pipeline.stages import Stages
from handseg.prompts import HandPrompts, PromptRecipe
from handseg.prompts.user import user_prompts
from handseg.results import HandSegmentation
from handseg.results.hand import Hand

if TYPE_CHECKING:
    from typing_extensions import Unpack

LEAST_IOU = 0.75
"""Predicted IoU from which on a box of the finder's holds a hand. Chosen, like the scores in
`handseg.landmarks.second_look`, on held-out pictures: most clouds and leaves are below."""


class EmbeddedPhoto:
    """One photo for any number of prompts; `HandSegmenter.embed` makes it.

    Hands are looked for once and each region goes through the encoder once: one more click in a
    region costs the decoder, and GrabCut around it where the model does not follow (see
    `handseg.postprocess.clicks`). A box, or a click that widens the region, is encoded anew. It
    uses its segmenter, and is as little safe to share between threads.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        dpi: px an inch across and down; None if the file gave none.
    """

    def __init__(
        self,
        stages: Stages,
        loaded: LoadedImage,
        found: Mapping[bool, list[FoundHand]] | None = None,
    ) -> None:
        self.image, self.dpi = loaded.pixels, loaded.dpi
        self._stages = stages
        self._for_objects = RegionEmbeddings(self.image)
        self._encoded = RegionEmbeddings(self.image)
        self._found = dict(found or {})  # With the finder, and without.
        self._places: list[HandBox] | None = None

    @property
    def suspected(self) -> list[HandBox]:
        """Where the hand finder sees hands, the surest first, however unsure; asked once."""
        if self._places is None:
            self._places = self._stages.landmarker.suspect(self.image)
        return self._places

    @documents_options(SegmentOptions)
    def segment(self, **options: Unpack[SegmentOptions]) -> HandSegmentation:
        """Cut the hands out; takes and raises what `HandSegmenter.segment` does.

        To correct a hand that was found, prompt it with its landmarks and points of your own:
        `photo.segment(landmarks=hand.landmarks, points=[[x, y]], labels=[0])`.

        Args:
            **options: see `SegmentOptions`.
        """
        (result,) = segment_photos(self._stages, [self], complete(options))
        return result

    def prompts(self, **options: Unpack[SegmentOptions]) -> list[HandPrompts]:
        """What the model is told of each hand that your own prompts name, in px of the photo.

        Args:
            **options: as `segment` takes them, with prompts.

        Raises:
            ValueError: if there are no prompts, or they do not fit.
        """
        whole = complete(options)
        return self._told(self._stages.recipe.with_forearm(whole["forearm"]), whole)

    def _requests(self, recipe: PromptRecipe, options: SegmentOptions) -> list[Request]:
        """What there is to segment, by the caller's prompts or else by MediaPipe's findings."""
        if given_prompts(options):
            return [Request(self._encoded, one) for one in self._told(recipe, options)]
        landmarker, max_hands = self._stages.landmarker, options["max_hands"]
        if max_hands > (most := landmarker.max_hands):
            raise ValueError(f"max_hands is {max_hands}, but the landmarker finds {most} at most")
        finder = options["finder"]
        if finder not in self._found:
            self._found[finder] = landmarker.find(self.image, finder)
        return requests_of(self._encoded, self._found[finder][:max_hands], recipe)

    def _told(self, recipe: PromptRecipe, options: SegmentOptions) -> list[HandPrompts]:
        height, width = self.image.shape[:2]
        alone = options["boxes"] is None and options["landmarks"] is None
        return user_prompts(
            height,
            width,
            recipe,
            boxes=options["boxes"],
            points=options["points"],
            labels=options["labels"],
            landmarks=options["landmarks"],
            places=self.suspected if alone and options["finder"] else (),
        )


def segment_photos(
    stages: Stages, photos: Sequence[EmbeddedPhoto], options: SegmentOptions
) -> list[HandSegmentation]:
    """One result for each of `photos`; all their regions go through the model in batches.

    `options` are complete, and their prompts are for one photo.
    """
    objects, prompts = options["objects"], given_prompts(options)
    if objects and {"boxes", "points"} & {*prompts} and "landmarks" not in prompts:
        raise ValueError(
            "objects needs landmarks: boxes and points do not say how a hand holds; give "
            "landmarks, too, or no prompts at all"
        )
    stage = stages.object_stage if objects else None
    recipe = stages.recipe.with_forearm(options["forearm"])
    requests = [photo._requests(recipe, options) for photo in photos]
    owners = [photo for photo, some in zip(photos, requests, strict=True) for _ in some]
    asked = list(chain(*requests))
    hands = predict_hands(stages.model, recipe, asked, options["holes"])
    kept = [index for index, pair in enumerate(zip(asked, hands, strict=True)) if _shows(*pair)]
    hands, owners = [hands[index] for index in kept], [owners[index] for index in kept]
    if stage is not None:
        hands = add_objects(stage, [photo._for_objects for photo in owners], hands)
    return [
        HandSegmentation(
            photo.image,
            tuple(hand for hand, owner in zip(hands, owners, strict=True) if owner is photo),
            photo.dpi,
        )
        for photo in photos
    ]


def _shows(request: Request, hand: Hand) -> bool:
    """Whether there is a hand: where the finder alone saw it, the model has to see one, too."""
    return not isinstance(request.found, HandBox) or hand.predicted_iou >= LEAST_IOU
