"""The measures of `benchmarks/leftovers.py` on masks with known faults."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handseg.landmarks.anatomy import WRIST_END, hand_size
from handseg.results.hand import Hand

HEIGHT, WIDTH = 400, 300
MIDDLE, TOP, WRIST = 150, 40, 300
"""Position of the stretched hand of `open_hand`, px."""


@pytest.fixture(scope="module")
def leftovers() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "leftovers.py"))


def two_fingers(filled_to: int) -> np.ndarray:
    """Make two bars with a palm below; the gap of 40 px is hand from row `filled_to` on."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[TOP:WRIST, 90:130] = mask[TOP:WRIST, 170:210] = True
    mask[filled_to:WRIST, 90:210] = True
    return mask


def with_wrist(landmarks: np.ndarray, teeth: float) -> Hand:
    """Make a bar of 100 px that ends across the wrist, with teeth of this height every 20 px."""
    end = WRIST + WRIST_END * hand_size(landmarks)
    columns = np.arange(WIDTH)
    ends = end + teeth * ((columns // 10) % 2) - teeth / 2
    alpha = (np.arange(HEIGHT)[:, None] < ends) & (np.abs(columns - MIDDLE) < 50)
    points = landmarks + np.float32([MIDDLE, WRIST])
    return Hand.from_alpha(
        alpha, (0, 0), (HEIGHT, WIDTH), prompt_box=np.zeros(4), predicted_iou=1, landmarks=points
    )


def test_a_filled_gap_is_a_patch_and_its_share_is_told(leftovers: dict[str, Any]) -> None:
    truth, tally = two_fingers(200), leftovers["Tally"]()
    tally.add("clean", [], truth, truth)
    assert (tally.patched, tally.filled) == ([], 0)
    assert tally.gaps > 0
    tally = leftovers["Tally"]()
    tally.add("half", [], two_fingers(120), truth)
    assert tally.patched == ["half"]
    assert tally.filled / tally.gaps == pytest.approx(0.5, abs=0.03)


def test_a_rim_and_a_sliver_are_no_patch(leftovers: dict[str, Any]) -> None:
    truth = two_fingers(200)
    rim = truth.copy()
    rim[TOP:200, 130:132] = True  # Closer than 0.4 % of the diagonal, which is 500 px.
    rim[60:63, 145:150] = True
    tally = leftovers["Tally"]()
    tally.add("rim", [], rim, truth)
    assert tally.patched == []
    assert tally.filled == 15


def test_a_missed_hand_is_counted_apart(leftovers: dict[str, Any]) -> None:
    tally = leftovers["Tally"]()
    tally.add("missed", [], np.zeros((HEIGHT, WIDTH), bool), two_fingers(200))
    assert (tally.photos, tally.missed, tally.gaps) == (0, 1, 0)


def test_teeth_at_the_wrist_are_measured(leftovers: dict[str, Any], open_hand: np.ndarray) -> None:
    strays = leftovers["wrist_strays"]
    assert strays(with_wrist(open_hand, 0)) < 0.5
    assert strays(with_wrist(open_hand, 8)) == pytest.approx(4, abs=1)


def test_a_sleeve_or_a_box_alone_ends_at_no_line(
    leftovers: dict[str, Any], open_hand: np.ndarray
) -> None:
    hand = with_wrist(open_hand, 0)
    short = Hand.from_alpha(
        hand.alpha[:310], (0, 0), (HEIGHT, WIDTH), prompt_box=np.zeros(4), predicted_iou=1,
        landmarks=hand.landmarks,
    )  # fmt: skip
    boxed = Hand.from_alpha(
        hand.alpha, (0, 0), (HEIGHT, WIDTH), prompt_box=np.zeros(4), predicted_iou=1
    )
    assert leftovers["wrist_strays"](short) is None
    assert leftovers["wrist_strays"](boxed) is None
