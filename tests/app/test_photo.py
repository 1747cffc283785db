"""A visitor's corrections, and undoing them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_hands import LANDMARKS, SOFT, make_hand

from handseg.app.entries import HandEntry
from handseg.app.workspace import Photo

FOUND = tuple(
    HandEntry(make_hand(SOFT, landmarks=LANDMARKS, handedness="left"), rank) for rank in range(2)
)


def test_a_click_corrects_a_hand_and_keeps_the_others() -> None:
    photo = Photo("a", b"", entries=FOUND)
    photo.click(FOUND[0], 3, 4, 0)
    photo.click(photo.entries[0], 5, 6, 1)
    first, second = photo.entries
    assert (first.points, first.labels) == (((3, 4), (5, 6)), (0, 1))
    assert (first.landmarks, first.rank) == (FOUND[0].landmarks, 0)
    assert second is FOUND[1]


def test_a_click_or_a_box_starts_a_new_hand() -> None:
    photo = Photo("a", b"", entries=FOUND)
    photo.click(None, 3, 4, 1)
    photo.draw_box(None, (1, 2, 3, 4))
    assert photo.entries[:2] == FOUND
    assert photo.entries[2].prompts() == {"points": [((3, 4),)], "labels": [(1,)]}
    assert photo.entries[3].prompts() == {"boxes": [(1, 2, 3, 4)]}


def test_no_hand_starts_with_a_point_off_it() -> None:
    photo = Photo("a", b"", entries=FOUND)
    with pytest.raises(ValueError, match="point on it"):
        photo.click(None, 3, 4, 0)
    assert photo.entries == FOUND
    assert not photo.history


def test_a_box_takes_the_place_of_landmarks_and_of_an_earlier_box() -> None:
    photo = Photo("a", b"", entries=FOUND)
    for box in ((0, 0, 5, 5), (1, 2, 3, 4)):
        photo.draw_box(photo.entries[0], box)
    assert photo.entries[0].prompts() == {"boxes": [(1, 2, 3, 4)]}


def test_a_hand_goes_with_the_last_point_that_says_where_it_is() -> None:
    photo = Photo("a", b"", entries=FOUND)
    photo.click(FOUND[0], 3, 4, 0)
    photo.remove_point(photo.entries[0], 0)
    assert [entry.points for entry in photo.entries] == [(), ()]  # landmarks say where they are
    photo.click(None, 3, 4, 1)
    photo.click(photo.entries[2], 5, 6, 0)
    photo.remove_point(photo.entries[2], 0)
    assert len(photo.entries) == 2
    photo.undo()
    assert photo.entries[2].points == ((3, 4), (5, 6))


def test_a_hand_is_removed_once() -> None:
    photo = Photo("a", b"", entries=FOUND)
    photo.remove(FOUND[0])
    photo.remove(FOUND[0])
    assert photo.entries == FOUND[1:]
    photo.undo()
    assert photo.entries == FOUND
    assert not photo.history


KINDS = ["click", "box", "remove", "move", "remove point"]


@st.composite
def corrections(draw: st.DrawFn) -> list[Callable[[Photo], None]]:
    """Draw actions of a visitor, each of which is one step to undo."""

    def choose(photo: Photo, number: int) -> HandEntry | None:
        choices = [*photo.entries, None]
        return choices[number % len(choices)]

    def step(kind: str, number: int) -> Callable[[Photo], None]:
        def take(photo: Photo) -> None:
            entry = choose(photo, number)
            if kind == "box":
                photo.draw_box(entry, (number, 0, number + 5, 5))
            elif kind == "remove" and entry is not None:
                photo.remove(entry)
            elif kind == "move" and entry is not None and entry.points:
                photo.move_point(entry, number % len(entry.points), number, 3)
            elif kind == "remove point" and entry is not None and entry.points:
                photo.remove_point(entry, number % len(entry.points))
            else:
                photo.click(entry, number, 2, label=1)

        return take

    steps = st.builds(step, st.sampled_from(KINDS), st.integers(0, 9))
    return draw(st.lists(steps, max_size=8))


@given(corrections())
def test_undo_takes_back_step_by_step(steps: list[Callable[[Photo], None]]) -> None:
    photo = Photo("a", b"", entries=FOUND)
    seen = [photo.entries]
    for step in steps:
        step(photo)
        seen.append(photo.entries)
    for before in reversed(seen[:-1]):
        photo.undo()
        assert photo.entries == before
    photo.undo()
    assert photo.entries == FOUND


@given(corrections(), corrections())
def test_start_over_takes_all_back(
    steps: list[Callable[[Photo], None]], more: list[Callable[[Photo], None]]
) -> None:
    photo = Photo("a", b"", entries=FOUND)
    for some in (steps, more):
        for step in some:
            step(photo)
        photo.start_over()
        assert photo.entries == FOUND
        assert not photo.history
