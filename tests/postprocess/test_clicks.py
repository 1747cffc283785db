"""Clicks change the mask where it disagrees with them, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.landmarks.anatomy import past_wrist
from handseg.postprocess.clicks import apply_clicks
from handseg.segmenter import HandSegmenter

SIZE = 112


def two_patches() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A skin-coloured disc and a red square beside it on blue, (224, 224, 3); where each is."""
    view = np.full((2 * SIZE, 2 * SIZE, 3), (40, 60, 160), np.uint8)
    cv2.circle(view, (80, 100), 40, (210, 160, 140), -1)
    cv2.rectangle(view, (121, 80), (170, 130), (200, 40, 30), -1)
    view = cv2.add(view, np.random.default_rng(0).integers(0, 6, view.shape, np.uint8))
    halves = [view[1::2, 1::2].astype(int) - color for color in ((210, 160, 140), (200, 40, 30))]
    disc, square = (np.abs(half).max(-1) < 12 for half in halves)
    return view, disc, square


def heed(mask: np.ndarray, view: np.ndarray, *clicks: tuple[int, int, int]) -> np.ndarray:
    logits = np.where(mask, 5, -5).astype(np.float32)
    points = np.array([click[:2] for click in clicks], np.float32).reshape(-1, 2)
    return apply_clicks(logits, view, points, np.array([click[2] for click in clicks])) > 0


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_a_click_off_the_hand_takes_out_what_looks_like_background() -> None:
    view, disc, _ = two_patches()
    taken_in = np.zeros_like(disc)
    taken_in[60:75, 30:50] = True
    assert iou(heed(disc | taken_in, view, (40, 71, 0)), disc) > 0.97


def test_a_click_on_the_hand_takes_in_what_looks_like_it() -> None:
    view, disc, square = two_patches()
    half = disc.copy()
    half[:, 45:] = False
    assert iou(heed(half, view, (53, 50, 1)), disc) > 0.97
    assert iou(heed(disc, view, (73, 52, 1)), disc | square) > 0.97


def test_clicks_that_are_followed_change_nothing() -> None:
    view, disc, _ = two_patches()
    logits = np.where(disc, 5, -5).astype(np.float32)
    points = np.array([[40, 50], [73, 52], [500, -3]], np.float32)  # the last lies outside
    assert apply_clicks(logits, view, points, np.array([1, 0, 1])) is logits
    assert apply_clicks(logits, view, points[:0], np.zeros(0, int)) is logits


@settings(max_examples=30, deadline=None)
@given(
    clicks=st.lists(
        st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1), st.integers(0, 1)),
        min_size=1,
        max_size=4,
        unique_by=lambda click: (click[0] // 16, click[1] // 16),
    ),
    uniform=st.booleans(),
)
def test_every_click_is_obeyed_and_the_rest_stays(
    clicks: list[tuple[int, int, int]], uniform: bool
) -> None:
    view, disc, _ = two_patches()
    mask = np.ones_like(disc) if uniform else disc
    logits = np.where(mask, 5, -5).astype(np.float32)
    points = np.array([click[:2] for click in clicks], np.float32)
    result = apply_clicks(logits, view, points, np.array([click[2] for click in clicks]))
    x, y, label = clicks[-1]
    assert (result[y, x] > 0) == label
    assert result.dtype == np.float32
    far = np.ones_like(mask)
    for x, y, _ in clicks:
        far[max(0, y - 34) : y + 35, max(0, x - 34) : x + 35] = False
    np.testing.assert_array_equal(result[far], logits[far])
    assert not np.isnan(result).any()


@pytest.mark.parametrize("colors", [(0, 0), (0, 255), (120, 121)])
def test_flat_colours_come_to_an_end(colors: tuple[int, int]) -> None:
    """GrabCut's clustering does not always end where all pixels are alike."""
    view = np.full((2 * SIZE, 2 * SIZE, 3), colors[0], np.uint8)
    view[:, 100:] = colors[1]
    mask = np.zeros((SIZE, SIZE), bool)
    mask[20:80, 30:70] = True
    result = heed(mask, view, (50, 50, 0), (90, 50, 1))
    assert not result[50, 50]
    assert result[50, 90]


class TestOnPhotos:
    def test_a_finger_that_is_clicked_away_goes_and_the_rest_stays(
        self, segmenter: HandSegmenter, photos: dict[str, np.ndarray]
    ) -> None:
        photo = segmenter.embed(photos["2_pic00174"])
        (hand,) = photo.segment()
        tip = hand.landmarks[8].round()
        (other,) = photo.segment(landmarks=hand.landmarks, points=[tip], labels=[0])
        x, y = tip.astype(int)
        assert hand.mask[y, x]
        assert not other.mask[y, x]
        palm = hand.landmarks[[0, 5, 17]].mean(0).astype(int)
        assert other.mask[palm[1], palm[0]]
        # A pixel whose alpha is next to one half may fall to either side of it by rounding.
        clear = np.abs(hand.alpha - other.alpha) > 0.02
        changed = np.argwhere((hand.mask != other.mask) & clear)
        assert np.abs(changed - [y, x]).max() < 0.45 * np.ptp(hand.box.reshape(2, 2), axis=0).max()

    def test_a_gap_that_is_clicked_open_stays_open(
        self, segmenter: HandSegmenter, photos: dict[str, np.ndarray]
    ) -> None:
        """However small it is: pinholes that nobody asked for are filled."""
        photo = segmenter.embed(photos["3_pic00043"])
        (hand,) = photo.segment()
        x, y = hand.landmarks[[0, 5, 17]].mean(0).round().astype(int)
        (other,) = photo.segment(landmarks=hand.landmarks, points=[[x, y]], labels=[0])
        assert hand.mask[y, x]
        assert not other.mask[y, x]

    def test_the_arm_joins_when_it_is_clicked_on(
        self, segmenter: HandSegmenter, photos: dict[str, np.ndarray]
    ) -> None:
        photo = segmenter.embed(photos["35_pic00033"])
        (hand,) = photo.segment()
        arm = [hand.landmarks[0] + 0.55 * (hand.landmarks[0] - hand.landmarks[9])]
        assert past_wrist(np.array(arm), hand.landmarks).all()
        (other,) = photo.segment(landmarks=hand.landmarks, points=arm)
        x, y = arm[0].round().astype(int)
        assert not hand.mask[y, x]
        assert other.mask[y, x]
        assert other.area > 1.05 * hand.area

    @pytest.mark.parametrize("name", ["2_pic00174", "2_pic00212", "35_pic00033", "3_pic00043"])
    def test_clicks_at_the_largest_error_repair(
        self,
        name: str,
        segmenter: HandSegmenter,
        photos: dict[str, np.ndarray],
        photo_masks: dict[str, np.ndarray],
    ) -> None:
        photo, truth = segmenter.embed(photos[name]), photo_masks[name]
        (hand,) = photo.segment()
        wrong = [truth & ~hand.mask, hand.mask & ~truth]
        depths = [cv2.distanceTransform(one.astype(np.uint8), cv2.DIST_L2, 5) for one in wrong]
        label = int(depths[0].max() > depths[1].max())
        y, x = np.unravel_index(depths[1 - label].argmax(), truth.shape)
        (other,) = photo.segment(landmarks=hand.landmarks, points=[[x, y]], labels=[label])
        assert other.mask[y, x] == bool(label)
        assert iou(other.mask, truth) > iou(hand.mask, truth) - 0.005
