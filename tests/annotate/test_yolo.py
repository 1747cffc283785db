from __future__ import annotations

import numpy as np
import pytest
import yaml
from fake_hands import make_hand, rectangle
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from handseg.annotate.yolo import data_yaml, join, label_lines
from handseg.results import HandSegmentation


def draw_line(line: str, height: int, width: int) -> tuple[int, np.ndarray]:
    """Return class and mask (height, width) bool of a label line, drawn at 8 times the size."""
    number, *values = line.split()
    corners = np.array(values, float).reshape(-1, 2) * (width, height)
    canvas = Image.new("1", (8 * width, 8 * height))
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in (corners * 8 - 0.5).tolist()], fill=1)
    shares = np.asarray(canvas, float).reshape(height, 8, width, 8).mean(axis=(1, 3))
    return int(number), shares >= 0.5


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def segmentation(*masks: np.ndarray) -> HandSegmentation:
    image = np.zeros((*masks[0].shape, 3), np.uint8)
    return HandSegmentation(image, tuple(make_hand(mask) for mask in masks))


def disc(x: float, y: float, radius: float, shape: tuple[int, int] = (90, 120)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(columns - x, rows - y) <= radius


@pytest.mark.parametrize(
    "mask",
    [
        disc(50, 40, 30),
        disc(50, 40, 30) & ~disc(40, 40, 8) & ~disc(62, 45, 6),  # holes
        disc(25, 30, 20) | disc(90, 60, 22) | disc(100, 15, 10),  # parts
        (disc(30, 40, 25) & ~disc(30, 40, 12)) | disc(95, 40, 20),
        rectangle((90, 120), 0, 0, 120, 90),  # the whole photo
        rectangle((90, 120), 100, 70, 20, 20),  # to its corner
    ],
)
def test_labels_read_back_to_the_mask(mask: np.ndarray) -> None:
    (line,) = label_lines(segmentation(mask))
    number, drawn = draw_line(line, *mask.shape)
    assert number == 0
    assert overlap(drawn, mask) > 0.97


def test_a_line_a_hand_then_what_they_hold() -> None:
    shape = (60, 80)
    hands = (
        make_hand(rectangle(shape, 5, 5, 20, 30)),
        make_hand(rectangle(shape, 40, 5, 20, 30), held=rectangle(shape, 60, 10, 10, 10)),
        make_hand(rectangle(shape, 5, 40, 20, 15), held=np.zeros(shape, bool)),
    )
    image = np.zeros((*shape, 3), np.uint8)
    drawn = [draw_line(line, *shape) for line in label_lines(HandSegmentation(image, hands))]
    assert [number for number, _ in drawn] == [0, 0, 0, 1]
    assert overlap(drawn[1][1], hands[1].mask) > 0.97
    assert overlap(drawn[3][1], hands[1].object_mask) > 0.97


def test_no_hand_is_no_line() -> None:
    assert label_lines(HandSegmentation(np.zeros((10, 10, 3), np.uint8))) == []


circles = st.tuples(st.integers(0, 119), st.integers(0, 89), st.integers(4, 30))


@settings(deadline=None, max_examples=60)
@given(on=st.lists(circles, min_size=1, max_size=4), off=st.lists(circles, max_size=3))
def test_any_mask_gives_shares_of_the_photo_and_its_area(on: list, off: list) -> None:
    mask = np.any([disc(*circle) for circle in on], axis=0)
    for x, y, radius in off:
        mask &= ~disc(x, y, radius / 2)
    lines = label_lines(segmentation(mask))
    if not lines:  # specks
        assert mask.sum() < 8
        return
    values = np.array(lines[0].split()[1:], float)
    assert len(values) % 2 == 0
    assert ((values >= 0) & (values <= 1)).all()
    _, drawn = draw_line(lines[0], *mask.shape)
    rim = mask.sum() - (mask & np.roll(mask, 1, 0) & np.roll(mask, 1, 1)).sum()
    assert (drawn ^ mask).sum() <= max(8, 0.6 * rim)


def test_parts_are_joined_where_they_are_nearest() -> None:
    left = np.array([[0, 0], [0, 10], [10, 10], [10, 0]])
    right = left + np.array([12, 0])
    joined = join([left, right])
    assert len(joined) == 4 + 4 + 2
    lengths = np.linalg.norm(joined - np.roll(joined, -1, axis=0), axis=1)
    assert sorted(lengths)[:2] == [2, 2]  # there and back
    assert join([]).shape == (0, 2)


def test_data_yaml_names_the_classes() -> None:
    assert yaml.safe_load(data_yaml(False)) == {
        "train": "images", "val": "images", "names": {0: "hand"},
    }  # fmt: skip
    assert yaml.safe_load(data_yaml(True))["names"] == {0: "hand", 1: "object"}
