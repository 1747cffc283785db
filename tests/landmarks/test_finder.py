from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.data.image_mask import find_pairs
from handseg.errors import ModelError
from handseg.landmarks.boxes import box_iou
from handseg.landmarks.finder import INPUT_SIDE, STRIDE, HandFinder, decode, fit


@pytest.fixture(scope="module")
def finder() -> HandFinder:
    return HandFinder()


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float(box_iou(one[None], other[None])[0, 0])


def mask_box(mask: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return np.array([columns[0], rows[0], columns[-1], rows[-1]], float)


def test_hands_on_photos_are_found(finder: HandFinder, photo_folder: Path) -> None:
    for pair in find_pairs(photo_folder):
        image, mask = pair.load()
        best, *others = finder.find(image)
        assert best.detection_score > 0.5, pair.id
        assert iou(best.box, mask_box(mask)) > 0.5, pair.id
        assert all(other.detection_score < 0.5 for other in others), pair.id


@pytest.mark.parametrize("factor", [0.35, 2.5])
def test_a_resized_photo_has_the_same_hands(
    finder: HandFinder, photo_folder: Path, factor: float
) -> None:
    image = find_pairs(photo_folder)[0].load()[0]
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    other = cv2.resize(image, None, fx=factor, fy=factor, interpolation=way)
    one, two = finder.find(image)[0], finder.find(other)[0]
    assert iou(one.box, two.resized(1 / factor).box) > 0.85


def test_the_wrist_is_below_an_upright_hand_and_turns_with_the_photo(
    finder: HandFinder, photo_folder: Path
) -> None:
    for pair in find_pairs(photo_folder):
        image, _ = pair.load()
        x, y = finder.find(image)[0].wrist
        assert y > 0.5, pair.id
        turned = finder.find(np.ascontiguousarray(np.rot90(image)))[0].wrist  # to the left
        assert turned @ [y, -x] > 0.7, pair.id


def test_a_close_up_of_a_hand_shows_one(finder: HandFinder, photo_folder: Path) -> None:
    for pair in find_pairs(photo_folder):
        image, mask = pair.load()
        true = mask_box(mask)
        for shift in (-0.1, 0.0, 0.1):
            box = true + shift * np.tile(true[2:] - true[:2], 2)
            assert finder.close_up_score(image, box) > 0.5, (pair.id, shift)


def test_a_close_up_beside_the_hand_shows_none(finder: HandFinder, photo_folder: Path) -> None:
    for pair in find_pairs(photo_folder):
        image, mask = pair.load()
        height, width = mask.shape
        side = min(height, width) // 4
        for x, y in ((0, 0), (width - side, 0), (0, height - side)):
            if not mask[y : y + side, x : x + side].any():
                box = np.array([x, y, x + side, y + side], float)
                assert finder.close_up_score(image, box) < 0.3, (pair.id, x, y)


@pytest.mark.parametrize("shape", [(1, 1, 3), (40, 900, 3), (3000, 7, 3)])
def test_pictures_of_any_shape_are_looked_at(finder: HandFinder, shape: tuple[int, ...]) -> None:
    assert [
        one for one in finder.find(np.full(shape, 90, np.uint8)) if one.detection_score > 0.5
    ] == []


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "finder.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"finder\.onnx: not a graph"):
        HandFinder(tmp_path / "finder.onnx")
    with pytest.raises(ModelError, match=r"finder\.onnx: not a graph"):
        HandFinder(close_up=tmp_path / "finder.onnx")


@given(height=st.integers(1, 3000), width=st.integers(1, 3000))
@settings(max_examples=50, deadline=None)
def test_a_photo_fits_the_network(height: int, width: int) -> None:
    pixels, scale = fit(np.zeros((height, width, 3), np.uint8))
    assert all(side % 32 == 0 and 0 < side <= INPUT_SIDE for side in pixels.shape[:2])
    corner = np.array([width, height]) * scale
    assert (corner <= np.array(pixels.shape[1::-1]) + 1e-6).all()
    assert max(corner) == pytest.approx(INPUT_SIDE)


boxes = st.tuples(
    st.floats(10, 230), st.floats(10, 230), st.floats(8, 200), st.floats(8, 200), st.floats(0.2, 6)
)


@given(boxes)
@settings(max_examples=60, deadline=None)
def test_a_map_says_where_its_hand_is(drawn: tuple[float, ...]) -> None:
    x, y, width, height, logit = drawn
    maps = np.zeros((8, 32, 32), np.float32)
    maps[0] = -9
    column, row = (np.array([x, y]) + 0.5) / STRIDE - 0.5
    place = round(row), round(column)
    maps[:, place[0], place[1]] = [
        logit, np.log(width / STRIDE), np.log(height / STRIDE), column - place[1], row - place[0],
        2.0, 0.0, 3.0,
    ]  # fmt: skip
    (found,) = decode(maps, 0.3)
    wanted = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    np.testing.assert_allclose(found.box, wanted, atol=1e-3)
    assert found.handedness == "right"
    assert found.score == pytest.approx(1 / (1 + np.exp(-2)))
    assert found.detection_score == pytest.approx(1 / (1 + np.exp(-logit)))
    np.testing.assert_allclose(found.wrist, [0, 1])


def test_one_hand_is_found_once_the_surer_box_first() -> None:
    maps = np.zeros((8, 20, 20), np.float32)
    maps[0], maps[1:3] = -9, np.log(80 / STRIDE)
    maps[0, 10, 10], maps[0, 12, 10], maps[0, 10, 2] = 1, 2, 0.5
    first, second = decode(maps, 0.5)
    np.testing.assert_allclose((first.box[1] + first.box[3]) / 2, 12.5 * STRIDE - 0.5, atol=1e-3)
    np.testing.assert_allclose((second.box[0] + second.box[2]) / 2, 2.5 * STRIDE - 0.5, atol=1e-3)
