"""Which samples a run shows, and in what order."""

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
    """Passes over hands in which each set has its share, however many hands it has.

    A set's hands are gone through in an order of its own, all once before one comes again, and in
    another order each time; a small set comes round several times in a pass, a large one in several
    passes. A pass depends on the seed and its number alone.

    Args:
        sets: of each hand, the name of its set.
        weights: by the name of a set, how often its hands are shown; only the proportions of those
            that have hands count.
        seed: of the orders.

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
        # What rounding down has left goes to the largest remainders.
        left = len(sets) - int(self._counts.sum())
        self._counts[np.argsort(self._counts - exact, kind="stable")[:left]] += 1
        for name, count in zip(names, self._counts, strict=True):
            if not count:
                raise ValueError(
                    f"the weight {weights[name]} of {name} is too small: it has no hand in a pass "
                    f"of {len(sets)}"
                )

    def draw(self, turn: int) -> tuple[np.ndarray, np.ndarray]:
        """Pass number `turn`, from 0.

        Returns:
            The hands in the order they are shown, and how often each has been shown before in the
            run, both (hands,) int.
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
    """Everything that a run shows, in order: sample n depends on the seed and n alone.

    Each pass shows each hand once, in another order, each time in another of its views. With
    `weighted`, it shows as many hands, but which ones and how often is told by that.
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
        """Samples `first` to `last` of the run, the last one not included."""
        return Subset(self, range(first, last))

    def __getitem__(self, index: int) -> Item:
        turn, place = divmod(index, self.hands)
        if self._order[0] != turn:
            self._order = turn, self._pass(turn)
        return self.items[int(self._order[1][place])]

    def _pass(self, turn: int) -> np.ndarray:
        """The items of a pass, (hands,) int."""
        if self.weighted is not None:
            hands, before = self.weighted.draw(turn)
            return hands * self.views + before % self.views
        rng = np.random.default_rng([self.seed, 11, turn])
        return rng.permutation(self.hands) * self.views + turn % self.views


def collate(items: Sequence[Item]) -> Item:
    """A batch; hands with fewer points than others get more of them, labelled -10.

    Items without prompts are put together as they are.
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
