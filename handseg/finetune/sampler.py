"""Which hands a pass shows where data sets have weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


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
