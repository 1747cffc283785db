"""Options of `segment`: unknown ones are rejected by name, and `help` shows them all."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from red_hands import draw_photo, red_segmenter
from red_network import red_labeller

import handseg
from handseg.pipeline.options import DEFAULTS, BatchOptions, SegmentOptions
from handseg.pipeline.semantic import SemanticSegmenter

IMAGE, _ = draw_photo((80, 60, 40, 30))
HAND, LABELLING = red_segmenter(), SemanticSegmenter(red_labeller())

Segment = Callable[..., Any]
one_photo = pytest.mark.parametrize(
    "segment",
    [
        handseg.segment,
        HAND.segment,
        LABELLING.segment,
        lambda _, **options: HAND.embed(IMAGE).segment(**options),
        lambda _, **options: LABELLING.embed(IMAGE).segment(**options),
    ],
    ids=["segment", "HandSegmenter", "SemanticSegmenter", "EmbeddedPhoto", "LabelledPhoto"],
)
batches = pytest.mark.parametrize("segmenter", [HAND, LABELLING], ids=["hand", "semantic"])


@one_photo
@pytest.mark.parametrize(
    ("name", "near"),
    [("hole", "holes"), ("box", "boxes"), ("fore_arm", "forearm"), ("max_hand", "max_hands")],
)
def test_a_misspelt_option_is_named_with_the_nearest(
    segment: Segment, name: str, near: str
) -> None:
    # This is raised before the photo is read: the file does not exist.
    with pytest.raises(TypeError, match=rf"segment\(\) got .*{name!r}; did you mean {near!r}\?"):
        segment("absent.jpg", **{name: None})


@one_photo
def test_an_unknown_option_is_named_with_those_there_are(segment: Segment) -> None:
    with pytest.raises(TypeError, match=r"'zebra'; it takes boxes, points, labels, landmarks, max"):
        segment("absent.jpg", zebra=1)


@batches
def test_a_batch_takes_no_prompts(segmenter: handseg.Segmenter) -> None:
    message = (
        r"segment_batch\(\) got .*'boxes'; it takes max_hands, finder, forearm, holes, objects"
    )
    with pytest.raises(TypeError, match=message):
        segmenter.segment_batch([], boxes=[0, 0, 9, 9])


@batches
def test_a_batch_gives_what_single_photos_give(segmenter: handseg.Segmenter) -> None:
    both = segmenter.segment_batch([IMAGE, IMAGE[:, ::-1].copy()], max_hands=1)
    for result, image in zip(both, (IMAGE, IMAGE[:, ::-1].copy()), strict=True):
        np.testing.assert_array_equal(result.mask, segmenter.segment(image, max_hands=1).mask)


@one_photo
def test_values_that_cannot_be_are_named(segment: Segment) -> None:
    with pytest.raises(ValueError, match="max_hands must be at least 1, got 0"):
        segment(IMAGE, max_hands=0)
    with pytest.raises(ValueError, match="holes must be 'keep' or 'fill', got 'all'"):
        segment(IMAGE, holes="all")


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (handseg.segment, SegmentOptions),
        (handseg.HandSegmenter.segment, SegmentOptions),
        (handseg.HandSegmenter.segment_batch, BatchOptions),
        (handseg.SemanticSegmenter.segment, SegmentOptions),
        (handseg.EmbeddedPhoto.segment, SegmentOptions),
    ],
)
def test_help_shows_every_option(function: Segment, kind: type) -> None:
    shown = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    names = kind.__annotations__
    assert shown == {name: value for name, value in DEFAULTS.items() if name in names}
    documentation = inspect.getdoc(function) or ""
    for name in DEFAULTS:
        assert documentation.count(f"\n    {name}: ") == (name in names)
    assert "**options" not in documentation


def test_defaults_are_for_every_option() -> None:
    assert set(DEFAULTS) == set(SegmentOptions.__annotations__)
