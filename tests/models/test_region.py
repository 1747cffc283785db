from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.models.region import FILL, Region

SIZES = st.integers(8, 160)
REGIONS = st.builds(Region, st.integers(-120, 120), st.integers(-120, 120), st.integers(8, 150))
COORDINATES = st.floats(-5000, 5000, width=32)


def slope_photo(height: int, width: int) -> np.ndarray:
    """Make a photo whose channels are linear in x, in y, and in both."""
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + x, 220 - y, 30 + (x + y) / 2], axis=-1).astype(np.uint8)


def noise_photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def from_crop(region: Region, points: np.ndarray, size: int) -> np.ndarray:
    """Map pixels of the region, resized to `size`, to photo pixels by their outer edges."""
    there = (points + 0.5) * region.side / size - 0.5 + [region.x, region.y]
    return there.astype(np.float32)


def padded(image: np.ndarray, margin: int) -> np.ndarray:
    result = np.full((image.shape[0] + 2 * margin, image.shape[1] + 2 * margin, 3), FILL, np.uint8)
    result[margin:-margin, margin:-margin] = image
    return result


class TestAround:
    @given(
        st.tuples(*[st.floats(0, 2000)] * 2),
        st.tuples(*[st.floats(1, 2000)] * 2),
        st.floats(0, 2),
    )
    @settings(deadline=None)
    def test_is_centred_and_as_wide_as_asked(
        self, corner: tuple[float, float], extent: tuple[float, float], margin: float
    ) -> None:
        box = np.array([*corner, corner[0] + extent[0], corner[1] + extent[1]])
        region = Region.around(box, margin)
        assert abs(region.side - max(8, max(extent) * (1 + 2 * margin))) <= 0.5 + 1e-6
        centre = (box[:2] + box[2:]) / 2
        middle = np.array([region.x, region.y]) + (region.side - 1) / 2
        assert np.abs(middle - centre).max() <= 1 + 1e-6

    def test_takes_a_quarter_more_on_each_side(self) -> None:
        assert Region.around(np.array([100, 200, 140, 300]), 0.25) == Region(45, 175, 150)


class TestPoints:
    @given(REGIONS, SIZES, st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1))
    @settings(deadline=None)
    def test_there_and_back(
        self, region: Region, size: int, points: list[tuple[float, float]]
    ) -> None:
        expected = np.array(points, np.float32)
        crop = region.to_crop(expected, size)
        assert crop.dtype == np.float32
        np.testing.assert_allclose(from_crop(region, crop, size), expected, atol=0.02)

    @given(REGIONS, SIZES)
    @settings(deadline=None)
    def test_outer_edges_meet(self, region: Region, size: int) -> None:
        # Half a pixel outside the first and last centre, in both the photo and the crop.
        corners = np.array([[-0.5, -0.5], [size - 0.5, size - 0.5]])
        edges = np.array([region.x, region.y]) - 0.5
        there = region.to_crop(np.stack([edges, edges + region.side]), size)
        np.testing.assert_allclose(there, corners, atol=1e-3)

    def test_keeps_leading_axes(self) -> None:
        points = np.zeros((3, 4, 2))
        assert Region(5, 6, 20).to_crop(points, 10).shape == (3, 4, 2)


