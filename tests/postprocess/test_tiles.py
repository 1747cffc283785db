from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from handseg.postprocess.tiles import Tile, Window, box_with, tiles_with

BANDS = npst.arrays(
    bool,
    npst.array_shapes(min_dims=2, max_dims=2, max_side=30),
    elements=st.booleans(),
    fill=st.just(False),
)
SIZES, PADS = st.integers(1, 40), st.integers(0, 12)


def tiles(band: np.ndarray, size: int, pad: int) -> list[Tile]:
    return list(tiles_with(band, size, pad))


def ends(window: Window) -> list[tuple[int, int]]:
    return [(one.start, one.stop) for one in window]


@given(BANDS, SIZES, PADS)
@settings(deadline=None)
def test_each_pixel_of_the_band_lies_in_one_tile(band: np.ndarray, size: int, pad: int) -> None:
    covered = np.zeros(band.shape, int)
    for tile in tiles(band, size, pad):
        covered[tile.inner] += 1
    assert (covered[band] == 1).all()
    assert covered.max() <= 1


@given(BANDS, SIZES, PADS)
@settings(deadline=None)
def test_inner_is_within_outer(band: np.ndarray, size: int, pad: int) -> None:
    places = np.arange(band.size).reshape(band.shape)
    for tile in tiles(band, size, pad):
        np.testing.assert_array_equal(places[tile.outer][tile.within], places[tile.inner])


@given(BANDS, SIZES, PADS)
@settings(deadline=None)
def test_outer_reaches_as_far_as_asked_or_to_the_edge(
    band: np.ndarray, size: int, pad: int
) -> None:
    for tile in tiles(band, size, pad):
        for (start, stop), (first, last), end in zip(
            ends(tile.inner), ends(tile.outer), band.shape, strict=True
        ):
            assert 0 <= start < stop <= min(end, start + size)
            assert first == max(0, start - pad)
            assert last == min(end, stop + pad)


@given(BANDS, SIZES, PADS)
@settings(deadline=None)
def test_tiles_without_band_are_left_out(band: np.ndarray, size: int, pad: int) -> None:
    for tile in tiles(band, size, pad):
        assert band[tile.inner].any()


@given(BANDS, SIZES, PADS)
@settings(deadline=None)
def test_a_box_filter_by_tiles_is_the_filter_of_the_whole(
    band: np.ndarray, size: int, pad: int
) -> None:
    values = np.random.default_rng(0).integers(0, 100, band.shape)

    def sums(part: np.ndarray) -> np.ndarray:
        wide = np.pad(part, pad)
        windows = np.lib.stride_tricks.sliding_window_view(wide, (2 * pad + 1,) * 2)
        return windows.sum((2, 3))

    result = np.zeros_like(values)
    for tile in tiles(band, size, pad):
        result[tile.inner] = sums(values[tile.outer])[tile.within]
    np.testing.assert_array_equal(result[band], sums(values)[band])


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (7, 9)])
def test_an_empty_band_has_none(shape: tuple[int, int]) -> None:
    assert tiles(np.zeros(shape, bool), 4, 2) == []


def test_one_tile_may_hold_it_all() -> None:
    (tile,) = tiles(np.ones((7, 9), bool), 10, 3)
    assert ends(tile.inner) == ends(tile.outer) == ends(tile.within) == [(0, 7), (0, 9)]


@given(BANDS, PADS)
@settings(deadline=None)
def test_the_box_is_the_smallest_that_holds_the_band(band: np.ndarray, pad: int) -> None:
    box = box_with(band, pad)
    if box is None:
        assert not band.any()
        return
    inside = band[box.inner]
    assert inside.sum() == band.sum()
    assert inside.any(axis=1)[[0, -1]].all()
    assert inside.any(axis=0)[[0, -1]].all()
    places = np.arange(band.size).reshape(band.shape)
    np.testing.assert_array_equal(places[box.outer][box.within], places[box.inner])
    for (start, stop), (first, last), end in zip(
        ends(box.inner), ends(box.outer), band.shape, strict=True
    ):
        assert (first, last) == (max(0, start - pad), min(end, stop + pad))


def test_a_box_has_surroundings_only_within_the_picture() -> None:
    band = np.zeros((20, 30), bool)
    band[4:7, 25] = True
    assert box_with(band, 5) == Tile(
        inner=(slice(4, 7), slice(25, 26)),
        outer=(slice(0, 12), slice(20, 30)),
        within=(slice(4, 7), slice(5, 6)),
    )
    assert box_with(band & False, 5) is None
