"""Clicks change the mask only where it disagrees with them."""

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
    """Draw a skin-coloured disc next to a red square on blue, (224, 224, 3); return both masks."""
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
    points = np.array([[40, 50], [73, 52], [500, -3]], np.float32)  # the last is outside
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


class TestBones:
    """Two fingers and the background between them, similar in colour and all in the mask."""

    def hand(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The view, the mask, and the landmarks along the middle of both fingers."""
        view = np.full((2 * SIZE, 2 * SIZE, 3), (205, 160, 140), np.uint8)
        view[:, 100:124] = (203, 158, 139)
        view = cv2.add(view, np.random.default_rng(0).integers(0, 6, view.shape, np.uint8))
        mask = np.zeros((SIZE, SIZE), bool)
        mask[10:90, 36:76] = True
        landmarks = np.full((21, 2), (56, 88), np.float32)
        for first, column in ((5, 43), (9, 69)):
            landmarks[first : first + 4] = [(column, row) for row in (80, 60, 40, 20)]
        landmarks[[0, 13, 17]] = [(56, 105), (70, 82), (72, 84)]
        return view, mask, landmarks

    def clicked(self, x: int, y: int, with_bones: bool) -> np.ndarray:
        view, mask, landmarks = self.hand()
        logits = np.where(mask, 5, -5).astype(np.float32)
        clicks = np.array([[x, y]], np.float32), np.array([0])
        return apply_clicks(logits, view, *clicks, landmarks if with_bones else None) > 0

    def test_a_click_between_fingers_takes_neither_off(self) -> None:
        rows = np.arange(25, 75)
        without, kept = (self.clicked(56, 45, bones) for bones in (False, True))
        assert not without[rows][:, [43, 69]].all()
        assert kept[rows][:, [43, 69]].all()
        assert not kept[45, 56]

    def test_a_click_on_a_finger_counts_more_than_its_bone(self) -> None:
        assert not self.clicked(43, 45, with_bones=True)[45, 43]

    def test_bones_off_the_mask_are_not_taken_in(self) -> None:
        """A click on the rim of the hand, beside a bone that lies on the ground."""
        view, mask, landmarks = self.hand()
        view[:, 124:] = (60, 90, 70)
        mask[:, 62:] = False
        logits = np.where(mask, 5, -5).astype(np.float32)
        clicks = np.array([[67, 45]], np.float32), np.array([1])
        result = apply_clicks(logits, view, *clicks, landmarks) > 0
        assert result[45, 67]
        assert not result[55:75, 68:71].any()


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
        # By rounding, pixels with an alpha near 0.5 may fall on either side of it.
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
    def test_clicks_between_fingers_take_none_off(
        self,
        name: str,
        segmenter: HandSegmenter,
        photos: dict[str, np.ndarray],
        photo_masks: dict[str, np.ndarray],
    ) -> None:
        photo, truth = segmenter.embed(photos[name]), photo_masks[name]
        (hand,) = photo.segment()
        assert hand.landmarks is not None
        pairs = ((6, 10), (10, 14), (14, 18), (7, 11), (11, 15), (15, 19), (3, 6))
        middles = np.rint([hand.landmarks[list(pair)].mean(0) for pair in pairs]).astype(int)
        gaps = [(x, y) for x, y in middles if not truth[y, x]][:3]
        assert gaps
        clicks = {"points": gaps, "labels": [0] * len(gaps)}
        (other,) = photo.segment(landmarks=hand.landmarks, **clicks)
        assert not any(other.mask[y, x] for x, y in gaps)
        of_hand = hand.mask & truth
        assert (of_hand & ~other.mask).sum() < 0.006 * of_hand.sum()

    @pytest.mark.parametrize("name", ["2_pic00174", "2_pic00212", "35_pic00033", "3_pic00043"])
    def test_one_click_gives_the_hand(
        self,
        name: str,
        segmenter: HandSegmenter,
        photos: dict[str, np.ndarray],
        photo_masks: dict[str, np.ndarray],
    ) -> None:
        """The finder says how large it is."""
        truth = photo_masks[name]
        depth = cv2.distanceTransform(truth.astype(np.uint8), cv2.DIST_L2, 5)
        y, x = np.unravel_index(depth.argmax(), truth.shape)
        photo = segmenter.embed(photos[name])
        (hand,) = photo.segment(points=[[x, y]])
        assert iou(hand.mask, truth) > 0.85
        (told,) = photo.prompts(points=[[x, y]])
        shown = cv2.boundingRect(truth.astype(np.uint8))
        assert (told.roi_box[2:] - told.roi_box[:2]).max() < 1.5 * max(shown[2:])
        height, width = truth.shape
        (alone,) = photo.prompts(points=[[x, y]], finder=False)
        assert alone.roi_box.tolist() == [0, 0, width - 1, height - 1]

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
