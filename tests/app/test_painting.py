"""Strokes on a visitor's photo: the hand they belong to, and their effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from red_hands import draw_photo, red_segmenter

from handseg.app import brush, downloads
from handseg.app.aim import CLICKED, NEW, Pointer, painted_hand
from handseg.app.brush import Stroke
from handseg.app.frame import Frame
from handseg.app.workspace import Photo, PromptedModel, Workspace
from handseg.io.files import encode_image
from handseg.results import Hand, HandSegmentation

LARGE, SMALL = (50, 50, 30, 20), (130, 90, 15, 15)
FINGER = [[80, 50], [95, 50]]  # on the right of the large hand
HOLE = [[50, 50]]


@pytest.fixture
def model() -> PromptedModel:
    return PromptedModel(red_segmenter())


class Visit:
    """A photo with a large and a small hand, and actions on it."""

    def __init__(self, model: PromptedModel) -> None:
        image, _ = draw_photo(LARGE, SMALL)
        self.workspace, self.model = Workspace(1_000_000), model
        self.photo = Photo("a.png", encode_image(image, "a.png"))
        self.workspace.photos["a"] = self.photo
        self.result()

    def result(self) -> HandSegmentation:
        return self.workspace.segment(self.photo, self.model, 4)

    def act(self, do: str, about: int = CLICKED, label: int = 1, **values: Any) -> None:
        pointer = Pointer(self.photo, self.photo.active(4), self.result().hands, about, label)
        pointer.act({"do": do, **values}, Frame.whole((160, 120)))

    def paint(self, points: list[list[float]], about: int = CLICKED, erase: bool = False) -> None:
        self.act("paint", about, points=points, radius=4, erase=erase)

    def click(self, x: float, y: float) -> None:
        self.act("click", x=(x + 0.5) / 160, y=(y + 0.5) / 120)


@pytest.fixture
def visit(model: PromptedModel) -> Visit:
    return Visit(model)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (FINGER, 0),
        ([[100, 90], [112, 90], [125, 90]], 1),  # starts off it
        ([[150, 20]], 1),  # the nearest
        ([[0, 115]], 0),
        ([[-40, -40]], 0),
    ],
)
def test_a_stroke_belongs_to_the_hand_that_it_lies_on_or_near(
    visit: Visit, points: list[list[float]], expected: int
) -> None:
    hands = visit.result().hands
    assert painted_hand(hands, Stroke(np.array(points, np.float32), 4)) == expected
    visit.paint(points)
    assert [len(entry.strokes) for entry in visit.photo.active(4)] == [
        int(number == expected) for number in range(2)
    ]


def test_the_hand_that_was_chosen_is_painted_wherever_the_stroke_is(visit: Visit) -> None:
    visit.paint(FINGER, about=1)
    first, second = visit.result()
    assert not first.mask[50, 90]
    assert second.mask[50, 90]


def test_a_stroke_starts_no_hand(visit: Visit) -> None:
    with pytest.raises(ValueError, match="click on a new one first"):
        visit.paint(FINGER, about=NEW)
    for entry in visit.photo.active(4):
        visit.photo.remove(entry)
    steps = len(visit.photo.history)
    with pytest.raises(ValueError, match="click on a new one first"):
        visit.paint(FINGER)
    assert len(visit.photo.history) == steps


def test_strokes_do_not_ask_the_model(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("the model was asked")

    before = visit.result().mask
    monkeypatch.setattr(visit.model.segmenter.model, "decode", fail)
    visit.paint(FINGER)
    visit.paint(HOLE, erase=True)
    painted = visit.result().mask
    assert painted[50, 90]
    assert not painted[50, 50]
    assert visit.model.is_done(visit.photo, 4)
    visit.photo.undo()
    assert visit.result().mask[[50, 50], [90, 50]].all()
    visit.photo.undo()
    np.testing.assert_array_equal(visit.result().mask, before)


def test_a_click_keeps_the_strokes_and_is_under_them(visit: Visit) -> None:
    visit.paint(FINGER)
    visit.paint(HOLE, erase=True)
    visit.click(50, 50)  # on the hole: the model has it, the brush takes it away
    (entry, _) = visit.photo.active(4)
    assert entry.points == ((50, 50),)
    assert len(entry.strokes) == 2
    mask = visit.result().mask
    assert mask[50, 90]
    assert not mask[50, 50]
    visit.act("box", x1=0.1, y1=0.2, x2=0.6, y2=0.7)
    assert visit.result().mask[50, 90]


def test_start_over_removes_strokes(visit: Visit) -> None:
    before = visit.result().mask
    visit.paint(FINGER)
    visit.click(45, 45)
    visit.photo.start_over()
    np.testing.assert_array_equal(visit.result().mask, before)
    assert not any(entry.strokes for entry in visit.photo.active(4))


def test_another_model_has_the_same_strokes(visit: Visit) -> None:
    visit.paint(FINGER)
    other = PromptedModel(red_segmenter())
    assert not other.is_done(visit.photo, 4)
    assert visit.workspace.segment(visit.photo, other, 4).mask[50, 90]


def test_the_painted_hands_of_a_photo_do_not_pile_up(visit: Visit) -> None:
    for step in range(20):
        visit.paint([[20 + 3 * step, 20]])
        visit.result()
    assert len(visit.photo.painted[visit.model]) == 2
    assert len(visit.photo.hands[visit.model]) == 2


MAKERS: list[Callable[[HandSegmentation], np.ndarray]] = [
    lambda result: np.asarray(result.cutout())[..., 3] >= 128,
    lambda result: np.asarray(result.cutout(edge="hard"))[..., 3] == 255,
    lambda result: np.asarray(result.cutout(edge="matte"))[..., 3] >= 128,
    lambda result: (np.asarray(result.composite("#0000ff")) != (0, 0, 255)).any(-1),
]


@pytest.mark.parametrize("made", MAKERS, ids=["soft", "hard", "matte", "composite"])
def test_what_is_made_of_a_result_has_the_strokes(
    visit: Visit, made: Callable[[HandSegmentation], np.ndarray]
) -> None:
    visit.paint(HOLE, erase=True)
    visit.paint([[50, 50], [50, 100]])  # over the hole and beyond the hand
    visit.paint([[40, 40]], erase=True)
    shown = made(visit.result())
    assert shown[[50, 85], [50, 50]].all()
    assert not shown[40, 40]


def test_the_numbers_are_those_of_the_painted_mask(visit: Visit) -> None:
    before = downloads.numbers("a.png", visit.result())["hands"]
    visit.paint(FINGER)
    after = downloads.numbers("a.png", visit.result())["hands"]
    assert after[0]["area"] == np.count_nonzero(visit.result().hands[0].mask) > before[0]["area"]
    assert after[1] == before[1]


def test_only_new_strokes_are_painted(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    apply = brush.apply

    def noted(hand: Hand, strokes: Sequence[Stroke]) -> Hand:
        counts.append(len(strokes))
        return apply(hand, strokes)

    monkeypatch.setattr(brush, "apply", noted)
    for place in ([20, 20], [30, 20], [40, 20]):
        visit.paint([place], about=0)
    assert visit.result().mask[20, [20, 30, 40]].all()
    assert max(counts) == 1
