"""`HandSegmenter`: landmarks, prompts, a SAM-family model and the refined result, in one call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from handseg.errors import ModelError
from handseg.io.images import ImageSource, load_image
from handseg.io.preview import load_with_preview
from handseg.landmarks import HandLandmarker
from handseg.landmarks.views import VIEW_SIDE
from handseg.models import Backend, MaskModel, load_mask_model
from handseg.models.adapters import base_of_adapter, is_adapter, local_adapter
from handseg.models.bundled import LITE, home
from handseg.models.semantic.model import SemanticModel, is_semantic
from handseg.pipeline.embedded import EmbeddedPhoto, check_max_hands
from handseg.pipeline.held_objects import OBJECT_FOLDER, ObjectStage, add_objects, find_weights
from handseg.pipeline.run import Holes, check_holes, predict_hands
from handseg.pipeline.semantic import check_labels_objects
from handseg.prompts import PromptRecipe
from handseg.prompts.recipe import find_recipe
from handseg.results import HandSegmentation
from handseg.runtime.extras import needing_extras

if TYPE_CHECKING:
    import torch


class HandSegmenter:
    """Cuts hands out of photos. `from_pretrained` makes one.

    It keeps MediaPipe's graph and is not safe to share between threads: `share` gives each its own.
    Close it, or use it in a `with` block.

    Args:
        model: predicts masks of square regions, from prompts; or one that labels whole photos and
            takes none, see `handseg.pipeline.semantic`.
        recipe: makes prompts of landmarks.
        landmarker: finds hands, stays its owner's to close; None makes the default one when it is
            first needed.
        load_objects: loads the stage that cuts out what hands hold, when it is first needed.
    """

    def __init__(
        self,
        model: MaskModel | SemanticModel,
        recipe: PromptRecipe | None = None,
        landmarker: HandLandmarker | None = None,
        load_objects: Callable[[], ObjectStage] | None = None,
    ) -> None:
        self.model = model
        self.recipe = recipe or PromptRecipe()
        self._load_objects = load_objects
        self._objects: ObjectStage | None = None
        self._loading = threading.Lock()
        self._landmarker = landmarker
        self._owns_landmarker = landmarker is None

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = LITE,
        adapter: str | Path | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        *,
        recipe: PromptRecipe | str | Path | None = None,
        landmarker: HandLandmarker | None = None,
        object_adapter: str | Path | None = None,
        backend: Backend | None = None,
    ) -> HandSegmenter:
        """Load a model, its recipe and, if given, an adapter.

        Args:
            name_or_path: "handseg-lite" (bundled with the package), a hub id or local folder of any
                SAM-family model, an original `segment-anything` `.pth`, an adapter folder, or the
                folder of a baseline that `handseg finetune` trained.
            adapter: folder or hub id of a PEFT adapter to put on top of the model.
            device: None takes the CPU for a model with ONNX graphs, as the bundled one, and for
                others a GPU where there is one. "cuda" takes torch and the GPU.
            dtype: of the weights, such as "bfloat16"; None keeps float32.
            recipe: None takes the one saved beside the adapter or the model, else the default.
            landmarker: None takes the default one.
            object_adapter: folder or hub id of an adapter for the same model that cuts out what
                hands hold, see `segment`; it is loaded when it is first needed. None takes what
                was saved beside the model, or for handseg-lite the bundled one.
            backend: "onnx" or "torch"; None takes ONNX Runtime where the folder has graphs and
                nothing above asks for torch.

        Raises:
            ModelError: if a model or adapter cannot be loaded or do not fit.
            ValueError: if the recipe cannot be read.
        """
        folder = home(name_or_path)
        if is_semantic(folder):
            parts = {"adapter": adapter, "recipe": recipe, "object_adapter": object_adapter}
            parts["ONNX graphs"] = "onnx" if backend == "onnx" else None
            for name, part in parts.items():
                if part is not None:
                    raise ModelError(f"{folder} takes no prompts and no {name}, got one")
            with needing_extras(str(folder)):
                return cls(SemanticModel.from_pretrained(folder, device, dtype), None, landmarker)
        if adapter is None and is_adapter(Path(folder)):
            adapter, folder = folder, home(base_of_adapter(Path(folder)))
        if adapter is not None:
            with needing_extras(f"the adapter {adapter}"):
                adapter = local_adapter(adapter)
            if find_recipe(adapter).is_for_objects:
                raise ModelError(
                    f"adapter: {adapter} is for what hands hold, give it as object_adapter"
                )
        model = load_mask_model(folder, adapter, device, dtype, backend)
        if recipe is None:
            recipe = find_recipe(adapter, folder)
        elif not isinstance(recipe, PromptRecipe):
            recipe = PromptRecipe.load(recipe)
        weights = find_weights(folder, object_adapter)
        load_objects = None if weights is None else partial(weights.load, device, dtype)
        return cls(model, recipe, landmarker, load_objects)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model (with its adapter merged) and recipe; `from_pretrained` reads them back.

        The object stage is written, too, if it has been used or `object_stage` been asked for.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder)
        if self.takes_prompts:
            self.recipe.save(folder)
        if self._objects is not None:
            self._objects.save(Path(folder) / OBJECT_FOLDER)

    @property
    def takes_prompts(self) -> bool:
        """Whether the model is of the SAM family; others label whole photos."""
        return not isinstance(self.model, SemanticModel)

    def __enter__(self) -> HandSegmenter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free MediaPipe's graph. The segmenter makes a new one if it is used again."""
        if self._landmarker is not None and self._owns_landmarker:
            self._landmarker.close()
            self._landmarker = None

    @property
    def landmarker(self) -> HandLandmarker:
        """The landmark stage, made when it is first needed."""
        if self._landmarker is None:
            self._landmarker = HandLandmarker()
        return self._landmarker

    def share(self) -> HandSegmenter:
        """Another segmenter, for another thread: it shares model, recipe and object stage with
        this one and makes a default landmarker of its own. Close it, too.
        """
        load_objects = None if self._load_objects is None else lambda: self.object_stage
        return HandSegmenter(self.model, self.recipe, load_objects=load_objects)

    def check_objects(self) -> None:
        """Make sure that `objects=True` will do, and load what it needs.

        Raises:
            ModelError: if there is nothing for this model that cuts out what hands hold.
        """
        if isinstance(self.model, SemanticModel):
            check_labels_objects(self.model)
        else:
            self.object_stage  # noqa: B018 - loaded when it is first asked for

    @property
    def object_stage(self) -> ObjectStage:
        """What cuts out held objects, loaded when it is first needed.

        Raises:
            ModelError: if it cannot be loaded, or there is none for this model.
        """
        with self._loading:
            if self._objects is None:
                if self._load_objects is None:
                    raise ModelError(
                        "objects: this model has no adapter for held objects; give one as "
                        "object_adapter, or use handseg-lite, which has one"
                    )
                self._objects = self._load_objects()
            return self._objects

    def segment(
        self,
        image: ImageSource,
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
        """Cut the hands out of one photo.

        With no prompts, MediaPipe finds the hands. Boxes, points or landmarks of your own take its
        place: one hand for each box, each set of points or each set of landmarks.

        Args:
            image: a path, bytes, file object, PIL image, RGB array or tensor; see `load_image`. In
                a JPEG over 2,560 px, given by path or bytes, hands are looked for on a reduced copy
                while it is decoded: landmarks may lie elsewhere than in its array's, by 0.004 hand
                sizes in the median and 0.025 in one of 20 hands measured.
            boxes: (K, 4) or (4,), xyxy in px.
            points: (K, P, 2) or (P, 2), x, y in px: on the hand where the label is 1, off it where
                it is 0. With boxes or landmarks, K must be theirs.
            labels: (K, P) or (P,) of 1 and 0; None takes every point for one on the hand.
            landmarks: (K, 21, 2) or (21, 2), x, y in px, in MediaPipe's order.
            max_hands: the most hands that MediaPipe may find; the surest are taken.
            forearm: False ends the mask at a line across the wrist, True takes in a bare forearm;
                None does as the recipe says, which came with the weights.
            holes: "keep" leaves out what the model leaves out (but for pinholes), "fill" takes
                what lies on the palm or across a finger for hand: coin, ring, watch, bracelet. Gaps
                between spread fingers stay. It needs landmarks.
            objects: also cut out what each hand holds: `Hand.object_mask`, empty where it holds
                nothing. Where the object is clearly surer it takes pixels from the hand, whose
                mask may so differ from that without `objects`. It needs landmarks, MediaPipe's or
                your own. Experimental: handseg-lite's misses many and sees some in empty hands.

        Returns:
            The hands, none if there is none to be found.

        Raises:
            ImageError: if the image cannot be read.
            ValueError: if prompts have wrong shapes, are not finite or lie outside of the photo, or
                the model knows neither prompts nor landmarks and is given what needs them, or there
                are no landmarks for `objects`.
            ModelError: if there is no object adapter for `objects`.
        """
        prompted = any(given is not None for given in (boxes, points, labels, landmarks))
        photo = self.embed(image) if prompted else self._look(image)
        return photo.segment(
            boxes=boxes,
            points=points,
            labels=labels,
            landmarks=landmarks,
            max_hands=max_hands,
            forearm=forearm,
            holes=holes,
            objects=objects,
        )

    def embed(self, image: ImageSource) -> EmbeddedPhoto:
        """Take a photo in for any number of prompts, where `segment` is for one set of them.

        Raises:
            ImageError: if the image cannot be read.
        """
        return EmbeddedPhoto(self, load_image(image))

    def _look(self, image: ImageSource) -> EmbeddedPhoto:
        """As `embed`; the hands of a large JPEG file are looked for while it is decoded."""
        if not self.takes_prompts:
            return self.embed(image)
        with load_with_preview(image, VIEW_SIDE) as (small, load):
            found = None if small is None else self.landmarker.detect(small)
            photo = load()
        if small is None or found is None:
            return EmbeddedPhoto(self, photo)
        factor = np.array(photo.shape[1::-1]) / small.shape[1::-1]
        return EmbeddedPhoto(self, photo, [hand.resized(factor) for hand in found])

    def segment_batch(
        self,
        images: Iterable[ImageSource],
        *,
        max_hands: int = 4,
        forearm: bool | None = None,
        holes: Holes = "keep",
        objects: bool = False,
    ) -> list[HandSegmentation]:
        """Cut the hands out of several photos; all regions go through the model in batches.

        The photos are held in memory together: for a folder, call it on a few at a time. The
        options are those of `segment`.
        """
        check_max_hands(max_hands)
        check_holes(holes)
        photos = [self._look(image) for image in images]
        if isinstance(self.model, SemanticModel):
            return [
                photo.segment(forearm=forearm, holes=holes, objects=objects) for photo in photos
            ]
        stage = self.object_stage if objects else None
        recipe = self.recipe.with_forearm(forearm)
        requests = [photo.requests(recipe, max_hands) for photo in photos]
        hands = predict_hands(self.model, recipe, list(chain(*requests)), holes)
        if stage is not None:
            seen = [
                photo.for_objects
                for photo, some in zip(photos, requests, strict=True)
                for _ in some
            ]
            hands = add_objects(stage, seen, hands)
        each = iter(hands)
        return [
            HandSegmentation(photo.image, tuple(islice(each, len(some))))
            for photo, some in zip(photos, requests, strict=True)
        ]
