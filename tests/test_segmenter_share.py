"""Segmenters that share a model, each on its own thread."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from red_hands import ColorModel, RedLandmarker, blue_objects, is_red, red_segmenter

from handseg.errors import ModelError
from handseg.pipeline.held_objects import ObjectStage
from handseg.prompts import PromptRecipe
from handseg.segmenter import HandSegmenter


def test_shared_segmenter_has_all_but_the_landmarker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handseg.segmenter.HandLandmarker", RedLandmarker)
    recipe = PromptRecipe(box_reach=0.3)
    first = HandSegmenter(ColorModel(is_red), recipe, load_objects=blue_objects)
    other = first.share()
    assert other.model is first.model
    assert other.recipe is recipe
    assert other.object_stage is first.object_stage
    assert other.landmarker is not first.landmarker


def test_closing_a_shared_segmenter_leaves_the_first_one(segmenter: HandSegmenter) -> None:
    landmarker = segmenter.landmarker
    blank = np.zeros((64, 64, 3), np.uint8)
    with segmenter.share() as other:
        assert not other.segment(blank)
    assert segmenter.landmarker is landmarker
    assert not segmenter.segment(blank)


def test_object_stage_is_loaded_once_by_all_threads() -> None:
    loaded = []

    def load() -> ObjectStage:
        loaded.append(blue_objects())
        time.sleep(0.1)
        return loaded[-1]

    first = HandSegmenter(ColorModel(is_red), load_objects=load)
    segmenters = [first, *(first.share() for _ in range(3))]
    with ThreadPoolExecutor(4) as pool:
        stages = list(pool.map(lambda one: one.object_stage, segmenters))
    assert len(loaded) == 1
    assert all(stage is loaded[0] for stage in stages)


def test_shared_segmenter_has_no_object_stage_where_the_first_has_none() -> None:
    with pytest.raises(ModelError, match="object_adapter"):
        HandSegmenter(red_segmenter().model).share().check_objects()


@pytest.mark.slow
def test_threads_find_what_one_thread_finds(
    segmenter: HandSegmenter, photos: dict[str, np.ndarray]
) -> None:
    alone = [segmenter.segment(photo, objects=True) for photo in photos.values()]
    with segmenter.share() as one, segmenter.share() as other, ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            halves = [
                pool.submit(lambda who=who: [who.segment(p, objects=True) for p in photos.values()])
                for who in (one, other)
            ]
            for half in halves:
                for expected, found in zip(alone, half.result(), strict=True):
                    assert len(found) == len(expected)
                    np.testing.assert_array_equal(found.mask, expected.mask)
                    np.testing.assert_array_equal(found.object_mask, expected.object_mask)
