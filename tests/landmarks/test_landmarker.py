from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from findings import distance

from handseg.errors import ModelError
from handseg.landmarks import HandLandmarker, HandLandmarks
from handseg.landmarks.anatomy import hand_size
from handseg.landmarks.landmarker import BUNDLED_TASK
from handseg.landmarks.views import View, brightened

STEMS = ("2_pic00174", "2_pic00212", "35_pic00033", "3_pic00043")


HANDEDNESS = dict(zip(STEMS, ("right", "right", "left", "right"), strict=True))


def quarter_turns(points: np.ndarray, width: int, height: int, count: int) -> np.ndarray:
    """Map pixels of a `width` x `height` image as `np.rot90(image, count)` does."""
    for _ in range(count):
        points = np.stack([points[:, 1], width - 1 - points[:, 0]], axis=1)
        width, height = height, width
    return points


class TestOptions:
    def test_missing_task_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"file not found: .*absent\.task"):
            HandLandmarker(tmp_path / "absent.task")

    def test_folder_is_no_task(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="file not found"):
            HandLandmarker(tmp_path)

    @pytest.mark.parametrize("content", [b"not a model\n", b""])
    def test_other_file_is_no_task(self, content: bytes, tmp_path: Path) -> None:
        file = tmp_path / "notes.txt"
        file.write_bytes(content)
        with pytest.raises(ModelError, match=r"not a hand_landmarker\.task bundle: .*notes\.txt"):
            HandLandmarker(file)

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"max_hands": 0}, "max_hands"),
            ({"min_confidence": -0.1}, "min_confidence"),
            ({"min_confidence": 1.1}, "min_confidence"),
        ],
    )
    def test_out_of_range(self, options: dict[str, Any], named: str) -> None:
        with pytest.raises(ValueError, match=named):
            HandLandmarker(**options)

    def test_task_of_your_own(
        self, photos: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copy(BUNDLED_TASK, tmp_path / "own.task")
        monkeypatch.chdir(tmp_path)
        with HandLandmarker("own.task", views=[View(0, 1)], hard_views=()) as landmarker:
            (hand,) = landmarker.detect(photos[STEMS[0]])
        assert hand.votes == 1

    def test_closed_does_not_find_nothing(self, photos: dict[str, np.ndarray]) -> None:
        with HandLandmarker() as landmarker:
            pass
        landmarker.close()  # closing twice is harmless
        with pytest.raises(ValueError, match="closed"):
            landmarker.detect(photos[STEMS[0]])


class TestDetect:
    """MediaPipe's own model on the licensed photos."""

    @pytest.fixture(scope="class")
    @staticmethod
    def hands(
        landmarker: HandLandmarker, photos: dict[str, np.ndarray]
    ) -> dict[str, list[HandLandmarks]]:
        return {stem: landmarker.detect(photo) for stem, photo in photos.items()}

    @pytest.mark.parametrize("stem", STEMS)
    def test_upright(
        self,
        stem: str,
        hands: dict[str, list[HandLandmarks]],
        photo_masks: dict[str, np.ndarray],
    ) -> None:
        (hand,) = hands[stem]
        assert hand.points.shape == (21, 2)
        assert hand.points.dtype == np.float32
        assert hand.handedness == HANDEDNESS[stem]
        assert 0.5 < hand.score <= 1
        assert hand.votes >= 2
        x, y = hand.points.round().astype(int).T
        assert photo_masks[stem][y, x].all()

    @pytest.mark.parametrize("quarters", [1, 2, 3])
    @pytest.mark.parametrize("stem", STEMS[:3])  # the fourth is hard to find as it is
    def test_turned(
        self,
        stem: str,
        quarters: int,
        landmarker: HandLandmarker,
        photos: dict[str, np.ndarray],
        hands: dict[str, list[HandLandmarks]],
    ) -> None:
        photo = photos[stem]
        (hand,) = landmarker.detect(np.rot90(photo, quarters))
        height, width = photo.shape[:2]
        expected = quarter_turns(hands[stem][0].points, width, height, quarters)
        assert hand.handedness == HANDEDNESS[stem]
        assert distance(hand.points, expected) < 0.1

    @pytest.mark.parametrize("stem", STEMS)
    def test_mirrored_is_the_other_hand(
        self,
        stem: str,
        landmarker: HandLandmarker,
        photos: dict[str, np.ndarray],
        hands: dict[str, list[HandLandmarks]],
    ) -> None:
        photo = photos[stem]
        (hand,) = landmarker.detect(photo[:, ::-1])
        assert hand.handedness == {"left": "right", "right": "left"}[HANDEDNESS[stem]]
        expected = hands[stem][0].points * [-1, 1] + [photo.shape[1] - 1, 0]
        assert distance(hand.points, expected) < 0.1

    @pytest.mark.parametrize("cut", ["none", "left", "top", "right", "bottom"])
    @pytest.mark.parametrize("stem", STEMS)
    def test_filling_the_photo_and_cut_by_its_frame(
        self,
        stem: str,
        cut: str,
        landmarker: HandLandmarker,
        photos: dict[str, np.ndarray],
        photo_masks: dict[str, np.ndarray],
        hands: dict[str, list[HandLandmarks]],
    ) -> None:
        rows, columns = (np.flatnonzero(photo_masks[stem].any(axis)) for axis in (1, 0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        height, width = bottom - top, right - left
        top += height // 7 if cut == "top" else 0
        bottom -= height // 5 if cut == "bottom" else 0
        left += width // 6 if cut == "left" else 0
        right -= width // 6 if cut == "right" else 0
        (hand,) = landmarker.detect(photos[stem][top:bottom, left:right])
        assert hand.handedness == HANDEDNESS[stem]
        assert distance(hand.points, hands[stem][0].points - [left, top]) < 0.2

    def test_large_photo(
        self,
        landmarker: HandLandmarker,
        photos: dict[str, np.ndarray],
        hands: dict[str, list[HandLandmarks]],
    ) -> None:
        stem = STEMS[0]
        enlarged = photos[stem].repeat(4, axis=0).repeat(4, axis=1)
        (hand,) = landmarker.detect(enlarged)
        expected = (hands[stem][0].points + 0.5) * 4 - 0.5
        assert distance(hand.points, expected) < 0.03

    @pytest.mark.parametrize(("factor", "cut"), [(3, 1), (5, 2), (9, 5)])
    def test_halving_keeps_places(
        self,
        factor: int,
        cut: int,
        landmarker: HandLandmarker,
        photos: dict[str, np.ndarray],
        hands: dict[str, list[HandLandmarks]],
    ) -> None:
        stem = STEMS[0]
        size = np.array(photos[stem].shape[1::-1]) * factor
        enlarged = cv2.resize(photos[stem], size, interpolation=cv2.INTER_LINEAR)
        (hand,) = landmarker.detect(enlarged[:-cut, :-cut])
        expected = (hands[stem][0].points + 0.5) * factor - 0.5
        shift = (hand.points - expected).mean(axis=0)
        assert np.abs(shift).max() < 0.01 * hand_size(expected)

    @pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
    def test_two_photos_side_by_side(
        self,
        pair: tuple[int, int],
        landmarker: HandLandmarker,
        photos: dict[str, np.ndarray],
        hands: dict[str, list[HandLandmarks]],
    ) -> None:
        left, right = (STEMS[index] for index in pair)
        both = landmarker.detect(np.hstack([photos[left], photos[right]]))
        first, second = sorted(both, key=lambda hand: float(hand.points[0, 0]))
        assert [first.handedness, second.handedness] == [HANDEDNESS[left], HANDEDNESS[right]]
        assert distance(first.points, hands[left][0].points) < 0.1
        shift = [photos[left].shape[1], 0]
        assert distance(second.points, hands[right][0].points + shift) < 0.1

    def test_no_more_hands_than_asked_for(self, photos: dict[str, np.ndarray]) -> None:
        pair = np.hstack([photos[STEMS[0]], photos[STEMS[1]]])
        with HandLandmarker(max_hands=1) as landmarker:
            assert len(landmarker.detect(pair)) == 1

    def test_no_hand(self, landmarker: HandLandmarker, no_hand: np.ndarray) -> None:
        assert landmarker.detect(no_hand) == []

    @pytest.mark.parametrize("shape", [(1, 1, 3), (3, 900, 3), (900, 3, 3)])
    def test_slivers(self, shape: tuple[int, ...], landmarker: HandLandmarker) -> None:
        assert landmarker.detect(np.zeros(shape, np.uint8)) == []

    def test_hard_views_are_a_second_try(self, photos: dict[str, np.ndarray]) -> None:
        photo, plain, turned = photos[STEMS[0]], View(0, 1), View(90, 0.9)
        with HandLandmarker(views=[], hard_views=[plain, turned]) as landmarker:
            assert [hand.votes for hand in landmarker.detect(photo)] == [2]
        with HandLandmarker(views=[plain], hard_views=[turned]) as landmarker:
            assert [hand.votes for hand in landmarker.detect(photo)] == [1]


class TestViewsTaken:
    """The number of views that are run, as shown by the votes."""

    UNSEEN = View(0, 0.03)  # too small to be found
    TURNED = View(90, 0.9)

    def votes(self, photo: np.ndarray, **options: Any) -> list[int]:
        with HandLandmarker(hard_views=(), **options) as landmarker:
            return [hand.votes for hand in landmarker.detect(photo)]

    def test_two_that_agree_are_enough(self, photos: dict[str, np.ndarray]) -> None:
        photo = photos[STEMS[0]]
        assert self.votes(photo) == [2]
        assert self.votes(photo, all_views=True) == [5]

    def test_all_where_one_of_two_sees_no_hand(self, photos: dict[str, np.ndarray]) -> None:
        photo = photos[STEMS[0]]
        views = [View(0, 1), self.UNSEEN, self.TURNED]
        assert self.votes(photo, views=views) == [2]
        assert self.votes(photo, views=views[::-1]) == [2]

    def test_all_where_the_first_two_see_no_hand(self, photos: dict[str, np.ndarray]) -> None:
        views = [self.UNSEEN, self.UNSEEN, View(0, 1), self.TURNED]
        assert self.votes(photos[STEMS[0]], views=views) == [2]

    def test_all_where_one_of_two_sees_more_hands(self, photos: dict[str, np.ndarray]) -> None:
        first, second = photos[STEMS[0]], photos[STEMS[1]]
        pair = np.hstack([first, second])
        near = View(0, 1)
        views = [near, near, View(180, 0.9)]
        assert self.votes(pair, views=views, all_views=True) == [3, 3]
        # A view that shows only the middle of the photo: one hand at most.
        assert 3 in self.votes(pair, views=[near, View(0, 2.5), View(180, 0.9), near])

    def test_all_where_a_hand_is_small(self, photos: dict[str, np.ndarray]) -> None:
        photo = photos[STEMS[0]]
        height, width = photo.shape[:2]
        apart = cv2.copyMakeBorder(photo, 0, height, 0, width, cv2.BORDER_REPLICATE)
        views = [View(0, 1), View(0, 1), self.TURNED]
        assert self.votes(photo, views=views) == [2]
        assert self.votes(apart, views=views) == [3]


class TestHardLight:
    @pytest.mark.parametrize("stem", STEMS)
    def test_a_hand_in_the_dark_is_found_where_it_is(
        self, landmarker: HandLandmarker, photos: dict[str, np.ndarray], stem: str
    ) -> None:
        (expected,) = landmarker.detect(photos[stem])

        (hand,) = landmarker.detect((photos[stem] * 0.1).astype(np.uint8))

        assert distance(hand.points, expected.points) < 0.05
        assert hand.handedness == expected.handedness

    @pytest.mark.parametrize("stem", STEMS)
    @pytest.mark.parametrize("light", [1.0, 0.1])
    def test_a_hand_without_colours_is_found(
        self, landmarker: HandLandmarker, photos: dict[str, np.ndarray], stem: str, light: float
    ) -> None:
        (expected,) = landmarker.detect(photos[stem])
        grey = np.repeat(photos[stem].mean(2, keepdims=True) * light, 3, 2).astype(np.uint8)

        hands = landmarker.detect(grey)

        middle = expected.points.mean(0)
        away = [np.linalg.norm(hand.points.mean(0) - middle) for hand in hands]
        assert min(away) < 0.5 * hand_size(expected.points)

    def test_photos_in_ordinary_light_are_left_alone(self, photos: dict[str, np.ndarray]) -> None:
        assert all(brightened(photo) is None for photo in photos.values())

    @pytest.mark.parametrize("level", [0, 7, 90, 255])
    def test_there_is_nothing_to_stretch_in_an_even_picture(self, level: int) -> None:
        assert brightened(np.full((40, 60, 3), level, np.uint8)) is None

    def test_levels_are_stretched_and_colours_kept(self) -> None:
        ramp = np.linspace(0, 1, 256)[:, None, None] * np.array([30, 20, 10])
        dark = np.repeat(ramp, 64, axis=1).astype(np.uint8)

        bright = brightened(dark)

        assert bright is not None
        assert bright.dtype == np.uint8
        assert bright.shape == dark.shape
        assert bright.max() == 255
        red, green, blue = bright[200, 0].astype(float)
        assert red > green > blue


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (0, 0, 3)])
def test_images_of_no_pixels_are_refused(
    landmarker: HandLandmarker, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="image must have at least one pixel, got shape"):
        landmarker.detect(np.zeros(shape, np.uint8))
