from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from handseg.runtime.connected import Components

MASK = np.array(
    [
        [1, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 1, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ],
    bool,
)


@pytest.mark.parametrize(("connectivity", "areas"), [(4, [0, 2, 1, 3]), (8, [0, 3, 3])])
def test_corners_connect_or_not(connectivity: int, areas: list[int]) -> None:
    assert Components.of(MASK, connectivity).areas.tolist() == areas


def test_parts_are_known_by_place_border_and_content() -> None:
    parts = Components.of(MASK, 4)
    assert parts.on_border().tolist() == [False, True, False, False]
    assert parts.at([(4, 2), (4.4, 2.6), (3, 3), (-9, 70)]).tolist() == [False, False, False, True]
    assert parts.at([]).tolist() == [False] * 4
    assert parts.sums(np.full(MASK.shape, 2)).tolist() == [0, 4, 2, 6]
    assert parts.sums(np.arange(30).reshape(5, 6) % 2 == 0).tolist() == [0, 1, 1, 3]
    assert parts.boxes.tolist() == [[0] * 4, [0, 0, 2, 1], [2, 1, 1, 1], [4, 1, 1, 3]]


@pytest.mark.parametrize("mask", [np.zeros((4, 5), bool), np.ones((4, 5), bool)])
def test_nothing_and_all_of_a_picture(mask: np.ndarray) -> None:
    parts = Components.of(mask, 8)
    assert parts.areas.tolist() == [0, 20][: 1 + mask.any()]
    assert parts.on_border()[parts.labels].all() == mask.any()


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.sampled_from([4, 8]))
def test_the_parts_are_those_of_scipy(mask: np.ndarray, connectivity: int) -> None:
    parts = Components.of(mask, connectivity)
    structure = ndimage.generate_binary_structure(2, 1 if connectivity == 4 else 2)
    _, count = ndimage.label(mask, structure)
    assert len(parts.areas) == len(parts.boxes) == count + 1
    assert ((parts.labels > 0) == mask).all()
    assert (np.bincount(parts.labels.ravel(), minlength=count + 1)[1:] == parts.areas[1:]).all()
    assert (parts.sums(mask) == parts.areas).all()
    for index in range(1, count + 1):
        assert ndimage.label(parts.labels == index, structure)[1] == 1
