from __future__ import annotations

import numpy as np

from handseg.runtime.arrays import values_at

ARRAY = np.arange(12).reshape(3, 4)


def test_points_outside_are_left_out() -> None:
    points = np.array([[0, 0], [3.4, 2.4], [-0.6, 0], [3.6, 0], [0, 2.6], [1, 2]])
    np.testing.assert_array_equal(values_at(ARRAY, points), [0, 11, 9])
    assert values_at(ARRAY, np.zeros((0, 2))).shape == (0,)
    assert values_at(np.zeros((3, 4, 3)), points).shape == (3, 3)
