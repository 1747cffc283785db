"""Split groups into parts close to the requested sizes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def draw_groups(
    groups: Mapping[str, str], ratios: Mapping[str, float], seed: int
) -> dict[str, tuple[str, ...]]:
    """Draw whole groups for each part; see `Splits.by_group`.

    Args:
        groups: maps each id to its group.
        ratios: maps part names to sizes; only their proportions count.
        seed: of the order in which groups are drawn.

    Returns:
        The sorted ids of each part.

    Raises:
        ValueError: if a ratio is not positive, or there are fewer groups than parts.
    """
    if not ratios or not all(0 < value < np.inf for value in ratios.values()):
        raise ValueError(f"ratios must be positive numbers by name, got {dict(ratios)}")
    members: dict[str, list[str]] = {}
    for name, group in groups.items():
        members.setdefault(group, []).append(name)
    if len(members) < len(ratios):
        raise ValueError(
            f"{len(members)} groups cannot fill the {len(ratios)} parts {', '.join(ratios)}; add "
            "photos of other groups, or split by photo with group_pattern '(.+)'"
        )
    order = sorted(members)
    np.random.default_rng(seed).shuffle(order)
    sizes = [len(members[group]) for group in order]
    shares = np.array(list(ratios.values())) / sum(ratios.values())
    chosen: dict[str, list[str]] = {part: [] for part in ratios}
    for group, part in zip(order, _assign(sizes, shares * len(groups)), strict=True):
        chosen[list(ratios)[part]] += members[group]
    return {part: tuple(sorted(ids)) for part, ids in chosen.items()}


def _assign(sizes: list[int], targets: np.ndarray) -> list[int]:
    """Assign each group to a part, none empty, and reduce the sum of |size - target| by swaps.

    `sizes` are those of the groups, in drawing order, and `targets` those of the parts, both in
    photos.
    """
    count = len(targets)
    # Start with one group each: no part may stay empty.
    assigned = list(range(count))
    filled = np.array(sizes[:count], float)
    for size in sizes[count:]:
        part = int(np.argmax(targets - filled))
        assigned.append(part)
        filled[part] += size
    while step := _best_exchange(sizes, assigned, filled, targets):
        for group, part in step:
            filled[assigned[group]] -= sizes[group]
            filled[part] += sizes[group]
            assigned[group] = part
    return assigned


def _best_exchange(
    sizes: list[int], assigned: list[int], filled: np.ndarray, targets: np.ndarray
) -> list[tuple[int, int]]:
    """Find the one or two moves (group, new part) that bring the parts nearest to their targets."""
    # Groups of the same size in the same part are equivalent: the first stands for all.
    holders: list[dict[int, int]] = [{} for _ in targets]
    for group, (size, part) in enumerate(zip(sizes, assigned, strict=True)):
        holders[part].setdefault(size, group)
    counts = np.bincount(assigned, minlength=len(targets))
    excess = filled - targets
    best, best_gain = [], 1e-9
    for one in range(len(targets)):
        for other in range(len(targets)):
            if one == other:
                continue
            given = np.array(list(holders[one]))
            # Zero means nothing in return, which must not empty a part.
            returned = np.array([*holders[other], *([0] if counts[one] > 1 else [])])
            moved = given[:, None] - returned[None]
            after = np.abs(excess[one] - moved) + np.abs(excess[other] + moved)
            row, column = np.unravel_index(int(after.argmin()), after.shape)
            gain = abs(excess[one]) + abs(excess[other]) - after[row, column]
            if gain > best_gain:
                best, best_gain = [(holders[one][int(given[row])], other)], gain
                if returned[column]:
                    best.append((holders[other][int(returned[column])], one))
    return best
