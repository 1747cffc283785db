"""Choose the samples of a run and their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Subset, default_collate

from handseg.prompts import IGNORED

Item = dict[str, Any]
"""A sample, or a batch of them."""


class WeightedEpochSampler:
    """Passes over hands in which each set has a fixed share, whatever its size.

    Each set is shuffled independently and shown completely before it is reshuffled: a small set
    repeats within a pass, a large one takes several passes. A pass depends only on the seed and its
    number.

    Args:
        sets: name of each hand's set.
        weights: by set name, how often its hands are shown; only the proportions among sets with
            hands matter.
        seed: seed of the shuffling.

    Raises:
        ValueError: if a set has no weight, or one so small that a pass has none of its hands.
    """

    def __init__(self, sets: Sequence[str], weights: Mapping[str, float], seed: int) -> None:
        self.seed = seed
        names = sorted(set(sets))
        if missing := [name for name in names if name not in weights]:
            raise ValueError(f"weights: none for {', '.join(missing)}, got {', '.join(weights)}")
        of_hand = np.array(sets)
        self._hands = [np.flatnonzero(of_hand == name) for name in names]
        shares = np.array([weights[name] for name in names])
        exact = shares / shares.sum() * len(sets)
        self._counts = np.floor(exact).astype(int)
        # The places lost to rounding down go to the largest remainders.
        left = len(sets) - int(self._counts.sum())
        self._counts[np.argsort(self._counts - exact, kind="stable")[:left]] += 1
        for name, count in zip(names, self._counts, strict=True):
            if not count:
                raise ValueError(
                    f"the weight {weights[name]} of {name} is too small: it has no hand in a pass "
                    f"of {len(sets)}"
                )

    def draw(self, turn: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw pass number `turn`, from 0.

        Returns:
            The hands in order, and how often each was shown earlier in the run, both (hands,) int.
        """
        drawn = []
        for place, (hands, count) in enumerate(zip(self._hands, self._counts, strict=True)):
            steps = np.arange(turn * count, (turn + 1) * count)
            rounds = steps // len(hands)
            for number in np.unique(rounds):
                order = np.random.default_rng([self.seed, 12, place, number]).permutation(hands)
                chosen = order[steps[rounds == number] % len(hands)]
                drawn.append(np.stack([chosen, np.full(len(chosen), number)]))
        both = np.concatenate(drawn, axis=1)
        mixed = np.random.default_rng([self.seed, 13, turn]).permutation(both.shape[1])
        return both[0, mixed], both[1, mixed]


class EpochSampler(Dataset[Item]):
    """All samples of a run, in order; sample n depends only on the seed and n.

    Each pass shows each hand once, reshuffled, in its next view. With `weighted`, passes have the
    same length, but `weighted` decides which hands are shown and how often.
    """

    def __init__(
        self,
        items: Dataset[Item],
        hands: int,
        views: int,
        seed: int,
        weighted: WeightedEpochSampler | None = None,
    ) -> None:
        self.items, self.hands, self.views, self.seed = items, hands, views, seed
        self.weighted = weighted
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, int))

    def between(self, first: int, last: int) -> Subset[Item]:
        """Return samples `first` to `last` of the run, `last` excluded."""
        return Subset(self, range(first, last))

    def __getitem__(self, index: int) -> Item:
        turn, place = divmod(index, self.hands)
        if self._order[0] != turn:
            self._order = turn, self._pass(turn)
        return self.items[int(self._order[1][place])]

    def _pass(self, turn: int) -> np.ndarray:
        """Return the item indices of a pass, (hands,) int."""
        if self.weighted is not None:
            hands, before = self.weighted.draw(turn)
            return hands * self.views + before % self.views
        rng = np.random.default_rng([self.seed, 11, turn])
        return rng.permutation(self.hands) * self.views + turn % self.views


def collate(items: Sequence[Item]) -> Item:
    """Collate a batch; pad hands with fewer points with points labelled -10.

    Items without prompts are collated unchanged.
    """
    if "labels" not in items[0]:
        return default_collate(list(items))
    most = max(item["labels"].shape[-1] for item in items)
    padded = []
    for item in items:
        missing = most - item["labels"].shape[-1]
        pad = torch.nn.functional.pad
        points = pad(item["points"], (0, 0, 0, missing))
        labels = pad(item["labels"], (0, missing), value=IGNORED)
        padded.append({**item, "points": points, "labels": labels})
    return default_collate(padded)
