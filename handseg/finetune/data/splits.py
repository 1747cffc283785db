"""Parts of a data set that share no photo and no group: to learn from, to measure on."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from handseg.files import write_atomic

if TYPE_CHECKING:
    import datasets

PARTS = ("train", "val", "test")


def parse_ratios(text: str) -> dict[str, float]:
    """Sizes of train, val and, where there are three, test, from "60/20/20".

    Raises:
        ValueError: if these are not two or three positive numbers that sum up to 100.
    """
    try:
        numbers = [float(part) for part in text.split("/")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not (min(numbers) > 0 and abs(sum(numbers) - 100) < 1e-6):
        raise ValueError(
            f"a split must be two or three positive numbers that sum up to 100, such as 60/20/20 "
            f"or 90/10, got {text!r}"
        )
    return dict(zip(PARTS, (number / 100 for number in numbers), strict=False))


@dataclass(frozen=True)
class Splits:
    """Named parts of a data set.

    Attributes:
        parts: by name, the ids of a part's photos.
        groups: the group of every id.
        ratios: the sizes that were asked for, if they were.
        seed: that the groups were drawn with, if they were.

    Raises:
        ValueError: if an id or a group is in two parts, or an id has no group.
    """

    parts: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, str]
    ratios: Mapping[str, float] | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        part_of: dict[tuple[str, str], str] = {}
        for part, ids in self.parts.items():
            for name in ids:
                if ("id", name) in part_of:
                    raise ValueError(f"id {name!r} is in {part_of['id', name]!r} and in {part!r}")
                part_of["id", name] = part
                if name not in self.groups:
                    raise ValueError(f"id {name!r} in {part!r} has no group")
                group = self.groups[name]
                if part_of.setdefault(("group", group), part) != part:
                    other = part_of["group", group]
                    raise ValueError(f"group {group!r} is in {other!r} and in {part!r}")

    @classmethod
    def by_group(cls, dataset: datasets.Dataset, ratios: Mapping[str, float], seed: int) -> Splits:
        """Draw whole groups, so that the parts come as near to `ratios` as a few swaps can bring.

        No exchange of a group, or of two, between two parts would bring them nearer. The same
        groups, ratios and seed give the same parts.

        Args:
            dataset: with columns id and group.
            ratios: by name, the size of a part; only their proportions count.
            seed: of the order in which groups are drawn.

        Raises:
            ValueError: if a ratio is not positive, or there are fewer groups than parts.
        """
        if not ratios or not all(0 < value < np.inf for value in ratios.values()):
            raise ValueError(f"ratios must be positive numbers by name, got {dict(ratios)}")
        groups = _groups(dataset)
        members: dict[str, list[str]] = {}
        for name, group in groups.items():
            members.setdefault(group, []).append(name)
        if len(members) < len(ratios):
            raise ValueError(
                f"{len(members)} groups cannot fill the {len(ratios)} parts {', '.join(ratios)}"
            )
        order = sorted(members)
        np.random.default_rng(seed).shuffle(order)
        sizes = [len(members[group]) for group in order]
        shares = np.array(list(ratios.values())) / sum(ratios.values())
        assigned = _assign(sizes, shares * len(groups))
        chosen: dict[str, list[str]] = {part: [] for part in ratios}
        for group, part in zip(order, assigned, strict=True):
            chosen[list(ratios)[part]] += members[group]
        parts = {part: tuple(sorted(ids)) for part, ids in chosen.items()}
        return cls(parts, groups, dict(ratios), seed)

    @classmethod
    def by_pattern(cls, dataset: datasets.Dataset, patterns: Mapping[str, str]) -> Splits:
        """A split that is told by the ids, such as an official one; other ids are left out.

        Args:
            dataset: with columns id and group.
            patterns: by the name of a part, a regular expression searched for in the ids.

        Raises:
            ValueError: if a pattern is none or matches nothing, or an id or a group comes to be in
                two parts.
        """
        groups = _groups(dataset)
        parts = {}
        for part, pattern in patterns.items():
            try:
                parts[part] = tuple(name for name in groups if re.search(pattern, name))
            except re.error as error:
                raise ValueError(
                    f"{part}: {pattern!r} is no regular expression: {error}"
                ) from error
            if not parts[part]:
                raise ValueError(f"{part}: {pattern!r} matches no id")
        return cls(parts, {name: groups[name] for ids in parts.values() for name in ids})

    def save(self, path: str | Path) -> None:
        """Write the split as JSON."""
        values = {
            "ratios": None if self.ratios is None else dict(self.ratios),
            "seed": self.seed,
            "parts": {
                part: {name: self.groups[name] for name in ids} for part, ids in self.parts.items()
            },
        }
        with write_atomic(path) as temporary:
            temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Splits:
        """Read what `save` wrote.

        Raises:
            ValueError: if the file is something else, or an id or a group is in two parts.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            pairs = {part: dict(ids) for part, ids in values["parts"].items()}
            ratios, seed = values["ratios"], values["seed"]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} is not a file of splits: {error!r}") from error
        groups: dict[str, str] = {}
        for part, ids in pairs.items():
            for name, group in ids.items():
                if groups.setdefault(name, group) != group:
                    raise ValueError(f"{path}: id {name!r} is of two groups in {part!r}")
        try:
            return cls({part: tuple(ids) for part, ids in pairs.items()}, groups, ratios, seed)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def select(self, dataset: datasets.Dataset, part: str) -> datasets.Dataset:
        """The rows of `dataset` that are in `part`, in the order of the part.

        Raises:
            ValueError: if there is no such part, or `dataset` lacks one of its ids or has it in
                another group than the split was made for.
        """
        if part not in self.parts:
            raise ValueError(f"part must be one of {', '.join(self.parts)}, got {part!r}")
        groups = _groups(dataset)
        places = {name: index for index, name in enumerate(groups)}
        for name in self.parts[part]:
            if groups.get(name) != self.groups[name]:
                found = f"of group {groups[name]!r}" if name in groups else "missing"
                raise ValueError(
                    f"the split does not fit the data: {name!r} of group {self.groups[name]!r} "
                    f"in {part!r} is {found} there"
                )
        return dataset.select([places[name] for name in self.parts[part]])


def _groups(dataset: datasets.Dataset) -> dict[str, str]:
    names, groups = list(dataset["id"]), list(dataset["group"])
    result = dict(zip(names, groups, strict=True))
    if len(result) < len(names):
        (name, count), *_ = Counter(names).most_common(1)
        raise ValueError(f"id {name!r} is in the data set {count} times")
    return result


def _assign(sizes: list[int], targets: np.ndarray) -> list[int]:
    """A part for each group, none without one, the sum of |size - target| as small as swaps get it.

    `sizes` are of the groups, in the order they are drawn; `targets` of the parts, groups and parts
    in photos.
    """
    count = len(targets)
    # One each to begin with: no part may stay empty.
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
    """The moves (group, new part), one or two, that bring the parts nearest to their targets."""
    # Groups of one size in one part are alike: the first stands for all.
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
            # Zero stands for nothing in return, which must not empty a part.
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
