"""A photo for repeated prompting, with its detections and embeddings."""

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
"""Minimum predicted IoU for a box of the finder to count as a hand. Chosen, like the scores in
`handseg.landmarks.second_look`, on held-out pictures: most clouds and leaves are below."""


class EmbeddedPhoto:
    """A photo for any number of prompts; create one with `HandSegmenter.embed`.

    Hands are detected once and each region is encoded once. A further click in a region costs only
    the decoder, and GrabCut around the click if the model does not follow it (see
    `handseg.postprocess.clicks`). A box, or a click that enlarges the region, is encoded again.
    The photo uses its segmenter and has the same limits on sharing between threads.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        dpi: px per inch, horizontally and vertically; None if the file has none.
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
        self._found = dict(found or {})  # By whether the finder was used.
        self._places: list[HandBox] | None = None

    @property
    def suspected(self) -> list[HandBox]:
        """All detections of the hand finder, most confident first, including doubtful ones."""
        if self._places is None:
            self._places = self._stages.landmarker.suspect(self.image)
        return self._places

    @documents_options(SegmentOptions)
    def segment(self, **options: Unpack[SegmentOptions]) -> HandSegmentation:
        """Cut the hands out; options and errors are those of `HandSegmenter.segment`.

        To correct a hand, prompt it with its landmarks and your own points:
        `photo.segment(landmarks=hand.landmarks, points=[[x, y]], labels=[0])`.

        Args:
            **options: see `SegmentOptions`.
        """
        (result,) = segment_photos(self._stages, [self], complete(options))
        return result

    def prompts(self, **options: Unpack[SegmentOptions]) -> list[HandPrompts]:
        """Show the prompts that the model receives for your own prompts, in px of the photo.

        Args:
            **options: those of `segment`, including prompts.

        Raises:
            ValueError: if there are no prompts, or they are invalid.
        """
        whole = complete(options)
        return self._told(self._stages.recipe.with_forearm(whole["forearm"]), whole)

    def _requests(self, recipe: PromptRecipe, options: SegmentOptions) -> list[Request]:
        """Make requests from the caller's prompts, or else from the detected hands."""
        if given_prompts(options):
            return [Request(self._encoded, one) for one in self._told(recipe, options)]
        landmarker, max_hands = self._stages.landmarker, options["max_hands"]
        if max_hands > (most := landmarker.max_hands):
            raise ValueError(
                f"max_hands must be at most {most} for this landmarker, got {max_hands}"
            )
        finder = options["finder"]
        if finder not in self._found:
            self._found[finder] = landmarker.find(self.image, finder)
        return _enough(requests_of(self._encoded, self._found[finder], recipe), max_hands)

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
    """Segment several photos, running the model on all regions in batches.

    `options` are complete, and their prompts are for one photo.
    """
    objects, prompts = options["objects"], given_prompts(options)
    if objects and {"boxes", "points"} & {*prompts} and "landmarks" not in prompts:
        raise ValueError(
            "objects needs landmarks, because boxes and points do not show the grip; give "
            "landmarks, too, or no prompts at all"
        )
    stage = stages.object_stage if objects else None
    recipe = stages.recipe.with_forearm(options["forearm"])
    requests = [photo._requests(recipe, options) for photo in photos]
    owners = [photo for photo, some in zip(photos, requests, strict=True) for _ in some]
    asked = list(chain(*requests))
    hands = predict_hands(stages.model, recipe, asked, options["holes"])
    kept, most = list[int](), len(asked) if prompts else options["max_hands"]
    for photo in photos:
        shown = [i for i, one in enumerate(owners) if one is photo and _shows(asked[i], hands[i])]
        kept += shown[:most]
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


def _enough(requests: list[Request], max_hands: int) -> list[Request]:
    """The first of `requests` that surely give `max_hands` hands, if there are so many."""
    sure = 0
    for number, request in enumerate(requests):
        if sure == max_hands:
            return requests[:number]
        sure += not isinstance(request.found, HandBox)
    return requests


def _shows(request: Request, hand: Hand) -> bool:
    """Whether there is a hand: the model must confirm one that only the finder saw."""
    return not isinstance(request.found, HandBox) or hand.predicted_iou >= LEAST_IOU
