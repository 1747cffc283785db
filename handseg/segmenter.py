"""`HandSegmenter`: combines landmarks, prompts, a SAM-family model and refinement."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from handseg.errors import ModelError
from handseg.io.images import ImageSource, read_image
from handseg.io.preview import load_with_preview
from handseg.landmarks import HandFinder, HandLandmarker
from handseg.landmarks.views import VIEW_SIDE
from handseg.measure import HandMeasurement, Scale, measure_hand
from handseg.models import Backend, MaskModel, load_mask_model
from handseg.models.adapters import base_of_adapter, is_adapter, local_adapter
from handseg.models.bundled import LITE, home
from handseg.models.hub import recipe_folder
from handseg.models.semantic.model import is_semantic
from handseg.pipeline.embedded import EmbeddedPhoto, segment_photos
from handseg.pipeline.held_objects import OBJECT_FOLDER, ObjectStage, find_weights
from handseg.pipeline.options import (
    BatchOptions,
    SegmentOptions,
    check_names,
    check_several,
    complete,
    documents_options,
    given_prompts,
)
from handseg.prompts import PromptRecipe
from handseg.prompts.recipe import find_recipe
from handseg.results import HandSegmentation
from handseg.runtime.extras import needing_extras
from handseg.runtime.forks import Mutex

if TYPE_CHECKING:
    import torch
    from typing_extensions import Unpack


class HandSegmenter:
    """Cuts hands out of photos; create one with `from_pretrained`.

    Threads that use the same segmenter wait for each other while MediaPipe runs; `share` gives each
    thread its own MediaPipe graphs. A segmenter can be pickled and copied (models are loaded again
    from their files, or their weights are copied), and keeps working in a forked process. Close
    it, or use it in a `with` block.

    Args:
        model: predicts masks of square regions from prompts.
        recipe: how landmarks become prompts.
        landmarker: finds hands; the caller has to close it. None creates the default one when it is
            first needed.
        load_objects: loads the stage for held objects when it is first needed.
    """

    def __init__(
        self,
        model: MaskModel,
        recipe: PromptRecipe | None = None,
        landmarker: HandLandmarker | None = None,
        load_objects: Callable[[], ObjectStage] | None = None,
    ) -> None:
        if isinstance(model, str | Path):
            raise TypeError(f"model must be a loaded model: use from_pretrained({str(model)!r})")
        self.model = model
        self.recipe = recipe or PromptRecipe()
        self._load_objects = load_objects
        self._objects: ObjectStage | None = None
        self._loading = Mutex()
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
                SAM-family model, an original `segment-anything` `.pth`, or an adapter folder.
            adapter: folder or hub id of a PEFT adapter for the model.
            device: None selects the CPU for a model with ONNX graphs, such as the bundled one, and
                for all others a GPU if there is one. "cuda" selects torch and the GPU.
            dtype: type of the weights, such as "bfloat16"; None keeps float32.
            recipe: None uses the one saved with the adapter or the model, or the default.
            landmarker: None uses the default one.
            object_adapter: folder or hub id of an adapter for the same model that segments held
                objects, loaded when it is first needed. None uses the one saved with the model,
                or for handseg-lite the bundled one.
            backend: "onnx" or "torch"; None selects ONNX Runtime if the folder has graphs and no
                other argument needs torch. The graphs of an adapter are exported when it is first
                loaded, and kept; "torch" exports nothing.

        Raises:
            ModelError: if a model or adapter cannot be loaded, or they do not match.
            ValueError: if the recipe cannot be read.
        """
        folder = home(name_or_path)
        if is_semantic(folder):
            raise ModelError(
                f"{folder}: a semantic segmentation network, not a SAM-family model; "
                "use handseg.load_segmenter, which loads either"
            )
        if adapter is None and is_adapter(Path(folder)):
            adapter, folder = folder, home(base_of_adapter(Path(folder)))
        if adapter is not None:
            with needing_extras(f"the adapter {adapter}"):
                adapter = local_adapter(adapter)
            if find_recipe(adapter).is_for_objects:
                raise ModelError(
                    f"adapter: {adapter} is for held objects, pass it as object_adapter"
                )
        model = load_mask_model(folder, adapter, device, dtype, backend)
        if recipe is None:
            recipe = find_recipe(adapter, recipe_folder(folder))
        elif not isinstance(recipe, PromptRecipe):
            recipe = PromptRecipe.load(recipe)
        weights = find_weights(folder, object_adapter)
        load_objects = None if weights is None else partial(weights.load, device, dtype, backend)
        return cls(model, recipe, landmarker, load_objects)

    def save_pretrained(self, folder: str | Path) -> None:
        """Save the model (with its adapter merged) and the recipe for `from_pretrained`.

        The object stage is saved, too, if it has been loaded.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder)
        self.recipe.save(folder)
        if self._objects is not None:
            self._objects.save(Path(folder) / OBJECT_FOLDER)

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
        """Release MediaPipe's graphs for reuse. The segmenter can still be used afterwards."""
        if self._landmarker is not None and self._owns_landmarker:
            self._landmarker.close()
            self._landmarker = None

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if self._owns_landmarker:
            state["_landmarker"] = None
        if self._load_objects is not None:
            state["_objects"] = None
        return state

    @property
    def landmarker(self) -> HandLandmarker:
        """The landmark stage, created when it is first needed."""
        with self._loading:
            if self._landmarker is None:
                self._landmarker = HandLandmarker(finder=HandFinder())
            return self._landmarker

    def warm_up(self) -> None:
        """Start MediaPipe."""
        self.landmarker  # noqa: B018 - created by the first access

    def share(self) -> HandSegmenter:
        """Create another segmenter, for another thread. Close it, too.

        It shares model, recipe and object stage with this one, and has its own, default landmarker:
        for another one, create `HandSegmenter(segmenter.model, segmenter.recipe, landmarker)`.
        """
        load_objects = (
            None if self._load_objects is None else partial(getattr, self, "object_stage")
        )
        return HandSegmenter(self.model, self.recipe, load_objects=load_objects)

    def check_objects(self) -> None:
        """Check that `objects=True` is supported, and load what it needs.

        Raises:
            ModelError: if there is no object adapter for this model.
        """
        self.object_stage  # noqa: B018 - loaded by the first access

    @property
    def object_stage(self) -> ObjectStage:
        """The stage for held objects, loaded when it is first needed.

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

    @documents_options(SegmentOptions)
    def segment(self, image: ImageSource, **options: Unpack[SegmentOptions]) -> HandSegmentation:
        """Cut the hands out of one photo.

        Without prompts, MediaPipe finds the hands. Your own boxes, points or landmarks replace it:
        one hand for each box, each set of points or each set of landmarks.

        Args:
            image: a path, bytes, file object, PIL image, RGB array or tensor; see `load_image`. For
                a JPEG over 2,560 px, given as path or bytes, MediaPipe searches a reduced copy
                during decoding. Landmarks then differ slightly from those of the decoded array: by
                0.004 hand sizes in the median, and 0.025 for one of 20 hands measured.
            **options: see `SegmentOptions`.

        Returns:
            The hands; empty if no hand is found.

        Raises:
            ImageError: if the image cannot be read.
            ValueError: if prompts have wrong shapes, are not finite or lie outside the photo, or
                `objects` lacks landmarks.
            ModelError: if there is no object adapter for `objects`.
            TypeError: if an option is unknown.
        """
        options = complete(options)
        photo = (
            self.embed(image) if given_prompts(options) else self._look(image, options["finder"])
        )
        return photo.segment(**options)

    def measure(
        self,
        image: ImageSource,
        index: int | None = None,
        *,
        scale: Scale | None = None,
        mm_per_px: float | None = None,
        **options: Unpack[SegmentOptions],
    ) -> HandMeasurement:
        """Measure the fingers of one hand in a photo: `segment`, then `handseg.measure_hand`.

        Args:
            image: as `segment` takes it.
            index: index of the hand in the result of `segment`; None for the only one, or the one
                with a coin on it.
            scale: object on the palm or beside the hand: a coin by name ("2 euro") or diameter in
                mm, two coins, or "card".
            mm_per_px: the scale at the fingers, instead of `scale`. With neither, results are only
                in px.
            **options: see `SegmentOptions`.

        Returns:
            Five fingers, starting with the thumb. A finger that cannot be measured says why.

        Raises:
            MeasurementError: if there is no such hand, it has no landmarks, or the coin or card is
                not found or tilted too much.
            ImageError, ValueError, ModelError, TypeError: as `segment` and `measure_hand` do.
        """
        result = self.segment(image, **options)
        return measure_hand(result, index, scale=scale, mm_per_px=mm_per_px)

    def embed(self, image: ImageSource) -> EmbeddedPhoto:
        """Prepare a photo for any number of prompts; `segment` is for a single set.

        Raises:
            ImageError: if the image cannot be read.
        """
        return EmbeddedPhoto(self, read_image(image))

    def _look(self, image: ImageSource, finder: bool) -> EmbeddedPhoto:
        """Like `embed`, but search a large JPEG file for hands while it is decoded."""
        with load_with_preview(image, VIEW_SIDE) as (small, load):
            found = None if small is None else self.landmarker.find(small, finder)
            photo = load()
        if small is None or found is None:
            return EmbeddedPhoto(self, photo)
        factor = np.array(photo.pixels.shape[1::-1]) / small.shape[1::-1]
        return EmbeddedPhoto(self, photo, {finder: [hand.resized(factor) for hand in found]})

    @documents_options(BatchOptions)
    def segment_batch(
        self, images: Iterable[ImageSource], **options: Unpack[BatchOptions]
    ) -> list[HandSegmentation]:
        """Cut the hands out of several photos, running the model on all regions in batches.

        All photos are held in memory: for a folder, call it on a few at a time.

        Args:
            images: each as `segment` takes it.
            **options: see `BatchOptions`.

        Returns:
            One result per photo, in the same order.

        Raises:
            As `segment` does; TypeError if `images` is a single one.
        """
        check_names("segment_batch", options, BatchOptions)
        check_several(images)
        whole = complete(options)
        return segment_photos(self, [self._look(image, whole["finder"]) for image in images], whole)
