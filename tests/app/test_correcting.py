"""Clicks and drags on the picture, as the component reports them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from red_hands import RED, red_segmenter

from handseg.app import correcting
from handseg.app.correcting import BOX, NEW, OFF, ON
from handseg.app.workspace import HandEntry, Photo, PromptedModel, Workspace
from handseg.results import Hand

HANDS: list[Hand] = []
"""What the page shows; of account only where a click itself says which hand is meant."""
SHOWN = {"width": 500, "height": 400}  # px on the screen, of a photo of 1000 x 800


@pytest.fixture
def photo() -> Photo:
    return Photo("a.jpg", b"", (1000, 800), (HandEntry(box=(0, 0, 9, 9)),))


def touch(photo: Photo, tool: str, number: int = NEW, **value: float) -> None:
    correcting._clicked("a", photo, photo.active(4), HANDS, number, tool, SHOWN | value)


def test_a_click_is_about_the_middle_of_the_screen_s_pixel(photo: Photo) -> None:
    touch(photo, ON, x=250, y=100)
    assert photo.entries[1].points == ((500.5, 200.5),)
    touch(photo, OFF, 1, x=0, y=399)
    assert photo.entries[1].points[1] == (0.5, 798.5)
    assert photo.entries[1].labels == (1, 0)
    assert photo.entries[0].points == ()


@pytest.mark.parametrize("spot", [(-3, 10), (500, 10), (10, 400), (10, 900)])
def test_no_click_is_outside_of_the_photo(photo: Photo, spot: tuple[float, float]) -> None:
    touch(photo, ON, x=spot[0], y=spot[1])
    ((x, y),) = photo.entries[1].points
    assert 0 <= x <= 999
    assert 0 <= y <= 799


@pytest.mark.parametrize("corners", [(50, 100, 250, 300), (250, 300, 50, 100), (50, 300, 250, 100)])
def test_a_box_is_dragged_from_any_corner(photo: Photo, corners: tuple[float, ...]) -> None:
    touch(photo, BOX, **dict(zip(("x1", "y1", "x2", "y2"), corners, strict=True)))
    assert photo.entries[1].box == (100.5, 200.5, 500.5, 600.5)


def test_a_box_ends_with_the_photo(photo: Photo) -> None:
    touch(photo, BOX, 0, x1=400, y1=300, x2=900, y2=-50)
    assert photo.entries[0].box == (800.5, 0, 999, 600.5)


@pytest.mark.parametrize(
    ("tool", "value"),
    [
        (OFF, {"x": 5, "y": 5}),
        (BOX, {"x1": 50, "y1": 50, "x2": 52, "y2": 300}),
        (BOX, {"x1": 495, "y1": 50, "x2": 900, "y2": 300}),
    ],
    ids=["point off a new hand", "narrow drag", "drag that leaves the photo at once"],
)
def test_what_means_nothing_changes_nothing(photo: Photo, tool: str, value: dict[str, Any]) -> None:
    before = photo.entries
    touch(photo, tool, **value)
    assert photo.entries is before
    assert not photo.history


def test_a_drag_on_a_tiny_photo_leaves_it_usable() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.full((16, 20, 3), RED, np.uint8)).save(stream, "PNG")
    workspace, model = Workspace(1000), PromptedModel(red_segmenter())
    workspace.photos["a"] = photo = Photo("a.png", stream.getvalue())
    workspace.segment(photo, model, 4)
    touch(photo, BOX, x1=100, y1=100, x2=115, y2=115)  # 0.6 px of the photo
    result = workspace.segment(photo, model, 4)
    assert result.image.shape == (16, 20, 3)
    assert len(result) == len(photo.entries)
