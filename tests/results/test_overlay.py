"""The picture of a model's prompts."""

from __future__ import annotations

import numpy as np
import pytest

from handseg.landmarks.anatomy import BONES
from handseg.prompts import NEGATIVE, POSITIVE, HandPrompts, PromptRecipe
from handseg.results import overlay

GREEN, RED, YELLOW = (40, 200, 60), (235, 40, 40), (255, 210, 0)


def prompted(
    points: list[tuple[float, float]] | None = None,
    labels: list[int] | None = None,
    box: list[float] | None = None,
    landmarks: np.ndarray | None = None,
) -> HandPrompts:
    return HandPrompts(
        np.array(points or [], np.float32).reshape(-1, 2),
        np.array(labels or [], np.int64),
        None if box is None else np.array(box, np.float32),
        np.zeros(4, np.float32),
        landmarks,
    )


def drawn(*hands: HandPrompts, size: tuple[int, int] = (300, 400)) -> np.ndarray:
    image = np.zeros((*size, 3), np.uint8)
    picture = overlay.prompts(image, hands)
    assert not image.any()  # the photo stays as it is
    assert (picture.mode, picture.size) == ("RGB", size[::-1])
    return np.asarray(picture)


def centre(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Return x, y of the centre of the pixels with exactly `color`."""
    rows, columns = np.nonzero((picture == color).all(axis=2))
    assert len(rows)
    return np.array([columns.min() + columns.max(), rows.min() + rows.max()]) / 2


def test_nothing_to_draw() -> None:
    assert not drawn().any()
    assert not drawn(prompted()).any()


@pytest.mark.parametrize(("label", "color"), [(POSITIVE, GREEN), (NEGATIVE, RED)])
@pytest.mark.parametrize("size", [(300, 400), (1500, 2000)])
def test_points(label: int, color: tuple[int, int, int], size: tuple[int, int]) -> None:
    picture = drawn(prompted([(120, 80)], [label]), size=size)
    np.testing.assert_allclose(centre(picture, color), [120, 80], atol=1)
    others = {GREEN, RED, YELLOW} - {color}
    assert not any((picture == other).all(axis=2).any() for other in others)


def test_points_of_both_kinds_and_of_several_hands() -> None:
    picture = drawn(
        prompted([(50, 60), (200, 220)], [POSITIVE, NEGATIVE]), prompted([(300, 100)], [NEGATIVE])
    )
    np.testing.assert_array_equal(picture[60, 50], GREEN)
    np.testing.assert_array_equal(picture[220, 200], RED)
    np.testing.assert_array_equal(picture[100, 300], RED)


def test_box() -> None:
    picture = drawn(prompted(box=[100, 50, 200, 150]))
    for y, x in [(50, 150), (150, 150), (100, 100), (100, 200)]:
        np.testing.assert_allclose(picture[y, x], YELLOW, atol=30)  # the line is blended
    assert not picture[100, 150].any()


def test_skeleton_lies_below_the_points(open_hand: np.ndarray) -> None:
    marks = open_hand + np.float32([200, 250])
    prompts = PromptRecipe().prompts(marks, 300, 400)
    picture = drawn(prompts)
    for x, y in np.rint(prompts.points[prompts.labels == POSITIVE]).astype(int):
        np.testing.assert_array_equal(picture[y, x], GREEN)
    bones = drawn(prompted(landmarks=marks))
    for first, last in BONES:
        x, y = np.rint((marks[first] + marks[last]) / 2).astype(int)
        assert bones[y, x].any()


def test_what_lies_at_the_edge_or_outside_is_clipped(open_hand: np.ndarray) -> None:
    picture = drawn(
        prompted([(0, 0), (399, 299)], [POSITIVE, NEGATIVE], [0, 0, 399, 299], open_hand - 60)
    )
    np.testing.assert_array_equal(picture[0, 0], GREEN)
    np.testing.assert_array_equal(picture[299, 399], RED)
