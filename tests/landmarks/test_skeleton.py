"""The bones drawn for the mask prompt."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from posed_hands import POSES, placed

from handseg.landmarks.anatomy import draw_skeleton, hand_size


class TestDrawSkeleton:
    @given(POSES)
    @settings(deadline=None)
    def test_covers_every_landmark_in_the_mask(self, pose: np.ndarray) -> None:
        landmarks = pose / 5
        drawn = draw_skeleton(landmarks, 96)
        assert drawn.shape == (96, 96)
        assert drawn.dtype == np.float32
        assert set(np.unique(drawn)) <= {-6, 6}
        x, y = landmarks.round().astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < 96) & (y < 96)
        # One-pixel lines may pass through the neighbour of a pixel that they barely touch.
        near = cv2.dilate(drawn, np.ones((3, 3)))
        assert (near[y[inside], x[inside]] > 0).all()

    def test_fills_the_palm_and_leaves_the_gaps(self, open_hand: np.ndarray) -> None:
        landmarks = placed(open_hand, 120, 220)
        drawn = draw_skeleton(landmarks, 256)
        x, y = landmarks[[0, 5, 9, 13, 17]].mean(axis=0).round().astype(int)
        assert drawn[y, x] > 0
        x, y = landmarks[[4, 8]].mean(axis=0).round().astype(int)
        assert drawn[y, x] < 0

    def test_bones_are_as_thick_as_fingers(self, open_hand: np.ndarray) -> None:
        drawn = draw_skeleton(placed(open_hand, 120, 220), 256)
        # The middle finger is upright between its first two joints.
        row = drawn[220 - 142, 120 - 12 : 120 + 12] > 0
        assert 0.1 <= row.sum() / hand_size(open_hand) <= 0.25
