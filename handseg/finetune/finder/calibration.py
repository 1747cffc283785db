"""Calibrate scores to probabilities."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize

from handseg.finetune.finder.network import FinderNetwork

RIGHT = 0.4
"""Least IoU with a true box at which a found box counts as right."""


def fit_logistic(logits: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Fit slope and offset so that `slope * logit + offset` is the logit of being right.

    Platt's method ("Probabilistic Outputs for Support Vector Machines", 1999) with his targets,
    which prevent certainty from a few samples.

    Args:
        logits: (N,) of found boxes.
        right: (N,) bool.

    Returns:
        Slope and offset; (1, 0) if all or none are right, which leaves nothing to fit.
    """
    hits = int(right.sum())
    if hits in (0, len(right)):
        return 1.0, 0.0
    wanted = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

    def loss(parameters: np.ndarray) -> float:
        scaled = parameters[0] * logits + parameters[1]
        return float(np.mean(np.logaddexp(0, scaled) - wanted * scaled))

    slope, offset = minimize(loss, np.array([1.0, 0.0])).x
    return float(slope), float(offset)


def rescale(network: FinderNetwork, slope: float, offset: float) -> None:
    """Scale the logits of hand centres in `network` by `slope` and add `offset`."""
    assert network.out.bias is not None
    with torch.no_grad():
        network.out.weight[0] *= slope
        network.out.bias[0] = network.out.bias[0] * slope + offset
