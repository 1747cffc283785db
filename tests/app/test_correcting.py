"""Clicks and drags on the picture, as the component reports them."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from red_hands import RED, red_segmenter

from handseg.app.aim import NEW, Pointer
from handseg.app.entries import HandEntry
from handseg.app.frame import Frame
from handseg.app.workspace import Photo, PromptedModel, Workspace
from handseg.results import Hand

SIZE = (1000, 800)
HAND = Hand(np.zeros((0, 0), np.uint8), (0, 0), SIZE[::-1], np.array([0, 0, 9, 9], np.float32), 0.9)


@pytest.fixture
def photo() -> Photo:
    return Photo("a.jpg", b"", SIZE, (HandEntry(box=(0, 0, 9, 9)),))


def act(
    photo: Photo,
    do: str,
    about: int = NEW,
    label: int = 1,
    frame: Frame | None = None,
    **values: Any,
) -> None:
    entries = photo.active(4)
    hands = [replace(HAND) for _ in entries]
    frame = frame or Frame.whole(SIZE)
    Pointer(photo, entries, hands, about, label).act({"do": do, **values}, frame)


def test_a_click_is_in_px_of_the_photo_whatever_part_is_shown(photo: Photo) -> None:
    act(photo, "click", x=0.5, y=0.25)
    assert photo.entries[1].points == ((499.5, 199.5),)
    act(photo, "click", 1, 0, Frame(SIZE, 600, 200, 100, 80), x=0.5, y=0.25)
    assert photo.entries[1].points[1] == (649.5, 219.5)
    assert photo.entries[1].labels == (1, 0)
    assert photo.entries[0].points == ()


@pytest.mark.parametrize("corners", [(1, 2, 5, 6), (5, 6, 1, 2), (1, 6, 5, 2)])
def test_a_box_is_dragged_from_any_corner(photo: Photo, corners: tuple[int, ...]) -> None:
    tenths = dict(zip(("x1", "y1", "x2", "y2"), np.array(corners) / 10, strict=True))
    act(photo, "box", **tenths)
    assert photo.entries[1].box == pytest.approx((99.5, 159.5, 499.5, 479.5))


def test_a_box_ends_with_the_photo(photo: Photo) -> None:
    act(photo, "box", 0, x1=0.8, y1=0.75, x2=1.8, y2=-0.1)
    assert photo.entries[0].box == pytest.approx((799.5, 0, 999, 599.5))


@pytest.mark.parametrize(
    ("do", "values"),
    [
        ("click", {"label": 0, "x": 0.1, "y": 0.1}),
        ("box", {"x1": 0.1, "y1": 0.1, "x2": 0.1, "y2": 0.6}),
        ("box", {"x1": 1.0, "y1": 0.1, "x2": 1.8, "y2": 0.6}),
    ],
    ids=["point off a new hand", "a line", "drag that leaves the photo at once"],
)
def test_what_means_nothing_changes_nothing(photo: Photo, do: str, values: dict[str, Any]) -> None:
    before = photo.entries
    with pytest.raises(ValueError, match=r"new hand|corner"):
        act(photo, do, **values)
    assert photo.entries is before
    assert not photo.history


def test_one_point_is_moved_or_removed(photo: Photo) -> None:
    for place in (0.1, 0.5, 0.9):
        act(photo, "click", 0, int(place < 0.9), x=place, y=place)
    act(photo, "move", hand=0, number=1, at=[499.5, 399.5], x=0.25, y=0.5)
    assert photo.entries[0].points == ((99.5, 79.5), (249.5, 399.5), (899.5, 719.5))
    act(photo, "remove", hand=0, number=0, at=[99.5, 79.5])
    assert photo.entries[0].points == ((249.5, 399.5), (899.5, 719.5))
    assert photo.entries[0].labels == (1, 0)


def test_a_double_click_on_a_point_removes_no_other(photo: Photo) -> None:
    for place in (0.1, 0.5):
        act(photo, "click", 0, x=place, y=place)
    twice = {"hand": 0, "number": 0, "at": [99.5, 79.5]}
    act(photo, "remove", **twice)
    with pytest.raises(ValueError, match="changed meanwhile"):
        act(photo, "remove", **twice)
    assert photo.entries[0].points == ((499.5, 399.5),)


def test_a_drag_on_a_tiny_photo_leaves_it_usable() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((16, 20, 3), RED, np.uint8)).save(stream, "PNG")
    workspace, model = Workspace(1000), PromptedModel(red_segmenter())
    workspace.photos["a"] = photo = Photo("a.png", stream.getvalue())
    workspace.segment(photo, model, 4)
    assert photo.size is not None
    with pytest.raises(ValueError, match="corner"):  # 0.6 px of the photo
        act(photo, "box", frame=Frame.whole(photo.size), x1=0.2, y1=0.2, x2=0.23, y2=0.23)
    result = workspace.segment(photo, model, 4)
    assert result.image.shape == (16, 20, 3)
    assert len(result) == len(photo.entries)
