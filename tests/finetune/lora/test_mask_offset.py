from __future__ import annotations

import cv2
import numpy as np
import pytest
from red_hands import draw_photo, red_segmenter

from handseg.finetune.lora.hands import TrainingHand
from handseg.finetune.lora.mask_offset import measure_outline
from handseg.landmarks.anatomy import hand_size
from handseg.prompts.recipe import OUTLINE_LIMIT


class Photo:
    def __init__(self, image: np.ndarray, mask: np.ndarray) -> None:
        self.image, self.mask = image, mask

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        return self.image, self.mask


def hands(grown: int, count: int = 3) -> list[TrainingHand]:
    """Make red ellipses with masks drawn `grown` px outside the edge."""
    made = []
    for index in range(count):
        image, mask = draw_photo((200, 150, 90 + index, 70), size=(400, 300))
        (found,) = red_segmenter().landmarker.detect(image)
        size = 2 * abs(grown) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        moved = (cv2.dilate if grown > 0 else cv2.erode)(mask.astype(np.uint8), disc) > 0
        made.append(TrainingHand(Photo(image, moved), found.points))  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize("grown", [-4, 0, 5])
def test_is_how_far_masks_are_drawn_outside_of_the_edge(grown: int) -> None:
    some = hands(grown)
    measured = measure_outline(red_segmenter(), some)
    assert some[0].landmarks is not None
    assert measured * hand_size(some[0].landmarks) == pytest.approx(grown, abs=0.6)


def test_a_part_that_is_missing_does_not_count() -> None:
    some = hands(3)
    for hand in some:
        hand.photo.mask[:, 230:] = False  # type: ignore[attr-defined]
    assert some[0].landmarks is not None
    measured = measure_outline(red_segmenter(), some) * hand_size(some[0].landmarks)
    assert measured == pytest.approx(3, abs=0.8)


def test_is_limited_and_0_without_landmarks() -> None:
    assert abs(measure_outline(red_segmenter(), hands(14))) <= OUTLINE_LIMIT
    (hand,) = hands(3, 1)
    assert measure_outline(red_segmenter(), [TrainingHand(hand.photo, None)]) == 0
    assert measure_outline(red_segmenter(), []) == 0
