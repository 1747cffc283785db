import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from handseg.finetune.finder.calibration import fit_logistic, rescale
from handseg.finetune.finder.network import FinderNetwork


@given(slope=st.floats(0.4, 3), offset=st.floats(-1.5, 1.5))
@example(slope=0.41015625, offset=0.75)  # A gradient-free search stopped early here.
@settings(max_examples=15, deadline=None)
def test_scores_become_frequencies(slope: float, offset: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 8000)
    right = rng.random(8000) < 1 / (1 + np.exp(-(slope * logits + offset)))
    found_slope, found_offset = fit_logistic(logits, right)
    at = np.linspace(-3, 3, 13)
    scores = 1 / (1 + np.exp(-(found_slope * at + found_offset)))
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-(slope * at + offset))), atol=0.05)


@pytest.mark.parametrize("right", [np.ones(5, bool), np.zeros(5, bool), np.zeros(0, bool)])
def test_what_is_all_right_or_all_wrong_teaches_nothing(right: np.ndarray) -> None:
    assert fit_logistic(np.arange(len(right), dtype=float), right) == (1.0, 0.0)


def test_the_network_gives_the_new_scores_and_the_old_boxes() -> None:
    network = FinderNetwork().eval()
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        before = network(pixels)
        rescale(network, 2.0, -0.5)
        after = network(pixels)
    torch.testing.assert_close(after[:, 0], 2 * before[:, 0] - 0.5)
    torch.testing.assert_close(after[:, 1:], before[:, 1:])
