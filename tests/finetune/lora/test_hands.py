from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from handseg.errors import ImageError
from handseg.finetune.lora.hands import FoundHands, find_hands
from handseg.landmarks import HandLandmarker, HandLandmarks
from handseg.runtime.journal import Journal


@dataclass
class Photo:
    """A photo in memory that counts how often it is read."""

    id: str
    image: np.ndarray
    mask: np.ndarray
    loads: int = 0
    held: np.ndarray | None = None
    instances: np.ndarray | None = None

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        self.loads += 1
        return self.image, self.mask

    def load_object_mask(self) -> np.ndarray | None:
        return self.held

    def load_instances(self) -> np.ndarray | None:
        return self.instances

    def digest(self) -> str:
        return f"{self.id} {self.mask.sum()}"


class Broken(Photo):
    def load(self) -> tuple[np.ndarray, np.ndarray]:
        raise ImageError(f"{self.id}.jpg cannot be decoded")


class Finder:
    """Stands in for MediaPipe: finds its given hands in every photo."""

    def __init__(self, hands: Sequence[np.ndarray]) -> None:
        self.hands = hands

    def detect(self, image: np.ndarray) -> list[HandLandmarks]:
        return [HandLandmarks(points, "left", 0.9) for points in self.hands]


def block(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((100, 200), bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def hand_in(x0: int, y0: int, x1: int, y1: int, seed: int = 0) -> np.ndarray:
    """Return 21 points in a box."""
    return np.random.default_rng(seed).uniform([x0, y0], [x1, y1], (21, 2)).astype(np.float32)


def photo(mask: np.ndarray, name: str = "photo") -> Photo:
    return Photo(name, np.zeros((*mask.shape, 3), np.uint8), mask)


LEFT, RIGHT = (10, 20, 60, 80), (120, 20, 180, 80)


def test_real_photos_have_their_hand(
    photos: dict[str, np.ndarray],
    photo_masks: dict[str, np.ndarray],
    landmarker: HandLandmarker,
    tmp_path: Path,
) -> None:
    items = [Photo(stem, image, photo_masks[stem]) for stem, image in photos.items()]
    found = find_hands(items, tmp_path / "landmarks", landmarker)
    assert [hand.photo.id for hand in found.hands] == list(photos)
    assert all(hand.landmarks is not None for hand in found.hands)
    assert found.summary() == "4 hands"


def test_a_hand_that_mediapipe_misses_is_not_learned_as_part_of_another(
    photos: dict[str, np.ndarray],
    photo_masks: dict[str, np.ndarray],
    landmarker: HandLandmarker,
    tmp_path: Path,
) -> None:
    found_one, missed_one = "2_pic00212", "3_pic00043"
    both = np.hstack([photos[found_one], photos[missed_one]])
    mask = np.hstack([photo_masks[found_one], photo_masks[missed_one]])
    found = find_hands([Photo("both", both, mask)], tmp_path / "cache", landmarker)
    (hand,) = found.hands
    assert hand.landmarks is not None
    learned = hand.load()[1]
    width = photos[found_one].shape[1]
    np.testing.assert_array_equal(learned[:, :width], photo_masks[found_one])
    assert not learned[:, width:].any()


class TestIslandsWithoutLandmarks:
    """Parts of a mask on which no landmark lies, beside a hand that points up."""

    HAND = (100, 10, 160, 60)
    OTHER, SMALL, BELOW = (20, 10, 60, 60), (170, 10, 180, 30), (100, 75, 160, 100)

    def upright(self) -> np.ndarray:
        """Return 21 points in `HAND`, the wrist at its lower edge."""
        x0, y0, x1, y1 = self.HAND
        points = hand_in(x0 + 5, y0 + 5, x1 - 5, y0 + 30)
        points[0] = (x0 + x1) / 2, y1 - 5
        return points

    def learned(self, mask: np.ndarray, hands: list[np.ndarray], folder: Path) -> list[np.ndarray]:
        one = photo(mask)
        found = find_hands([one], folder / "cache", Finder(hands))  # type: ignore[arg-type]
        return [hand.load()[1] for hand in found.hands]

    def test_large_ones_are_other_hands(self, tmp_path: Path) -> None:
        mask = block(self.HAND, self.OTHER, self.SMALL)
        (learned,) = self.learned(mask, [self.upright()], tmp_path)
        np.testing.assert_array_equal(learned, block(self.HAND, self.SMALL))

    def test_a_third_hand_is_of_neither(self, tmp_path: Path) -> None:
        mask = block(self.HAND, self.OTHER, (20, 65, 60, 100))
        hands = [self.upright(), hand_in(25, 15, 55, 55)]
        first, second = self.learned(mask, hands, tmp_path)
        np.testing.assert_array_equal(first, block(self.HAND))
        np.testing.assert_array_equal(second, block(self.OTHER))

    def test_a_forearm_beyond_a_watch_is_of_the_hand(self, tmp_path: Path) -> None:
        mask = block(self.HAND, self.BELOW)
        (learned,) = self.learned(mask, [self.upright()], tmp_path)
        np.testing.assert_array_equal(learned, mask)


class TestInstances:
    """Labelled instances."""

    def told_apart(self, *boxes: tuple[int, int, int, int]) -> Photo:
        numbers = np.zeros((100, 200), np.uint8)
        for number, (x0, y0, x1, y1) in enumerate(boxes, 1):
            numbers[y0:y1, x0:x1] = number
        one = photo(numbers > 0)
        one.instances = numbers
        return one

    def test_hands_that_touch_are_learned_one_by_one(self, tmp_path: Path) -> None:
        touching = self.told_apart((10, 20, 60, 80), (60, 20, 120, 80))
        hands = [hand_in(65, 25, 115, 75), hand_in(15, 25, 55, 75)]
        found = find_hands([touching], tmp_path / "cache", Finder(hands))  # type: ignore[arg-type]
        assert not found.entangled
        assert [hand.instance for hand in found.hands] == [1, 2]
        for hand, points in zip(found.hands, hands[::-1], strict=True):
            np.testing.assert_allclose(hand.landmarks, points, atol=0.01)
            np.testing.assert_array_equal(hand.load()[1], touching.instances == hand.instance)
        assert len({hand.digest() for hand in found.hands}) == 2

    def test_a_hand_that_mediapipe_misses_is_prompted_from_its_own_mask(
        self, tmp_path: Path
    ) -> None:
        two = self.told_apart(LEFT, RIGHT)
        finder = Finder([hand_in(15, 25, 55, 75)])
        for _ in range(2):  # The second time is from the cache.
            found = find_hands([two], tmp_path / "cache", finder)  # type: ignore[arg-type]
            assert [hand.landmarks is None for hand in found.hands] == [False, True]
            np.testing.assert_array_equal(found.hands[1].load()[1], block(RIGHT))
            assert not found.missed
            assert "2 hands; 1 prompted from their mask" in found.summary()

    def test_slivers_are_left_out(self, tmp_path: Path) -> None:
        found = find_hands(
            [self.told_apart(LEFT, (120, 20, 128, 30))],
            tmp_path / "cache",
            Finder([]),  # type: ignore[arg-type]
        )
        assert [hand.instance for hand in found.hands] == [1]
        assert found.missed == ("photo",)

    def test_instances_of_another_size_are_told(self, tmp_path: Path) -> None:
        one = self.told_apart(LEFT)
        one.instances = one.instances[:50]
        found = find_hands([one], tmp_path / "cache", Finder([]))  # type: ignore[arg-type]
        assert "instances of photo are (50, 200)" in found.unreadable["photo"]


def test_each_of_two_hands_gets_its_islands(tmp_path: Path) -> None:
    # The third island has no landmark and is nearer to the right hand.
    mask = block(LEFT, RIGHT, (185, 20, 195, 30))
    hands = [hand_in(15, 25, 55, 75), hand_in(125, 25, 175, 75)]
    found = find_hands([photo(mask)], tmp_path / "cache", Finder(hands))  # type: ignore[arg-type]
    assert len(found.hands) == 2
    masks = [hand.load()[1] for hand in found.hands]
    assert (masks[0] == block(LEFT)).all()
    assert (masks[1] == block(RIGHT, (185, 20, 195, 30))).all()


def test_a_hand_off_the_mask_is_not_trained_on(tmp_path: Path) -> None:
    hands = [hand_in(15, 25, 55, 75), hand_in(125, 25, 175, 75)]
    found = find_hands([photo(block(LEFT))], tmp_path / "cache", Finder(hands))  # type: ignore[arg-type]
    assert len(found.hands) == 1
    np.testing.assert_allclose(found.hands[0].landmarks, hands[0], atol=0.01)


def test_hands_on_one_island_are_left_out(tmp_path: Path) -> None:
    hands = [hand_in(15, 25, 55, 75), hand_in(60, 25, 95, 75)]
    found = find_hands(
        [photo(block((10, 20, 100, 80)))],
        tmp_path / "cache",
        Finder(hands),  # type: ignore[arg-type]
    )
    assert found.hands == ()
    assert found.entangled == ("photo",)
    assert "1 left out, as their hands touch" in found.summary()


def test_misses_stay_and_are_counted_and_others_are_left_out(tmp_path: Path) -> None:
    items = [
        photo(block(LEFT), "missed"),
        photo(block(), "empty"),
        Broken("broken", np.zeros((1, 1, 3), np.uint8), block(LEFT)),
    ]
    found = find_hands(items, tmp_path / "cache", Finder([]))  # type: ignore[arg-type]
    assert [(hand.photo.id, hand.landmarks) for hand in found.hands] == [("missed", None)]
    assert (found.missed, found.empty) == (("missed",), ("empty",))
    assert found.unreadable == {"broken": "broken.jpg cannot be decoded"}


def test_a_photo_is_looked_at_once_until_it_changes(tmp_path: Path) -> None:
    item = photo(block(LEFT))
    finder = Finder([hand_in(15, 25, 55, 75)])
    first = find_hands([item], tmp_path / "cache", finder)  # type: ignore[arg-type]
    again = find_hands([item], tmp_path / "cache", None)
    assert item.loads == 1
    np.testing.assert_array_equal(
        np.round(first.hands[0].landmarks, 2), np.round(again.hands[0].landmarks, 2)
    )
    item.mask = block(RIGHT)
    changed = find_hands([item], tmp_path / "cache", finder)  # type: ignore[arg-type]
    assert item.loads == 2
    assert changed.missed == ("photo",)
    assert len(Journal(tmp_path / "cache")) == 2


def test_what_was_found_is_kept_when_the_run_is_interrupted(tmp_path: Path) -> None:
    class Interrupted(Photo):
        def load(self) -> tuple[np.ndarray, np.ndarray]:
            raise KeyboardInterrupt

    items = [photo(block(LEFT)), Interrupted("late", np.zeros((1, 1, 3), np.uint8), block(LEFT))]
    with pytest.raises(KeyboardInterrupt):
        find_hands(items, tmp_path / "cache", Finder([]))  # type: ignore[arg-type]
    assert len(Journal(tmp_path / "cache")) == 1


class TestHeldObjects:
    """With `target="object"`, the mask is that of the held object."""

    HANDS = (hand_in(15, 25, 55, 75), hand_in(125, 25, 175, 75))

    def found(self, photos: list[Photo], hands: Sequence[np.ndarray], folder: Path) -> FoundHands:
        return find_hands(photos, folder / "cache", Finder(hands), target="object")  # type: ignore[arg-type]

    def test_each_hand_holds_what_is_nearest(self, tmp_path: Path) -> None:
        left, right = (62, 40, 70, 60), (100, 40, 115, 60)
        one = photo(block(LEFT, RIGHT))
        one.held = block(left, right)
        found = self.found([one], self.HANDS, tmp_path)
        assert [hand.target for hand in found.hands] == ["object", "object"]
        masks = [hand.load()[1] for hand in found.hands]
        np.testing.assert_array_equal(masks[0], block(left))
        np.testing.assert_array_equal(masks[1], block(right))

    @pytest.mark.parametrize("hands", [1, 2])
    def test_empty_hands_are_trained_on(self, hands: int, tmp_path: Path) -> None:
        one = photo(block(LEFT, RIGHT))
        one.held = block()
        found = self.found([one], self.HANDS[:hands], tmp_path)
        assert len(found.hands) == hands
        assert not any(hand.load()[1].any() for hand in found.hands)

    def test_a_photo_without_object_mask_is_left_out_and_told(self, tmp_path: Path) -> None:
        found = self.found([photo(block(LEFT))], self.HANDS[:1], tmp_path)
        assert found.hands == ()
        assert found.unreadable == {"photo": "photo has no object mask"}

    def test_hands_with_numbers_do_not_hold_the_same(self, tmp_path: Path) -> None:
        one = photo(block(LEFT, RIGHT))
        left, right = (62, 40, 70, 60), (100, 40, 115, 60)
        one.held = block(left, right)
        one.instances = block(LEFT) + 2 * block(RIGHT).astype(np.uint8)
        masks = [hand.load()[1] for hand in self.found([one], self.HANDS, tmp_path).hands]
        np.testing.assert_array_equal(masks, [block(left), block(right)])

    def test_an_object_mask_of_another_size_is_told(self, tmp_path: Path) -> None:
        one = photo(block(LEFT))
        one.held = np.zeros((10, 10), bool)
        found = self.found([one], self.HANDS[:1], tmp_path)
        assert "is (10, 10), its photo (100, 200)" in found.unreadable["photo"]

    def test_hands_without_landmarks_are_left_out_and_counted(self, tmp_path: Path) -> None:
        one = photo(block(LEFT))
        one.held = block()
        found = self.found([one], [], tmp_path)
        assert found.hands == ()
        assert found.unfound == ("photo",)
        assert found.missed == ()
        assert "1 left out, as MediaPipe finds no hand to hold anything" in found.summary()

    def test_digest_tells_object_masks_apart(self, tmp_path: Path) -> None:
        digests = set()
        for held in (block(), block((62, 40, 70, 60))):
            one = photo(block(LEFT))
            one.held = held
            digests.add(self.found([one], self.HANDS[:1], tmp_path).hands[0].digest())
        plain = find_hands([photo(block(LEFT))], tmp_path / "c", Finder(self.HANDS[:1]))  # type: ignore[arg-type]
        assert len(digests | {plain.hands[0].digest()}) == 3
        assert plain.hands[0].digest() == plain.hands[0].photo.digest()
