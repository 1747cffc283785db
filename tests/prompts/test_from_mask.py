from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from handseg.evaluation.metrics import compare_masks
from handseg.prompts.from_mask import prompts_from_mask
from handseg.segmenter import HandSegmenter


def test_empty_mask_has_no_prompts() -> None:
    for shape in ((20, 30), (0, 30), (20, 0), (0, 0)):
        boxes, points = prompts_from_mask(np.zeros(shape, bool))
        assert boxes.shape == (0, 4)
        assert points.shape == (0, 5, 2)


def test_box_is_the_islands_own() -> None:
    mask = np.zeros((40, 60), bool)
    mask[5:20, 10:31] = True
    boxes, points = prompts_from_mask(mask, points=1)
    assert boxes.tolist() == [[10, 5, 30, 19]]
    assert 10 + 7 <= points[0, 0, 0] <= 30 - 7
    assert points[0, 0, 1] == 12


def test_largest_island_comes_first_and_specks_are_left_out() -> None:
    mask = np.zeros((100, 100), bool)
    mask[10:30, 10:30] = True
    mask[50:90, 50:90] = True
    mask[5, 95] = True
    boxes, points = prompts_from_mask(mask)
    assert boxes.tolist() == [[50, 50, 89, 89], [10, 10, 29, 29]]
    assert points.shape == (2, 5, 2)


def test_points_spread_over_the_island() -> None:
    mask = np.zeros((40, 200), bool)
    mask[10:30] = True
    x = np.sort(prompts_from_mask(mask)[1][0, :, 0])
    assert (np.diff(x) >= 10).all()


@given(npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, max_side=24)), st.integers(1, 4))
@settings(deadline=None)
def test_points_lie_on_the_mask_and_in_their_box(mask: np.ndarray, count: int) -> None:
    boxes, points = prompts_from_mask(mask, points=count)
    assert len(boxes) == len(points)
    assert ((boxes[:, 2:] - boxes[:, :2]) >= 1).all()
    islands, _ = ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(islands[mask])
    wide = [
        min(island[0].stop - island[0].start, island[1].stop - island[1].start) > 1
        for island in ndimage.find_objects(islands)
    ]
    assert len(boxes) == sum(
        broad and area >= 0.05 * areas.max() for broad, area in zip(wide, areas[1:], strict=True)
    )
    x, y = points.astype(int).reshape(-1, 2).T
    assert mask[y, x].all()
    for box, inside in zip(boxes, points, strict=True):
        assert (inside >= box[:2]).all()
        assert (inside <= box[2:]).all()


def test_they_prompt_the_hand_that_the_mask_shows(
    segmenter: HandSegmenter, photos: dict[str, np.ndarray], photo_masks: dict[str, np.ndarray]
) -> None:
    for stem, photo in photos.items():
        truth = photo_masks[stem]
        boxes, points = prompts_from_mask(truth)
        found = segmenter.segment(photo, boxes=boxes, points=points)
        assert compare_masks(found.mask, truth).iou > 0.85, stem
