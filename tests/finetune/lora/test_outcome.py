from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from handseg.finetune.lora.hands import TrainingHand
from handseg.finetune.lora.mask_offset import count_past_wrist
from handseg.finetune.lora.outcome import say_outcome, warn_of_wrist
from handseg.landmarks.anatomy import draw_body
from handseg.models.semantic.config import HAND, OBJECT
from handseg.prompts import PromptRecipe

RUN = Path("runs", "my hands")


class Photo:
    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((*self.mask.shape, 3), np.uint8), self.mask


@pytest.fixture
def hand(open_hand: np.ndarray) -> TrainingHand:
    """Fingers up; its mask ends at the wrist."""
    landmarks = open_hand / np.ptp(open_hand[:, 1]) * 200 + (150, 250)
    mask = draw_body(landmarks, (450, 300)).astype(bool)
    return TrainingHand(Photo(mask), landmarks.astype(np.float32))  # type: ignore[arg-type]


@pytest.fixture
def arm(hand: TrainingHand) -> TrainingHand:
    """The same with a forearm that reaches the photo's lower edge."""
    mask = hand.load()[1].astype(np.uint8)
    cv2.rectangle(mask, (125, 250), (175, 450), 1, -1)
    return TrainingHand(Photo(mask.astype(bool)), hand.landmarks)  # type: ignore[arg-type]


def test_masks_with_forearms_are_counted(hand: TrainingHand, arm: TrainingHand) -> None:
    unseen = TrainingHand(arm.photo, None)
    assert count_past_wrist([hand, arm, unseen, arm]) == (2, 3)
    assert count_past_wrist([unseen]) == (0, 0)


def test_forearms_that_the_recipe_cuts_off_are_told(hand: TrainingHand, arm: TrainingHand) -> None:
    said = warn_of_wrist([arm, hand, arm], PromptRecipe())
    assert said.startswith("2 of 3 training masks reach past the wrist")
    assert "recipe.forearm" in said
    assert not warn_of_wrist([arm, hand, arm], PromptRecipe(forearm=2.0))
    assert not warn_of_wrist([hand] * 4 + [arm], PromptRecipe())
    assert not warn_of_wrist([], PromptRecipe())


def figures(part: str, before: float, after: float) -> dict[str, dict[str, float]]:
    return {
        f"{part}, {name}": {"photos": 7, "mean IoU": iou, "boundary F": iou / 2}
        for name, iou in (("zero-shot", before), ("tuned", after))
    }


def test_a_run_ends_with_figures_and_the_next_command() -> None:
    rows = figures("val", 0.8, 0.9) | figures("test", 0.7, 0.95)
    assert say_outcome(rows, RUN, "handseg-lite", HAND) == [
        "val, base -> adapter through segment(): IoU 0.800 -> 0.900, boundary F 0.400 -> 0.450 "
        "on 7 photos",
        "test, base -> adapter through segment(): IoU 0.700 -> 0.950, boundary F 0.350 -> 0.475 "
        "on 7 photos",
        f"Adapter: {RUN}",
        f"Report: {RUN / 'report'}",
        f"Next: handseg segment PHOTO --model '{RUN}'",
    ]


def test_an_adapter_that_is_worse_is_called_so() -> None:
    rows = figures("val", 0.8, 0.9) | figures("test", 0.9, 0.8)
    (said,) = [line for line in say_outcome(rows, RUN, "base", HAND) if "worse" in line]
    assert said.startswith("The adapter is worse than the base on test: stay with base")
    rows = figures("val", 0.9, 0.8) | figures("test", 0.9, 0.8)
    assert any("on val and test:" in line for line in say_outcome(rows, RUN, "base", HAND))


def test_without_a_report_there_are_no_figures() -> None:
    assert [line.partition(":")[0] for line in say_outcome({}, RUN, "base", HAND)] == [
        "Adapter",
        "Next",
    ]


def test_an_adapter_for_objects_is_used_from_python() -> None:
    rows = {"val": {"photos": 2, "mean IoU": 0.5}, "test": {"photos": 0, "mean IoU": None}}
    said = say_outcome(rows, RUN, "base", OBJECT)
    assert said[0] == "val: IoU 0.500 on 2 photos"
    assert said[-1] == f'Next: HandSegmenter.from_pretrained("base", object_adapter="{RUN}")'
    assert len(said) == 4
