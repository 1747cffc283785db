import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.finetune.finder.targets import TrueHand, finder_loss, target_maps
from handseg.landmarks.finder import decode

NOWHERE = np.full(2, np.nan, np.float32)
sides = st.floats(8, 120)
places = st.floats(5, 250)


def perfect(maps: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the output of a perfect network."""
    values = torch.nan_to_num(maps["values"])
    values[4] = (values[4] - 0.5) * 40
    middle = torch.where(maps["heat"] == 1, 12.0, -12.0)
    return torch.cat([middle[None], values])


@given(x=places, y=places, width=sides, height=sides, right=st.sampled_from([0.0, 1.0]))
@settings(max_examples=60, deadline=None)
def test_what_is_asked_for_is_what_is_read(
    x: float, y: float, width: float, height: float, right: float
) -> None:
    box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    hand = TrueHand(box, right, np.array([0.6, 0.8]))
    maps = target_maps([hand], 256, 256)
    (found,) = decode(perfect(maps).numpy(), 0.5)
    np.testing.assert_allclose(found.box, box, atol=0.05)
    assert found.handedness == ("right" if right else "left")
    np.testing.assert_allclose(found.wrist, [0.6, 0.8], atol=1e-3)
    batch = {name: one[None] for name, one in maps.items()}
    assert float(finder_loss(perfect(maps)[None], batch)) < 0.01
    assert float(finder_loss(torch.zeros(1, 8, 32, 32), batch)) > 1


def test_doubtful_and_tiny_hands_are_not_asked_for() -> None:
    doubtful = TrueHand(np.array([40.0, 40, 120, 120]), np.nan, NOWHERE, doubtful=True)
    tiny = TrueHand(np.array([200.0, 200, 203, 204]), np.nan, NOWHERE)
    maps = target_maps([doubtful, tiny], 256, 256)
    assert not maps["heat"].any()
    assert not maps["weight"][5:15, 5:15].any()
    assert maps["weight"][20, 5] == 1
    found = torch.full((1, 8, 32, 32), -12.0)
    found[0, 0, 10, 10] = 12
    batch = {name: one[None] for name, one in maps.items()}
    assert float(finder_loss(found, batch)) < 0.01


DOUBTFUL = TrueHand(np.array([0.0, 0, 200, 200]), np.nan, NOWHERE, doubtful=True)
TINY = TrueHand(np.array([98.0, 98, 102, 102]), np.nan, NOWHERE)


@pytest.mark.parametrize("ignored", [DOUBTFUL, TINY], ids=["doubtful", "tiny"])
def test_a_hand_on_an_ignored_one_is_asked_for(ignored: TrueHand) -> None:
    hand = TrueHand(np.array([80.0, 80, 120, 120]), np.nan, NOWHERE)
    for order in ([ignored, hand], [hand, ignored]):
        maps = target_maps(order, 256, 256)
        (row,), (column,) = np.nonzero(maps["heat"].numpy() == 1)
        assert maps["weight"][row, column] == 1


def test_unknown_sides_and_wrists_cost_nothing() -> None:
    maps = target_maps([TrueHand(np.array([80.0, 80, 120, 120]), np.nan, NOWHERE)], 256, 256)
    batch = {name: one[None] for name, one in maps.items()}
    found = perfect(maps)[None]
    found[:, 5:] = 7.0
    found.requires_grad_(True)
    finder_loss(found, batch).backward()
    assert found.grad is not None
    assert found.grad[:, 5:].abs().max() == pytest.approx(0, abs=1e-7)