class TestCrop:
    @pytest.mark.parametrize(("side", "size"), [(40, 97), (96, 96), (96, 32), (90, 41), (100, 50)])
    def test_shows_at_each_pixel_what_the_photo_has_there(self, side: int, size: int) -> None:
        photo, region = slope_photo(140, 160), Region(20, 10, side)
        crop = region.crop(photo, size)
        assert crop.shape == (size, size, 3)
        assert crop.dtype == np.uint8
        y, x = np.mgrid[:size, :size]
        there = from_crop(region, np.stack([x, y], axis=-1), size)
        # Linear interpolation and averaging over a square leave a plane unchanged.
        expected = cv2.remap(
            photo.astype(np.float32), there[..., 0], there[..., 1], cv2.INTER_LINEAR
        )
        inner = slice(2, -2)
        assert np.abs(crop.astype(float) - expected)[inner, inner].max() <= 1.01

    @pytest.mark.parametrize("size", [64, 150, 256])
    def test_agrees_with_a_warp_when_it_grows(self, size: int) -> None:
        photo, region = cv2.GaussianBlur(noise_photo(90, 120), (0, 0), 2), Region(30, 11, 64)
        scale = region.side / size
        shift = (scale - 1) / 2
        matrix = np.array([[scale, 0, region.x + shift], [0, scale, region.y + shift]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        expected = cv2.warpAffine(photo, matrix, (size, size), flags=flags)
        crop = region.crop(photo, size)
        inner = slice(3 * size // 64, -3 * size // 64)
        # warpAffine rounds positions to 1/32 px.
        assert np.abs(crop.astype(int) - expected)[inner, inner].max() <= 2

    def test_averages_when_it_shrinks(self) -> None:
        photo = noise_photo(80, 80)
        crop = Region(8, 16, 64).crop(photo, 16)
        blocks = photo[16:80, 8:72].reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
        assert np.abs(crop - blocks).max() <= 0.51

    @pytest.mark.parametrize("corner", [(0, 0), (31, 12), (-301, 5), (350, -77), (901, 700)])
    @pytest.mark.parametrize(("side", "size"), [(1024, 100), (1511, 448), (2049, 160)])
    def test_of_a_large_region_averages_too(
        self, side: int, size: int, corner: tuple[int, int]
    ) -> None:
        photo = cv2.GaussianBlur(noise_photo(1301, 1407), (0, 0), 8)
        photo = cv2.normalize(photo, None, 0, 255, cv2.NORM_MINMAX)
        region = Region(*corner, side)
        whole = region.crop(photo, side)
        expected = cv2.resize(whole, (size, size), interpolation=cv2.INTER_AREA)
        difference = np.abs(region.crop(photo, size).astype(int) - expected)
        assert difference.shape == (size, size, 3)
        rows, columns = (slice(*(np.array([part.start, part.stop]) * size // side))
                         for part in region.inside(*photo.shape[:2]))  # fmt: skip
        assert difference[rows, columns][2:-2, 2:-2].mean() < 0.7
        assert difference[rows, columns][2:-2, 2:-2].max() <= 6

    @pytest.mark.parametrize("corner", [(2000, 0), (0, 2000), (-1500, 0), (0, -1500)])
    def test_of_nothing_is_filled_however_large(self, corner: tuple[int, int]) -> None:
        assert (Region(*corner, 1400).crop(noise_photo(1300, 1200), 64) == FILL).all()

    @given(REGIONS, st.integers(1, 60), st.integers(1, 60))
    @settings(deadline=None)
    def test_is_the_padded_photo_at_its_own_size(
        self, region: Region, height: int, width: int
    ) -> None:
        photo = noise_photo(height, width)
        margin = 300
        x, y = region.x + margin, region.y + margin
        expected = padded(photo, margin)[y : y + region.side, x : x + region.side]
        np.testing.assert_array_equal(region.crop(photo, region.side), expected)

    @pytest.mark.parametrize(
        "region", [Region(500, 0, 20), Region(0, 500, 20), Region(-90, 3, 20), Region(3, -90, 20)]
    )
    def test_of_nothing_is_filled(self, region: Region) -> None:
        assert (region.crop(noise_photo(50, 60), 16) == FILL).all()

    def test_leaves_the_photo_alone(self) -> None:
        photo = noise_photo(30, 30)
        before = photo.copy()
        crop = Region(0, 0, 30).crop(photo, 30)
        crop[:] = 0
        np.testing.assert_array_equal(photo, before)


class TestWindows:
    @given(REGIONS, st.integers(1, 90), st.integers(1, 90))
    @settings(deadline=None)
    def test_name_the_same_pixels(self, region: Region, height: int, width: int) -> None:
        photo = np.arange(height * width).reshape(height, width)
        square = np.full((region.side, region.side), -1)
        for row in range(region.side):
            for column in range(region.side):
                y, x = region.y + row, region.x + column
                if 0 <= y < height and 0 <= x < width:
                    square[row, column] = photo[y, x]
        in_photo = photo[region.clip(height, width)]
        np.testing.assert_array_equal(in_photo, square[region.inside(height, width)])
        assert in_photo.size == (square >= 0).sum()
