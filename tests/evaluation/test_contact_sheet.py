from __future__ import annotations

import math

import numpy as np
import pytest

from handseg.evaluation.contact_sheet import BOTH, PREDICTION, TRUTH, draw_case, draw_sheet


def nearest(pixel: np.ndarray) -> tuple[int, ...]:
    """Return the closest of the three colours to a tinted grey pixel."""
    lean = pixel.astype(float) - pixel.mean()
    colours = [np.array(colour, float) for colour in (TRUTH, PREDICTION, BOTH)]
    scores = [
        lean @ (colour - colour.mean()) / np.linalg.norm(colour - colour.mean())
        for colour in colours
    ]
    return (TRUTH, PREDICTION, BOTH)[int(np.argmax(scores))]


def test_case_tints_what_one_mask_alone_and_what_both_cover() -> None:
    image = np.full((300, 400, 3), 128, np.uint8)
    truth, prediction = np.zeros((2, 300, 400), bool)
    truth[100:200, 100:250] = True
    prediction[100:200, 150:300] = True
    picture = np.asarray(draw_case("a", 0.5, image, truth, prediction).picture)
    middle = len(picture) // 2
    across = [nearest(pixel) for pixel in picture[middle] if np.ptp(pixel.astype(int)) > 8]
    order = [colour for at, colour in enumerate(across) if at == 0 or across[at - 1] != colour]
    # Truth (its contour hidden below the prediction's), both, the truth's contour, prediction.
    assert [order[0], order[-1]] == [TRUTH, PREDICTION]
    assert set(order) == {TRUTH, BOTH, PREDICTION}
    for colour in (TRUTH, BOTH, PREDICTION):
        assert across.count(colour) > 50
    assert (picture[2, 2] == 128).all()


def test_case_shows_the_hands_not_the_whole_photo() -> None:
    image = np.zeros((1000, 1000, 3), np.uint8)
    truth = np.zeros((1000, 1000), bool)
    truth[700:740, 600:640] = True
    picture = np.asarray(draw_case("a", 0, image, truth, np.zeros_like(truth)).picture)
    assert (picture.max(axis=-1) > 60).mean() > 0.1


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (900, 3), (40, 30), (600, 1500)])
def test_every_photo_fits_its_place(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), np.uint8)
    for density in (0, 0.5, 1):
        truth, prediction = rng.random((2, *shape)) < density
        case = draw_case("a", 1.0, image, truth, prediction)
        assert case.picture.width <= 560
        assert case.picture.height <= 420
        assert max(case.picture.width / 560, case.picture.height / 420) == pytest.approx(
            1, abs=0.01
        )


@pytest.mark.parametrize("count", [1, 3, 4, 12])
def test_sheet_shows_every_case(count: int) -> None:
    blank, mask = np.zeros((42, 56, 3), np.uint8), np.zeros((42, 56), bool)
    name = "a name that is by far too long to be written below a picture of this width, isn't it"
    cases = [draw_case(name, 0.5, blank + np.uint8(9 * at), mask, mask) for at in range(count)]
    sheet = np.asarray(draw_sheet(cases, "Worst of 12"))
    rows = math.ceil(count / 3)
    assert sheet.shape[0] == pytest.approx(rows * 470, abs=60)
    for at in range(count):
        assert (sheet == 9 * at).all(axis=-1).sum() >= 560 * 420


def test_case_keeps_the_photo_as_it_is_beside_what_is_drawn_on_it() -> None:
    image = np.full((300, 400, 3), 128, np.uint8)
    mask = np.zeros((300, 400), bool)
    mask[100:200, 100:250] = True
    case = draw_case("a", 1.0, image, mask, mask)
    assert (np.asarray(case.photo) == 128).all()
    assert case.photo.size == case.picture.size
